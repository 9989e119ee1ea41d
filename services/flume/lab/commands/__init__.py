"""The verbs of ``flume lab``, one file each."""

"""What speaks a dialect: bytes of a control connection to requests, and replies and events to bytes.

A second front needs what :class:`~flume.server.sessions.table.SessionTable` shows;
``tests/unit/server/sessions/test_second_dialect.py`` has a small one in the manner of RTSP.
"""

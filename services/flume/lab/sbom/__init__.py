"""The list of what is in an image, in the CycloneDX format: from the image's files to the document.

``files`` reads the image, ``debian``, ``python`` and ``libraries`` find the parts, ``document`` writes them.
"""

"""Playlists as players, browsers and radio stations write them: bytes to entries. Pure.

Nothing here opens a file or an address. Which file an entry means is :mod:`.spellings`, and who may name what is
:mod:`flume.server.sources.expand`.
"""

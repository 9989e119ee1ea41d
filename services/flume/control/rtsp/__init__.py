"""RTSP 1.0 (RFC 2326), the dialect of VLC, ffplay, mpv and GStreamer: bytes to values and back. Pure.

:mod:`.messages` cuts the bytes of one connection into requests and interleaved packets and writes responses;
:mod:`.headers` reads and writes what stands in their headers; :mod:`.description` writes the SDP.
:mod:`.responses` is the client's side of all of that, for the doctor.
"""

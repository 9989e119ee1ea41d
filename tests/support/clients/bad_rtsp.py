"""What a player may not send, by name. Sent by tests of the front, and by a client beside others."""

from flume.control.rtsp.messages import MAX_BODY_BYTES, MAX_HEAD_BYTES

GOOD = b"OPTIONS * RTSP/1.0\r\nCSeq: 77\r\n\r\n"

BAD = {
    # bytes: status, and the CSeq in the answer
    "no CSeq": (b"OPTIONS * RTSP/1.0\r\n\r\n", 400, None),
    "two CSeq": (b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nCSeq: 1\r\n\r\n", 400, None),
    "a CSeq that is no number": (b"OPTIONS * RTSP/1.0\r\nCSeq: -1\r\n\r\n", 400, None),
    "a CSeq of 11 digits": (b"OPTIONS * RTSP/1.0\r\nCSeq: 12345678901\r\n\r\n", 400, None),
    "no URI": (b"OPTIONS RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400, 1),
    "two URIs": (b"OPTIONS * * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400, 1),
    "a method that is no token": (b"OP(IONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400, 1),
    "a control character in the URI": (b"OPTIONS rtsp://a\x01 RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400, 1),
    "a line that is no header": (b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nhello\r\n\r\n", 400, 1),
    "a header without a name": (b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n: a\r\n\r\n", 400, 1),
    "not UTF-8": (b"OPTIONS rtsp://\xff RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400, None),
    "another version": (b"OPTIONS * RTSP/2.0\r\nCSeq: 1\r\n\r\n", 505, 1),
    "an unknown method": (b"FLY rtsp://a/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", 501, 1),
    "a method in small letters": (b"setup rtsp://a/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", 501, 1),
    "a server's method": (b"REDIRECT rtsp://a/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", 501, 1),
    "a recording": (b"ANNOUNCE rtsp://a/ RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 3\r\n\r\nv=0", 501, 1),
    "an extension": (b"PLAY * RTSP/1.0\r\nCSeq: 1\r\nRequire: funky\r\n\r\n", 551, 1),
    "a session of somebody else": (b"PAUSE * RTSP/1.0\r\nCSeq: 1\r\nSession: 0123456789abcdef\r\n\r\n", 454, 1),
    "an empty session": (b"PAUSE * RTSP/1.0\r\nCSeq: 1\r\nSession: \r\n\r\n", 454, 1),
    "another address": (b"DESCRIBE rtsp://a/b RTSP/1.0\r\nCSeq: 1\r\n\r\n", 404, 1),
    "a parameter": (b"GET_PARAMETER * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 7\r\n\r\njitter\n", 451, 1),
    "an absolute range": (b"PLAY * RTSP/1.0\r\nCSeq: 1\r\nRange: clock=20200101T000000Z-\r\n\r\n", 457, 1),
    "a range in the past": (b"PLAY * RTSP/1.0\r\nCSeq: 1\r\nRange: clock=19961108T143720Z-\r\n\r\n", 457, 1),
    "frames of a film": (b"PLAY * RTSP/1.0\r\nCSeq: 1\r\nRange: smpte=10:07:00-\r\n\r\n", 457, 1),
    "a range that is none": (b"PLAY * RTSP/1.0\r\nCSeq: 1\r\nRange: 5\r\n\r\n", 457, 1),
    "two sessions": (b"PAUSE * RTSP/1.0\r\nCSeq: 1\r\nSession: a\r\nSession: b\r\n\r\n", 454, 1),
    "TEARDOWN of somebody else's": (b"TEARDOWN * RTSP/1.0\r\nCSeq: 1\r\nSession: 5f\r\n\r\n", 454, 1),
    "an empty CSeq": (b"OPTIONS * RTSP/1.0\r\nCSeq:\r\n\r\n", 400, None),
    "a CSeq in other digits": ("OPTIONS * RTSP/1.0\r\nCSeq: ٣\r\n\r\n".encode(), 400, None),
    "an unknown method with a body": (b"FLY * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 20\r\n\r\n" + GOOD[:20], 501, 1),
}

REQUESTS_INSIDE = (
    b"SETUP rtsp://x/ RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP;unicast;client_port=9000-9001\r\n\r\n"
    b"PLAY rtsp://x/ RTSP/1.0\r\nCSeq: 2\r\n\r\n"
)

NOT_RTSP = {
    # bytes that another program was made to send, perhaps with requests in a body: status, and the CSeq in the answer
    "no version": (b"OPTIONS * HELLO\r\nCSeq: 1\r\n\r\n", 505, 1),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: 127.0.0.1:5004\r\nAccept: */*\r\n\r\n", 505, None),
    "a tunnel through HTTP": (b"GET /stream HTTP/1.0\r\nx-sessioncookie: a\r\nCSeq: 1\r\n\r\n", 505, 1),
    "a form in a web page": (
        b"POST / HTTP/1.1\r\nHost: x:5004\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
        % len(REQUESTS_INSIDE)
        + REQUESTS_INSIDE,
        505,
        None,
    ),
    "chunks": (
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
        % (len(REQUESTS_INSIDE), REQUESTS_INSIDE),
        505,
        None,
    ),
    "mail": (b"EHLO a SMTP\r\nCSeq: 1\r\n\r\n" + REQUESTS_INSIDE, 505, 1),
    "another version, with a body": (
        b"SET_PARAMETER * RTSP/2.0\r\nCSeq: 1\r\nContent-Length: %d\r\n\r\n%s"
        % (len(REQUESTS_INSIDE), REQUESTS_INSIDE),
        505,
        1,
    ),
    "a wrong header, with a body": (
        b"SET_PARAMETER * RTSP/1.0\r\nCSeq: 1\r\nhello\r\nCONTENT-LENGTH : %d\r\n\r\n%s"
        % (len(REQUESTS_INSIDE), REQUESTS_INSIDE),
        400,
        1,
    ),
}

LAST = {
    # after these the end of the request is not known
    "a long line": b"OPTIONS " + b"x" * MAX_HEAD_BYTES,
    "1 MB without an end": b"OPTIONS * RTSP/1.0\r\n" + b"x: " + b"y" * (1 << 20),
    "many headers": b"OPTIONS * RTSP/1.0\r\n" + b"a: b\r\n" * MAX_HEAD_BYTES,
    "a body of 1 MB": b"GET_PARAMETER * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 1048576\r\n\r\n" + bytes(1 << 20),
    "a body one byte too long": b"GET_PARAMETER * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: %d\r\n\r\n"
    % (MAX_BODY_BYTES + 1),
}

TRANSPORTS = {
    "nothing": "",
    "no client_port": "RTP/AVP;unicast",
    "no client_port, but TCP's channels": "RTP/AVP;unicast;interleaved=0-1",
    "multicast": "RTP/AVP;multicast",
    "another profile": "RTP/SAVP;unicast;client_port=9000-9001",
    "raw": "RAW/RAW/UDP;unicast;client_port=9000-9001",
    "a port of a service": "RTP/AVP;unicast;client_port=1023-1024",
    "port 53": "RTP/AVP;unicast;client_port=53",
    "RTCP to a port of a service": "RTP/AVP;unicast;client_port=9000-53",
    "port 0": "RTP/AVP;unicast;client_port=0-1",
    "port 65536": "RTP/AVP;unicast;client_port=65536-65537",
    "RTCP to port 65536": "RTP/AVP;unicast;client_port=65535-65536",
    "a negative port": "RTP/AVP;unicast;client_port=-9000",
    "a port in words": "RTP/AVP;unicast;client_port=ninethousand",
    "a port in other digits": "RTP/AVP;unicast;client_port=٩٠٠٠",
    "another destination": "RTP/AVP;unicast;client_port=9000-9001;destination=198.51.100.7",
    "a destination in quotation marks": 'RTP/AVP;unicast;destination="198.51.100.7";client_port=9000-9001',
    "a destination by name": "RTP/AVP;unicast;client_port=9000-9001;Destination=localhost",
    "recording": "RTP/AVP;unicast;client_port=9000-9001;mode=record",
    "channel 256": "RTP/AVP/TCP;interleaved=255-256",
    "one channel for both": "RTP/AVP/TCP;interleaved=3-3",
    "three channels": "RTP/AVP/TCP;interleaved=1-2-3",
    "only things it has not": "RTP/AVP;multicast,RTP/SAVP;client_port=9000-9001,,;;=,RTP/AVP;client_port=1-2",
}

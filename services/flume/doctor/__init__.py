"""The program ``flume doctor``: which leg of the path to a server is blocked, and which rule opens it.

=====================  =====================================================================
``cli``                the command: prints findings, exits with a status
``examination``        the order of the legs, and the time that each may take
``approach``           the first legs: name, machine, TCP
``media``              the legs that need a session: token, stream and echoes
``silence``            the last of them: the path after a pause
``session``            one session: control connection and media socket, polled in one thread
``sockets``            sockets that report why something failed
``observations``       what was seen, as values; pure
``diagnosis``          observations in, findings out; pure
``remedies``           the fix of each finding, as commands to copy; pure
``rtsp``               the same for other people's players, at any RTSP server
``banner``             which other program answers on the port; pure
=====================  =====================================================================
"""

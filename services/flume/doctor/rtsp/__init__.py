"""``flume doctor rtsp://HOST``: which leg of the path of other people's players is blocked, at any RTSP server.

=====================  =====================================================================
``examination``        the order of the legs, and the time that each may take
``delivery``           the legs that need a session: SETUP, PLAY, media, reports, TEARDOWN
``channel``            the RTSP connection, and the two UDP ports of a player
``arrivals``           what came: datagrams, gaps and reports; pure
``diagnosis``          observations in, findings out; pure
``remedies``           the fix of each finding; pure
``address``            the address that a person types; pure
``vlc_modules``        which module this machine's VLC has for RTSP, by its folder
=====================  =====================================================================
"""

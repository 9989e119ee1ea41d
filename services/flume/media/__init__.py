"""What the datagrams hold: RTP, MPEG-TS, the timeline and the ring. Pure: no socket, clock or thread."""

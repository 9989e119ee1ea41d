"""What is in the datagrams, as a pure core: RTP, MPEG-TS, clocks and the ring. No socket, clock or thread."""

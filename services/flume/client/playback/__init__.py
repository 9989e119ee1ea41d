"""What libvlc knows: the player behind its contract, its pictures and its display."""

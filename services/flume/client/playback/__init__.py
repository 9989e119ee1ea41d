"""Playback: the player's contract, and libvlc behind it with its pictures, its window and its loopback socket."""

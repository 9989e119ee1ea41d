"""From the media socket to the player: order, pace, splice and count."""

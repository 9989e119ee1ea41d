"""The client: receives, puts in order, plays, counts, and steers its session."""

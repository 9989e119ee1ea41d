"""Which engine a lab runs on, whether it is ready, and where a lab is."""

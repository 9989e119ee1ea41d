"""The engine that a lab runs on: which one, whether it is ready, and in which engine a lab is."""

"""Attackers, each a program of its own that ends by itself, and an honest client beside it."""

"""The story of one run: what is wanted, what is started, what happens, what is collected."""

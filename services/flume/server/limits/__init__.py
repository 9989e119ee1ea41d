"""Budgets: how much of the server one client, one address, one network and all of them together may take."""

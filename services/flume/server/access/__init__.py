"""Who may come in: networks that are allowed, certificates of the server, users and their secrets."""

"""A server whose source is another server: what is received of one stream goes on to many clients, number by number."""

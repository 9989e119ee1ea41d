"""The examination of the way to a server: observations made by sockets, conclusions drawn without them."""

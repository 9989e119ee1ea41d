"""What a stream is made from: sources, their items, and the thread that reads them ahead of sending."""

"""What a stream is made from: sources, their items, and the thread that reads ahead."""

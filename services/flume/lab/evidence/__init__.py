"""What is known about a run: facts out of captures, counters of the kernel, claims of the programs."""

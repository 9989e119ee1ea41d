"""What is known about a run: facts from captures, counters of the kernel, claims of the programs."""

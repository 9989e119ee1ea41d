"""The links of a lab: profiles with sources, their rendering for the kernel, and what they really do."""

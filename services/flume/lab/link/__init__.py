"""The links of a lab: profiles with sources, the kernel's commands for them, and the measurement of what they do."""

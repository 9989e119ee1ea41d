"""From evidence to a verdict and a report. All of it is pure."""

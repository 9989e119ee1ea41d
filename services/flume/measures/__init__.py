"""Measures of a stream: values in, figures out. Pure: time in seconds and bytes come as arguments."""

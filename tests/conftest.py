"""What all tests share."""

import signal

from hypothesis import HealthCheck, settings

# The machines that run this are shared and noisy: how long an example takes says nothing about the code.
settings.register_profile("flume", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("flume")

# A shell starts background jobs with SIGINT ignored, and programs inherit that: then no test could interrupt one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

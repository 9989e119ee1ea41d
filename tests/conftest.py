"""What all tests share."""

from hypothesis import HealthCheck, settings

# The machines that run this are shared and noisy: how long an example takes says nothing about the code.
settings.register_profile("flume", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("flume")

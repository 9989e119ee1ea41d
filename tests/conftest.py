"""Settings for all tests."""

import signal

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["support.privileges"]

# Else a failed assertion there says only that it failed.
pytest.register_assert_rewrite("support")

from support.privileges import add_programs  # noqa: E402

# The hosts that run this are shared and busy: the duration of an example says nothing about the code.
settings.register_profile("flume", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("flume")

# A shell starts background jobs with SIGINT ignored, and their programs inherit that. No test could interrupt them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Debian's users do not have the folder of ip, tc and nft in their PATH; what tests start looks there too.
add_programs()

"""flumelab: stream one video to many hosts over UDP, steer each over TCP, prove what each received."""

__version__ = "0.1.0"

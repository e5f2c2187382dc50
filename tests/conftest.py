"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# No example fails for being slow: the machine that runs it may be.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

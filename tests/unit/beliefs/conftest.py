"""Few examples by default, so that the unit tests stay quick; HYPOTHESIS_PROFILE=nightly for more."""

import os

from hypothesis import HealthCheck, settings

SLOW = [HealthCheck.too_slow]

settings.register_profile("quick", max_examples=10, deadline=None, derandomize=True)
settings.register_profile("nightly", max_examples=10_000, deadline=None, suppress_health_check=SLOW)
settings.register_profile("thorough", max_examples=400, deadline=None, suppress_health_check=SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

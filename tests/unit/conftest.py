"""Few examples by default, so that the unit tests stay quick.

HYPOTHESIS_PROFILE=thorough takes about a minute, HYPOTHESIS_PROFILE=nightly about half an hour.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")
SLOW = [HealthCheck.too_slow]

settings.register_profile("quick", max_examples=10, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=400, deadline=None, suppress_health_check=SLOW)
settings.register_profile("nightly", max_examples=10_000, deadline=None, suppress_health_check=SLOW)
settings.load_profile(PROFILE)


def pytest_collection_modifyitems(items):
    """Many examples take longer than a test may by default."""
    if PROFILE != "quick":
        for item in items:
            item.add_marker(pytest.mark.timeout(3600))

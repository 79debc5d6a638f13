"""How large a run is, how long its faults last, and how patient the product is meanwhile."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from tests.chaos.faults import Scale

IMPATIENT = {
    "MEMOIRE_LEASE_SECONDS": "1.5",
    "MEMOIRE_CLAIM_IDLE_MS": "1500",
    "MEMOIRE_LOST_AFTER_SECONDS": "1.0",
    "MEMOIRE_SWEEP_SECONDS": "0.5",
    "MEMOIRE_EXTRACT_LINGER_MS": "100",
    "MEMOIRE_LLM_TIMEOUT_SECONDS": "3",
    "MEMOIRE_CONFIGURATION_PAUSE_SECONDS": "1",
    "MEMOIRE_RETRY_BASE_SECONDS": "0.2",
    "MEMOIRE_RETRY_CAP_SECONDS": "2",
    "MEMOIRE_STOP_GRACE_SECONDS": "5",
}
"""The same machinery with times four times shorter, so that a run of a minute outlasts them."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Sizes and times; seconds unless named otherwise."""

    messages: int
    users: int
    faults: int
    lasting: float
    settle_within: float
    scale: Scale
    settings: dict[str, str] = field(default_factory=dict)
    model_delay: float = 0.0
    poison_share: float = 0.002
    most_minutes: float = math.inf
    """What was not sent by then is not sent: a slow machine's run is judged by what it got."""


PROFILES = {
    "ci": Profile(
        messages=3_200,  # some entries are sent once and never answered
        users=60,
        faults=60,
        lasting=65,
        settle_within=60,
        scale=Scale(stop=2.5, redis_down=3, postgres_down=2, pause=1.5, network=1.2, provider=1.0),
        settings=IMPATIENT,
        model_delay=0.02,
    ),
    "nightly": Profile(
        messages=20_000,
        users=300,
        faults=150,
        lasting=480,
        settle_within=180,
        scale=Scale(redis_down=20),
        model_delay=0.1,
    ),
    "release": Profile(
        messages=100_500,  # some entries are sent once and never answered
        users=1_500,
        faults=520,
        lasting=1_300,
        settle_within=300,
        scale=Scale(),
        model_delay=0.1,
    ),
}

"""`python -m tests.chaos --seed 7 --messages 3000 --faults 40`: one run, one line of JSON.

Exit code 1 when anything was lost, doubled or wrong, or did not settle.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.chaos.driver import run
from tests.chaos.faults import KINDS
from tests.chaos.profiles import PROFILES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--profile", choices=PROFILES, default="ci")
    parser.add_argument("--messages", type=int)
    parser.add_argument("--faults", type=int)
    parser.add_argument("--users", type=int)
    parser.add_argument("--lasting", type=float, help="seconds in which it all happens")
    parser.add_argument("--most-minutes", type=float, help="stop sending then, and judge what was")
    parser.add_argument("--only", help="only kinds of fault whose name holds this text")
    given = parser.parse_args()
    sizes = {
        k: getattr(given, k) for k in ("messages", "faults", "users", "lasting", "most_minutes")
    }
    profile = replace(PROFILES[given.profile], **{k: v for k, v in sizes.items() if v is not None})
    kinds = [kind for kind in KINDS if not given.only or given.only in kind.name]
    data = Path(tempfile.mkdtemp(prefix="memoire-chaos-"))
    report = run(given.seed, profile, data / "data", kinds)
    print(report.line())  # noqa: T201
    if report.clean and report.settled_after is not None:
        shutil.rmtree(data, ignore_errors=True)
        return 0
    print(f"kept for a look: {data}", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())

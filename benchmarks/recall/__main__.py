"""`python -m benchmarks.recall --rows 50000 --data DIR`: other sizes, a database kept for later."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from benchmarks.recall.scenarios import SMALL, Sizes, recall


def main() -> None:
    """Run the benchmark at the sizes asked for; a folder that is filled is not filled again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="keep the instance here")
    parser.add_argument("--small", action="store_true", help="begin from the small sizes")
    for field in fields(Sizes):
        parser.add_argument(f"--{field.name}", type=int)
    asked = vars(parser.parse_args())
    start = SMALL if asked["small"] else Sizes()
    sizes = Sizes(
        **{field.name: asked[field.name] or getattr(start, field.name) for field in fields(Sizes)}
    )
    recall(sizes, asked["data"])


if __name__ == "__main__":
    main()

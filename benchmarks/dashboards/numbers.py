"""Numbers as a panel shows them (pure): units, and round steps of an axis."""

from __future__ import annotations

import math

_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")
_MINUTES_FROM, _HOURS_FROM = 120, 7200
_SUFFIX = {"ops": " ops/s", "reqps": " req/s"}


def shown(value: float, unit: str) -> str:
    """A value with its unit, in three digits."""
    if unit == "percentunit":
        return f"{_digits(100 * value)} %"
    if unit == "bytes":
        power = _power(value, 1024, len(_BYTES))
        return f"{_digits(value / 1024**power)} {_BYTES[power]}"
    if unit == "s":
        return _seconds(value)
    if unit not in {"short", *_SUFFIX}:
        raise ValueError(f"no panel had this unit so far: {unit}")
    power = _power(value, 1000, 4)
    return (
        f"{_digits(value / 1000**power)}{('', ' K', ' Mil', ' Bil')[power]}{_SUFFIX.get(unit, '')}"
    )


def ticks(highest: float, unit: str = "short", most: int = 5) -> list[float]:
    """Values that are round in their unit, from 0 to at least `highest`, at most `most` steps."""
    one = _one(highest, unit)
    rough = max(highest / one, 1e-9) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * times for times in (1, 2, 2.5, 5, 10) if size * times >= rough * (1 - 1e-9))
    return [one * step * number for number in range(math.ceil(highest / one / step - 1e-9) + 1)]


def _one(highest: float, unit: str) -> float:
    """What counts as one where values are shown in KiB, minutes and the like."""
    if unit == "bytes":
        return 1024.0 ** _power(highest, 1024, len(_BYTES))
    if unit == "s" and highest >= 0.8 * _MINUTES_FROM:  # the last step may lie above
        return 3600.0 if highest >= _HOURS_FROM else 60.0
    return 1.0


def _seconds(value: float) -> str:
    for bound, divisor, name in ((0.001, 1e-6, "µs"), (1, 0.001, "ms"), (_MINUTES_FROM, 1, "s")):
        if value < bound:
            return f"{_digits(value / divisor)} {name}" if value else "0 s"
    return f"{_digits(value / 60)} min" if value < _HOURS_FROM else f"{_digits(value / 3600)} h"


def _power(value: float, base: int, powers: int) -> int:
    found = 0
    while abs(value) >= base and found < powers - 1:
        value /= base
        found += 1
    return found


def _digits(value: float) -> str:
    if value == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{min(places, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text

"""Tokens and money, in exact numbers: what a call cost, the most it may cost, who bears which part.

Every rounding is upwards, so that what is settled never exceeds what was reserved for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

_MILLION = Decimal(1_000_000)
_SMALLEST = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Tokens:
    """What went in and what came out."""

    input: int = 0
    output: int = 0

    @property
    def total(self) -> int:
        return self.input + self.output


@dataclass(frozen=True, slots=True)
class Prices:
    """Money per million tokens, in whatever currency the operator counts."""

    input: Decimal = Decimal(0)
    output: Decimal = Decimal(0)

    @classmethod
    def of(cls, for_input: float, for_output: float = 0.0) -> Prices:
        return cls(Decimal(str(for_input)), Decimal(str(for_output)))

    def cost(self, tokens: Tokens) -> Decimal:
        """Exact to a millionth, rounded up."""
        exact = (self.input * tokens.input + self.output * tokens.output) / _MILLION
        return exact.quantize(_SMALLEST, rounding=ROUND_CEILING)


@dataclass(frozen=True, slots=True)
class Amount:
    """What a tenant's budget is asked for, or gets back."""

    tokens: int
    money: Decimal


def shares(tokens: Tokens, weights: Mapping[str, int]) -> dict[str, Tokens]:
    """Part a call's tokens among its tenants by weight, rounded up for each.

    Where the tokens are at most the weights' sum, each share is at most its weight.
    """
    if len(weights) == 1:
        return dict.fromkeys(weights, tokens)
    whole = max(1, sum(weights.values()))
    return {
        tenant: Tokens(-(-tokens.input * weight // whole), -(-tokens.output * weight // whole))
        for tenant, weight in weights.items()
    }

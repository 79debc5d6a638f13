"""Prices and shares: exact, rounded up, and never more than was reserved."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from shared.spending.prices import Prices, Tokens, shares

COUNTS = st.integers(0, 10**9)
PRICES = st.builds(
    Prices, *[st.decimals(0, 1000, places=4, allow_nan=False, allow_infinity=False)] * 2
)
TENANTS = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(1, 10**6), min_size=1)


@given(PRICES, COUNTS, COUNTS, COUNTS, COUNTS)
def test_fewer_tokens_never_cost_more(prices: Prices, a: int, b: int, more: int, out: int) -> None:
    """What is settled within a reservation's tokens is within its money."""
    assert prices.cost(Tokens(a, b)) <= prices.cost(Tokens(a + more, b + out))


@given(PRICES, COUNTS, COUNTS)
def test_a_cost_is_exact_to_a_millionth_and_rounded_up(prices: Prices, a: int, b: int) -> None:
    """Never less than the true price, and less than a millionth more."""
    true = (prices.input * a + prices.output * b) / 1_000_000
    assert true <= prices.cost(Tokens(a, b)) < true + Decimal("0.000001")


@given(TENANTS, st.data())
def test_shares_cover_the_call_and_stay_within_their_weights(
    weights: dict[str, int], data: st.DataObject
) -> None:
    """Together they are all of it; none exceeds its weight where the call stays within the sum."""
    tokens = Tokens(data.draw(st.integers(0, sum(weights.values()))), 0)
    parts = shares(tokens, weights)
    assert parts.keys() == weights.keys()
    assert sum(part.input for part in parts.values()) >= tokens.input
    assert all(parts[tenant].input <= weight for tenant, weight in weights.items())


def test_a_million_tokens_cost_their_price() -> None:
    """0.40 for a million in, 1.60 for a million out."""
    prices = Prices.of(0.4, 1.6)
    assert prices.cost(Tokens(1_000_000, 500_000)) == Decimal("1.2")
    assert Prices().cost(Tokens(10**9, 10**9)) == 0

"""The profile's text: the same for the same facts, never too long, and honest about its sources."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.maintenance.profile import MOST_CHARACTERS, KnownFact, write_profile

BEGAN = datetime(2020, 1, 1, tzinfo=UTC)


@st.composite
def known(draw):
    slot = draw(st.sampled_from([None, None, "home_city", "pet", "shoe_size"]))
    words = draw(
        st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=1, max_size=300)
    )
    return KnownFact(
        id=UUID(int=draw(st.integers(1, 2**64))),
        category=draw(st.sampled_from(["biographical", "learning", "work_context", "own"])),
        slot=slot,
        value=words[:40] if slot else None,
        content=words,
        evidence_count=draw(st.integers(1, 3)),
        said_at=BEGAN + timedelta(days=draw(st.integers(0, 3))),
    )


facts = st.lists(known(), max_size=40, unique_by=lambda fact: fact.id)


@given(facts, st.randoms(use_true_random=False))
def test_any_order_gives_the_same_text(told, random):
    before = write_profile(told)
    random.shuffle(told)
    assert write_profile(told) == before


@given(facts)
def test_it_never_grows_too_long_and_rests_on_what_it_says(told):
    profile = write_profile(told)
    assert len(profile.content) <= MOST_CHARACTERS
    assert len(set(profile.rests_on)) == len(profile.rests_on)
    by_id = {fact.id: fact for fact in told}
    for fact in profile.rests_on:
        assert (by_id[fact].value or by_id[fact].content) in profile.content
    assert bool(profile.content) == bool(profile.rests_on)


@given(facts)
def test_all_that_fits_is_said(told):
    if sum(len(fact.content) + 40 for fact in told) < MOST_CHARACTERS:
        assert set(write_profile(told).rests_on) == {fact.id for fact in told}


def fact(number, content, **more):
    fields = {"category": "biographical", "slot": None, "value": None, "evidence_count": 1}
    return KnownFact(id=UUID(int=number), content=content, said_at=BEGAN, **fields | more)


def test_slots_come_first_then_sentences_by_category():
    told = [
        fact(1, "Likes tea", category="user_preference"),
        fact(2, "", slot="pet", value="Rex", category="relationship"),
        fact(3, "", slot="pet", value="Milo", category="relationship", evidence_count=2),
        fact(4, "", slot="home_city", value="Rome"),
        fact(5, "Grew up by the sea"),
        fact(6, "Is learning Greek", category="learning"),
        fact(7, "Wears blue", category="wardrobe"),
        fact(8, "Hates capers", category="user_preference", evidence_count=4),
    ]
    profile = write_profile(told)
    assert profile.content.splitlines() == [
        "Home city: Rome",
        "Pet: Milo, Rex",
        "About:",
        "- Grew up by the sea",
        "Preferences:",
        "- Hates capers",
        "- Likes tea",
        "Learning:",
        "- Is learning Greek",
        "Wardrobe:",
        "- Wears blue",
    ]
    assert [row.int for row in profile.rests_on] == [4, 3, 2, 5, 8, 1, 6, 7]


def test_what_does_not_fit_leaves_room_for_what_does():
    profile = write_profile(
        [fact(1, "x" * MOST_CHARACTERS, evidence_count=9), fact(2, "Likes tea")]
    )
    assert profile.rests_on == (UUID(int=2),)

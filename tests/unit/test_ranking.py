"""The order of hits and their absolute score."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.gateway.calibration import CALIBRATIONS, calibration_for
from services.gateway.ranking import (
    Candidate,
    Weights,
    bm25,
    calibrated,
    fuse,
    idf,
    matched_share,
    min_max,
)

NOW = datetime(2026, 11, 3, tzinfo=UTC)

raw_cosines = st.none() | st.floats(-1, 1)
raw_bm25s = st.none() | st.floats(0, 50)
attributes = {
    "matched_share": st.floats(0, 1),
    "confidence": st.floats(0, 1),
    "essential": st.booleans(),
    "evidence_count": st.integers(1, 9),
    "said_at": st.none() | st.integers(0, 999).map(lambda days: NOW - timedelta(days=days)),
}
candidates = st.lists(
    st.builds(Candidate, id=st.just(""), cosine=raw_cosines, bm25=raw_bm25s, **attributes),
    min_size=1,
    max_size=8,
).map(lambda found: [replace(hit, id=f"f{at}") for at, hit in enumerate(found)])


def order(hits):
    return [hit.id for hit in hits]


def test_bm25_equals_a_figure_worked_out_by_hand():
    # one term, twice in a document of average length: idf(10, 1) * 2 * 2.2 / (2 + 1.2)
    figure = bm25({"dog": 2}, {"dog": 1}, 10, 5, 5.0, k1=1.2)
    assert figure == pytest.approx(math.log(22 / 3) * 4.4 / 3.2)


def test_bm25_prefers_rare_terms_and_short_documents():
    frequencies = {"rare": 1, "common": 90}

    assert bm25({"rare": 1}, frequencies, 100, 5, 5) > bm25({"common": 1}, frequencies, 100, 5, 5)
    assert bm25({"rare": 1}, frequencies, 100, 3, 5) > bm25({"rare": 1}, frequencies, 100, 9, 5)
    assert bm25({}, frequencies, 100, 5, 5) == bm25({"rare": 0}, frequencies, 100, 5, 0.0) == 0


@given(st.integers(0, 1000), st.integers(0, 2000))
def test_the_weight_of_a_term_is_never_negative(documents, found):
    assert idf(documents, found) > 0


def test_matched_share_is_of_the_whole_query():
    frequencies = {"rex": 1, "dog": 5, "unheard": 0}

    assert matched_share({"rex": 1, "dog": 2, "unheard": 1}, frequencies, 10) == pytest.approx(1)
    assert (
        0 < matched_share({"dog": 1}, frequencies, 10) < matched_share({"rex": 1}, frequencies, 10)
    )
    assert matched_share({}, frequencies, 10) == matched_share({}, {}, 10) == 0


def test_min_max_scales_what_is_there():
    assert min_max([1.0, None, 3.0, 2.0]) == [0, 0, 1, 0.5]
    assert min_max([2.0, 2.0, None]) == [1, 1, 0]
    assert min_max([None, None]) == [0, 0]
    assert min_max([]) == []


def test_a_hit_of_both_arms_goes_before_a_hit_of_one():
    hits = fuse(
        [
            Candidate("vector", cosine=0.7),
            Candidate("both", cosine=0.65, bm25=6.0, matched_share=0.5),
            Candidate("lexical", bm25=8.0, matched_share=0.6),
            Candidate("weak", cosine=0.1, bm25=0.5),
        ]
    )

    assert order(hits) == ["both", "lexical", "vector", "weak"]


@pytest.mark.parametrize(
    "better",
    [
        {"essential": True},
        {"confidence": 0.9},
        {"said_at": NOW - timedelta(days=1)},
        {"evidence_count": 3},
    ],
    ids=str,
)
def test_between_equal_hits_each_boost_decides(better):
    plain = Candidate("a", cosine=0.5, confidence=0.5, said_at=NOW - timedelta(days=400))
    hits = fuse([plain, replace(plain, id="b", **better)], now=NOW)

    assert order(hits) == ["b", "a"]


def test_boosts_do_not_lift_a_poor_hit_over_a_good_one():
    poor = Candidate("poor", cosine=0.4, essential=True, said_at=NOW, evidence_count=99)
    good = Candidate("good", cosine=0.8, confidence=0.5)
    other = Candidate("other", cosine=0.1)

    assert order(fuse([poor, good, other], now=NOW))[0] == "good"


def test_the_score_does_not_depend_on_what_else_was_found():
    hit = Candidate("a", cosine=0.4, bm25=3.0, matched_share=0.3)
    others = [Candidate("b", cosine=0.9, bm25=9.0, matched_share=1.0), Candidate("c", cosine=0.1)]

    assert fuse([hit])[0].score == next(h.score for h in fuse([hit, *others]) if h.id == "a")


def test_the_best_of_nothing_relevant_scores_low():
    assert fuse([Candidate("a", cosine=0.3, bm25=1.0, matched_share=0.1)])[0].score < 0.3
    assert fuse([Candidate("b", cosine=0.7)])[0].score > 0.5
    assert fuse([Candidate("c", bm25=9.0, matched_share=1.0)])[0].score > 0.5


@given(candidates)
def test_scores_fall_with_the_rank_and_never_below_the_hits_own(found):
    hits = fuse(found, now=NOW)
    own = {hit.id: calibrated(hit) for hit in found}

    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(hit.score >= own[hit.id] for hit in hits)
    assert hits[0].score == max(own.values())


def test_explain_names_rank_raw_and_normalized_score_of_each_arm():
    first, second = fuse(
        [Candidate("a", cosine=0.8, bm25=4.0, matched_share=0.5), Candidate("b", cosine=0.2)]
    )

    assert first.explain["vector"] == {"rank": 1, "raw": 0.8, "normalized": 1.0, "likeness": 0.0}
    assert first.explain["lexical"] == {
        "rank": 1,
        "raw": 4.0,
        "normalized": 1.0,
        "matched_share": 0.5,
    }
    assert second.explain["lexical"]["rank"] is None
    boosts = first.explain["boosts"]
    assert set(boosts) == {"confidence", "freshness", "essential", "evidence", "trust", "person"}
    assert first.rank_score == pytest.approx(
        (first.explain["fused"] + first.explain["around"]) * math.prod(boosts.values())
    )


@given(candidates, st.data())
def test_raising_a_raw_score_never_lowers_the_rank(found, data):
    at = data.draw(st.integers(0, len(found) - 1))
    arm, top = data.draw(st.sampled_from([("cosine", 1.0), ("bm25", 60.0)]))
    raw = getattr(found[at], arm)
    assume(raw is not None)
    raised = list(found)
    raised[at] = replace(found[at], **{arm: data.draw(st.floats(raw, top))})

    before = order(fuse(found, now=NOW)).index(found[at].id)
    assert order(fuse(raised, now=NOW)).index(found[at].id) <= before


@given(candidates, st.randoms())
def test_the_order_of_candidates_does_not_matter(found, chance):
    shuffled = list(found)
    chance.shuffle(shuffled)

    assert order(fuse(shuffled, now=NOW)) == order(fuse(found, now=NOW))


@given(candidates)
def test_scores_are_shares_and_nothing_is_lost(found):
    hits = fuse(found, Weights(vector=0.3, lexical=0.7), now=NOW)

    assert all(0 < hit.score < 1 for hit in hits)
    assert sorted(order(hits)) == sorted(hit.id for hit in found)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_relevance_rises_with_either_evidence(cosine, more, share):
    low, high = sorted((cosine, more))

    assert calibrated(Candidate("", cosine=low, matched_share=share)) <= calibrated(
        Candidate("", cosine=high, matched_share=share)
    )
    assert calibrated(Candidate("", cosine=share, matched_share=low)) <= calibrated(
        Candidate("", cosine=share, matched_share=high)
    )


@pytest.mark.parametrize("model", CALIBRATIONS)
@given(cosine=st.floats(-1, 1), share=st.floats(0, 1))
def test_every_model_scores_words_alone_alike(model, cosine, share):
    """A vector that is missing, or is no nearer than chance, neither adds nor takes away."""
    calibration = calibration_for(model)
    alone = calibrated(Candidate("", matched_share=share), calibration)
    unrelated = Candidate("", cosine=min(cosine, calibration.unrelated), matched_share=share)

    assert calibrated(unrelated, calibration) == alone
    assert alone == pytest.approx(calibrated(Candidate("", matched_share=share)))
    assert calibrated(Candidate("", cosine=1.0), calibration) > 0.5


def test_what_was_said_next_to_a_hit_is_lent_a_share_of_it():
    """The answer stands after the question: it comes before what only looks a little like it."""
    asks = Candidate("asks", cosine=0.8, bm25=9.0, after="answers")
    answers = Candidate("answers", cosine=0.2, before="asks")
    like = Candidate("like", cosine=0.3, bm25=0.5)
    poor = Candidate("poor", cosine=0.1)

    assert order(fuse([asks, answers, like, poor])) == ["asks", "answers", "like", "poor"]
    assert order(fuse([replace(asks, after=None), answers, like, poor]))[1] == "like"


def test_the_message_a_fact_rests_on_finds_it_too():
    said = Candidate("said", cosine=0.4, message_score=1.0)
    like = Candidate("like", cosine=0.5)

    assert order(fuse([said, like, Candidate("poor", cosine=0.1)]))[0] == "said"


def test_between_equal_hits_the_person_named_decides():
    hers = Candidate("b", cosine=0.5, bm25=2.0, who="Caroline")
    his = Candidate("a", cosine=0.5, bm25=2.0, who="Carl")

    assert order(fuse([his, hers], named={"Caroline"})) == ["b", "a"]
    assert order(fuse([his, hers])) == ["a", "b"]


def test_somebody_elses_words_are_no_answer():
    """What only another person said makes the named person's weaker hits less sure, too."""
    hers = Candidate("hers", cosine=0.5, bm25=2.0, matched_share=0.3, who="Caroline")
    his = Candidate("his", cosine=0.5, bm25=4.0, matched_share=0.9, who="Carl")

    def scores(named):
        return {hit.id: hit.score for hit in fuse([hers, his], named=named)}

    assert all(scores({"Caroline"})[one] < scores(())[one] for one in ("hers", "his"))


@given(candidates, st.floats(0.1, 3.0))
def test_a_hint_is_one_factor_of_the_place_and_never_of_the_best_score(found, factor):
    asked = [replace(one, hints={"slot": factor}) if one.id == "f0" else one for one in found]
    plain = {hit.id: hit for hit in fuse(found, now=NOW)}
    hinted = {hit.id: hit for hit in fuse(asked, now=NOW)}

    assert hinted["f0"].rank_score == pytest.approx(plain["f0"].rank_score * factor)
    assert max(hit.score for hit in hinted.values()) == max(hit.score for hit in plain.values())


def test_near_repetitions_make_room():
    texts = [
        "Runs ten miles a week in the park",
        "runs ten miles a week in the Park",
        "Swims",
        "x y",
    ]
    found = [Candidate(str(at), cosine=0.9 - at / 9, content=text) for at, text in enumerate(texts)]
    plain = [replace(hit, content="") for hit in found]

    assert order(fuse(plain)) == ["0", "1", "2", "3"]
    assert order(fuse(found)) == ["0", "2", "3", "1"]


words = st.lists(st.sampled_from(["runs", "swims", "reads"]), min_size=8, max_size=9).map(" ".join)


@given(candidates, st.lists(words, min_size=8, max_size=8), st.integers(1, 9))
def test_the_best_few_are_the_first_of_all(found, contents, most):
    found = [replace(hit, content=text) for hit, text in zip(found, contents, strict=False)]

    assert fuse(found, now=NOW, most=most) == fuse(found, now=NOW)[:most]

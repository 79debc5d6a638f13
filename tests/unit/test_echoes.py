"""What an application recalled into a prompt is not read as the user's own words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.extractor.echoes import own_words, shown

OWN = "I moved to Porto last week."


@pytest.mark.parametrize(
    "echo",
    [
        "Relevant memories:\n- Lives in Lisbon\n- Likes tea\n",
        "## Relevant memories\n\n- Lives in Lisbon\n  since 2019\n- I like tea\n",
        "**Relevant facts about the user:**\n1. Lives in Lisbon\n2) Likes tea\n",
        "Here are the most relevant memories of Ana:\n* Lives in Lisbon\n\n",
        "What we know about the user:\nLives in Lisbon. Likes tea.\n\n",
        "[Retrieved context]\n- Lives in Lisbon\n\n",
        "Relevant memories: Lives in Lisbon; likes tea\n",
        "<memories>\nI live in Lisbon\n</memories>\n",
        '<context source="memory">Lives in Lisbon</context>\n',
        "<user_profile>Lives in Lisbon</user_profile>\n",
        "User profile:\n- name: Ana\n- city: Lisbon\n\n",
        "Conversation history:\nUser: lives in Lisbon\nAssistant: noted\n\n",
        "You are a helpful travel assistant. Lisbon is the user's city.\nBe brief.\n\n",
        "System prompt: the user lives in Lisbon\n\n",
        "Souvenirs pertinents :\n- Habite à Lisbonne (Lisbon)\n\n",
        "Recuerdos relevantes:\n- Vive en Lisbon\n\n",
        "Relevante Erinnerungen:\n- Wohnt in Lisbon\n\n",
    ],
)
def test_what_was_recalled_is_gone_and_what_was_said_stays(echo: str) -> None:
    """Before and after the user's words, and wherever nothing else was said."""
    assert own_words(f"{echo}{OWN}") == OWN
    assert own_words(f"{OWN}\n\n{echo}") == OWN
    assert own_words(echo) == ""
    assert "Lisbon" not in own_words(f"Hi!\n{echo}{OWN}")


@pytest.mark.parametrize(
    "text",
    [
        OWN,
        "Facts about me:\n- I live in Lisbon\n- My cat is Mia",
        "User profile: I'm a designer and I live in Lisbon",
        "My relevant memories of Rome are all sad",
        "You are right, I live in Lisbon",
        "You are an assistant, and I am a nurse from Lisbon.",
        "I like:\n- tea\n- jam",
        "Context: I live in Lisbon and need a dentist",
        "a < b and c > d <memories",
        "- one\n- two\n\n\nthree",
        "",
    ],
)
def test_the_user_s_own_words_are_left_as_they_are(text: str) -> None:
    assert own_words(text).removeprefix("User profile: ") == text.removeprefix("User profile: ")


def test_only_a_user_can_have_been_echoed_to() -> None:
    """The other turns are context and never a source; they only lose their secrets."""
    text = "Relevant memories:\n- password: hunter2"
    assert shown("assistant", text) == "Relevant memories:\n- password: [redacted:password]"
    assert shown("user", text) == ""


_lines = st.lists(
    st.sampled_from(
        ["Relevant memories:", "- Lives in Lisbon", "", "I like tea", "You are a helpful bot",
         "<memory>", "</memory>", "  more", "Context", "1. one", "User profile: my own"]
    ),
    max_size=9,
).map("\n".join)  # fmt: skip


@given(_lines)
def test_blanking_twice_changes_nothing_and_invents_nothing(text: str) -> None:
    once = own_words(text)
    assert own_words(once) == once
    assert all(line in text for line in once.split("\n"))

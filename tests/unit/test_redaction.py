"""Secrets never reach a model or a fact, and ordinary text is left as it is."""

from __future__ import annotations

import base64
import re
import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.redaction import is_secret, redact, redact_all

SECRETS = [
    ("key", "sk-proj-a8Kd93jsLq02mZx7Tn4v", "my OpenAI key {} stopped working"),
    ("key", "sk-ant-api03-Xk29dkWq01-LpZ", "use {} please"),
    ("key", "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc", "stripe: {}"),
    ("key", "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a", "git clone with {}"),
    ("key", "glpat-" + "zXk29dkWq01LpZqq3tya", "{}"),
    ("key", "xoxb-" + "2048291823-29182930192", "slack {}!"),
    ("key", "AKIA" + "IOSFODNN7EXAMPLE", "aws id {}"),
    ("key", "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q", "maps={}"),
    ("key", "hf_" + "AbCdEfGhIjKlMnOpQrStUvWx", "{}"),
    ("key", "a1b2c3d4e5f6", "API_KEY={}"),
    ("key", "zz9-plural-z-alpha1", "the access token is {}."),
    ("jwt", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_X", "jwt {}"),
    ("token", "mF_9.B5f-4.1JqM", "Authorization: Bearer {}"),
    ("password", "hunter2", "my password is {}"),
    ("password", "swordfish", "My password is {}."),
    ("password", "swordfish", 'the passphrase is "{}" by the way'),
    ("password", "Sommer!24", "mein Passwort lautet {}, bitte merken"),
    ("password", "girasol99", "la contraseña es {}"),
    ("password", "soleil7", "mon mot de passe est {}"),
    ("password", "correcthorse", "password for the wifi: {}"),
    ("password", "pa55", "DB_PASSWORD={}"),
    ("password", "hunter2", "user ana, pw: {}"),
    ("password", "hunter2x", "the wifi pass is {}"),
    ("password", "hunter2x", "log in with password {}, please"),
    ("password", "pa55w0rd", "postgres://ana:{}@db.example.com/app"),
    ("password", "correct horse battery staple", "my passphrase is {}"),
    ("password", "the cat sat on the mat", "passphrase: {}"),
    ("password", "apple river stone", "my backup phrase is {}"),
    ("password", "blue moose 42", "the wifi password is {}"),
    ("password", "blue moose 42", "our wifi password is {} and the router is upstairs"),
    ("password", "blue moose 42", "the password's {}"),
    ("password", "sunny side up", 'my login password is "{}"'),
    ("password", "purple elephant dance", "the WiFi code is {}"),
    ("password", "Fluffy Bunny Sunshine", "the password to my laptop is {}."),
    ("password", "soleil bleu 7", "mot de passe : {}"),
    ("password", "chat noir 42", "le mot de passe du wifi est {}"),
    ("password", "luna azul 42", "contraseña: {}"),
    ("password", "luna azul 42", "la contraseña del wifi es {}"),
    ("password", "blauer Elch 42", "Mein WLAN Passwort ist {}"),
    ("password", "pomme rivière pierre lune", "ma phrase de récupération : {}"),
    ("code", "four eight two one", "my pin is {}"),
    ("code", "4821", "mi PIN es {}"),
    ("code", "12-34-56", "the safe combination is {}"),
    ("card", "4111 1111 1111 1111", "my card is {} exp 12/29"),
    ("card", "378282246310005", "amex {}"),
    ("card", "5555-5555-5555-4444", "charge {}"),
    ("iban", "DE89 3704 0044 0532 0130 00", "send it to {}"),
    ("iban", "GB82WEST12345698765432", "{} is my account"),
    ("ssn", "536-90-4399", "my SSN: {}"),
    ("ssn", "536904399", "my social security number is {}"),
    ("code", "482913", "the verification code is {}"),
    ("code", "482913", "{} is your Acme login code"),
    ("code", "4821", "my PIN is {}"),
    ("code", "737", "cvv {}"),
    ("token", "q8ZxW2mLr7TnV4kYb0JdHs9PfGc3", "here: {}"),
    ("token", "9f86d081884c7d659a2feaa0c55ad015", "hash {}"),
]

ORDINARY = [
    "I was born on 1990-04-12 and moved in 2015.",
    "Call me on +1 415 555 2671 or 030 12345678.",
    "Order 4029357812345678 arrived, invoice INV-2024-000123.",  # fails the check digit
    "My order number is 1234567890123456.",
    "The tracking number is 1Z999AA10123456784",
    "My password is too long",
    "My password is wrong.",
    "The password is required",
    "Passwords are hard to remember",
    "I forgot my password",
    "My password manager is 1Password",
    "My boarding pass: gate B42",
    "The password changed 3 times since 2019",
    "My password is in the drawer",
    "My secret is patience",
    "The token is a gift from my grandmother",
    "I keep my PIN secret",
    "I have 1000000000000 reasons",
    "trace 0198a3c2-7f51-7c1e-9d2a-3b4c5d6e7f80",
    "commit 6c7af85d2b9e4f1a0c3d8e7b6a5f4c3d2e1b0a9f",
    "https://example.com/a/Very-Long-Path-With-2024-Dates/and_more_words_here",
    "I work on services/extractor/session.py and my_very_long_function_name_here_v2",
    "AntidisestablishmentarianismIsALongWord",
    "The bearer of this letter is my sister Sara",
    "ISBN 978-3-16-148410-0, 9783161484100",
    "My key ideas: patience and tea",
    "task-force members met in a sk-learn-like-package-for-students",
    "Timestamp 1716239022123 and 1716239022",
    "Room 4012, flight LH 1234, 12:30-14:45",
    "passwords are hard to remember",
    "my secret is that I love karaoke",
    "my password is too long to type",
    "My password is case sensitive",
    "the password is written on the router",
    "the wifi password was changed yesterday",
    "my password is probably leaked",
    "My passphrase is hard to remember",
    "my passphrase is too short",
    "the passphrase is required for the upload",
    "my password manager is great",
    "My password is saved in the browser",
    "the password is twelve characters long",
    "Password reset emails never arrive",
    "what makes a passphrase strong?",
    "The password is not strong enough",
    "my password is still valid",
    "my password is super weak",
    "I lost my recovery phrase",
    "my recovery phrase is safe in a vault",
    "The recovery phrase has 24 words and must be kept offline",
    "recovery phrase is needed to restore the wallet",
    "my pin is easy to guess",
    "I keep my PIN in my head",
    "J'ai oublié mon mot de passe",
    "mon mot de passe est trop long",
    "mon mot de passe est très difficile à retenir",
    "olvidé mi contraseña",
    "mi contraseña es muy larga",
    "la contraseña no funciona",
    "Mein Passwort ist zu lang",
    "la clave es trabajar duro",
    "I planted a seed and it is growing",
    "twelve words: that's all I wrote",
    "The seed is a small brown thing from my garden and it grew into something nice over time",
    "my phrase of the day is carpe diem",
    "The secret to happiness is good coffee",
    "my password is the same everywhere",
    "a lock code is on the box",
    "passwords: a history of bad ideas",
    "My favorite phrase is better late than never",
    "my password expired and now I can't log in",
    "the password is wrong again",
    "My password is incorrect apparently",
    "the code is compiling",
    "the pass is over the mountain",
    "My boarding pass is on my phone",
    "what is the wifi password?",
    "the password is getting old",
    "my passphrase is longer than yours",
    "password: required",
    "password: must be at least 8 characters",
    "I wrote a blog post about passphrases: why they matter and how to choose one",
    "my bike pass is valid until June",
    "My passport is blue and old",
    "Ich heiße Jürgen und wohne seit 2019 in Köln",
    "",
]


@pytest.mark.parametrize(("kind", "secret", "around"), SECRETS)
def test_a_secret_is_replaced_by_its_kind(kind: str, secret: str, around: str) -> None:
    """Nothing of it is left, what stands around it is, and doing it twice changes nothing."""
    text = around.format(secret)
    shown = redact(text)
    assert shown == around.format(f"[redacted:{kind}]")
    assert redact(shown) == shown
    assert is_secret(text) and is_secret(shown)


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert redact(text) == text
    assert not is_secret(text)


def test_a_private_key_is_blanked_whole_even_when_its_end_is_missing() -> None:
    body = "MIIEowIBAAKCAQEA7\nbq8+Zx==\n"
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{body}-----END RSA PRIVATE KEY-----"
    assert redact(f"look:\n{key}\nthanks") == "look:\n[redacted:private-key]\nthanks"
    assert redact(key[:60]) == "[redacted:private-key]"


def test_a_wallet_s_twelve_words_are_a_secret() -> None:
    words = "legal winner thank year wave sausage worth useful legal winner thank yellow"
    assert redact(f"seed phrase: {words}.") == "seed phrase: [redacted:seed-phrase]."


@pytest.mark.parametrize(
    "around",
    [
        "my metamask seed: {}",
        "my 12 words are {}",
        "mi frase semilla: {}",
        "ma phrase de récupération est {}",
    ],
)
@pytest.mark.parametrize("between", [" ", ", ", "\n", " {}. "])
def test_a_wallet_s_words_are_seen_in_any_list(around: str, between: str) -> None:
    """With commas, a line each, or numbered."""
    phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow"
    words = re.split(" ", phrase)
    parts = [words[0]] + [between.format(at) + word for at, word in enumerate(words[1:], 2)]
    shown = redact(around.format("".join(parts)))
    assert shown == around.format("[redacted:seed-phrase]")


def test_a_document_is_redacted_in_every_string() -> None:
    document = {"a": ["my password is hunter2", 4111111111111111, None], "b": {"c": "tea"}}
    assert redact_all(document) == {
        "a": ["my password is [redacted:password]", 4111111111111111, None],
        "b": {"c": "tea"},
    }


_prose = st.text(
    alphabet=string.ascii_letters + string.digits + " .,:;=-_'\"!?/@\n[]äéñ", max_size=200
)
_pieces = st.one_of(
    _prose,
    st.sampled_from([around.format(secret) for _, secret, around in SECRETS]),
    st.sampled_from(
        ["password is ", "token: ", "[redacted:card]", "pin ", "-----BEGIN PRIVATE KEY-----"]
    ),
)


@given(st.lists(_pieces, max_size=5).map("".join))
def test_redaction_is_idempotent(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@given(st.lists(_pieces, max_size=5).map(" ".join))
def test_redaction_only_takes_away(text: str) -> None:
    """What is left stood in the text in this order: nothing is invented, nothing repeated."""
    rest = redact(text)
    position = 0
    for piece in re.split(r"\[redacted:[a-z-]+\]", rest):
        found = text.find(piece, position)
        assert found >= 0
        position = found + len(piece)


@given(st.text(max_size=300))
def test_text_without_a_secret_is_unchanged(text: str) -> None:
    assume(not is_secret(text))
    assert redact(text) == text


@given(
    st.lists(
        st.sampled_from(["the", "fox", "lives", "in", "Lisbon", "since", "2019", "with", "Anna"])
    )
)
def test_plain_words_hold_no_secret(words: list[str]) -> None:
    assert redact(" ".join(words)) == " ".join(words)


@given(st.binary(min_size=24, max_size=48))
def test_most_random_keys_are_seen_and_none_is_seen_in_part(raw: bytes) -> None:
    """What a machine drew is blanked whole or, where it looks like words, left whole."""
    key = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    assert redact(f"use {key} now") in {f"use {key} now", "use [redacted:token] now"}


@given(st.text("0123456789", min_size=15, max_size=15))
def test_a_card_number_is_seen_however_it_is_grouped(digits: str) -> None:
    number = "4" + digits[:14]
    number += next(d for d in "0123456789" if _luhn(number + d))
    for grouped in (
        number,
        " ".join(re.findall("....", number)),
        "-".join(re.findall("....", number)),
    ):
        assert redact(f"pay {grouped} now") == "pay [redacted:card] now"


def _luhn(number: str) -> bool:
    digits = [int(d) for d in reversed(number)]
    doubled = [d * 2 - 9 * (d > 4) for d in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0

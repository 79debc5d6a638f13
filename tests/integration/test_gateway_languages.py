"""What was written in any language and script is found by words of the same."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from tests.integration.test_gateway_app import Api, serve
from tests.integration.test_gateway_recall import AwayEmbedder


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None, embedder=AwayEmbedder()) as served:
        yield served


async def found(api: Api, query: str) -> list[str]:
    body = {"user_id": "ana", "query": query, "hints": False, "limit": 20}
    answer = await api.post("/v1/recall", body)
    assert answer.status_code == 200, answer.text
    return [fact["content"] for fact in answer.json()["relevant_facts"]]


PLAIN = Path(__file__).parents[1] / "data" / "plain_lexemes.sql"
BESIDE = "Owns a wooden boat"

SAID = {
    "Likes running in the mountains": ["run", "mountain", "Mountains?"],
    "J'adore les chevaux et j'habite à Besançon": [
        "chevaux",
        "habiter",
        "J’habite où ?",
        "besancon",
    ],
    "Elle a mangé des pommes hier avec ses amies": ["mangée", "manger une pomme", "amie"],
    "Me gustan mucho las canciones de Andalucía": [
        "canción",
        "cancion",
        "andalucia",
        "¿qué canciones?",
    ],
    "Mi hermana trabaja en los hospitales de Málaga": ["hospital", "trabajar", "MALAGA"],
    "Ich habe zwei Häuser und wohne nicht in München": [
        "Haus",
        "haus",
        "Häuser",
        "munchen",
        "Wo wohnst du?",
    ],
    "Meine Tochter spielt für den Verein Fußball": ["Fussball", "spielen", "Töchter"],
    "Frau Müller ist meine Ärztin": ["Mueller", "muller", "Arztin"],
    "Ich habe eine Krankenversicherung bei der AOK": ["Versicherung"],
    "Diyarbakır'da yaşıyorum, ISPARTA'yı seviyorum": [
        "diyarbakir",
        "DİYARBAKIR",
        "ısparta",
        "yasiyorum",
    ],
    "İstanbul is home": ["istanbul", "İSTANBUL", "Istanbul"],
    "Я живу в Москве и люблю собак": ["Москва", "собака", "любить"],
    "Μένω στην Αθήνα": ["Αθηνα", "αθήνα"],
    "أعيش في القاهرة وأحب القهوة": ["القاهرة", "القهوة", "قهوة"],
    "אני גר בתל אביב ואוהב קפה": ["קפה", "אביב"],
    "東京に住んでいて、猫が二匹います": ["東京", "猫", "住んで", "どこに住んでいますか"],
    "我住在北京，喜欢喝绿茶": ["北京", "绿茶", "你喜欢喝什么？"],
    "저는 서울에 살고 고양이를 키워요": ["서울", "고양이"],
    "ฉันอยู่ที่กรุงเทพ": ["กรุงเทพ"],
    "मैं दिल्ली में रहता हूँ": ["दिल्ली"],
    "Works at Tokyo支店 since May": ["支店", "tokyo"],
    "Has the 🐶 badge": ["🐶"],
    "Lives in “Lisbon”—near the river…": ["lisbon", "river", "near"],
    "O'Brien's naïve co-worker ate 3.14 pies": ["brien", "naive", "worker", "pie"],
}


@pytest.mark.parametrize("content", SAID)
async def test_it_is_found_by_its_own_words(api: Api, content: str) -> None:
    await api.fact(content)
    await api.fact(BESIDE)
    for query in SAID[content]:
        assert await found(api, query) == [content], query


async def test_the_query_may_be_of_another_language_than_the_fact(api: Api) -> None:
    """Words of one language inside a question of another; words alone, whose language none can tell."""
    await api.fact("Ich habe zwei Häuser und wohne nicht in München")
    await api.fact("J'adore les chevaux et les canards")
    await api.fact(BESIDE)
    for query in ("What does Häuser mean to the user?", "häusern"):
        assert (await found(api, query))[0].startswith("Ich habe"), query
    for query in ("Did I say something about canard?", "¿qué digo de los canards?"):
        assert (await found(api, query))[0].startswith("J'adore"), query


def test_the_language_of_a_text_is_told_by_its_small_words(database_url: str) -> None:
    texts = {
        "Lives in Lisbon with the dog": "english",
        "Lisbon": "english",
        "": "english",
        "J'habite à Lisbonne avec mon chien": "french",
        "Vivo en Lisboa con mi perro": "spanish",
        "Ich wohne mit meinem Hund in Lissabon": "german",
        "Wohnt in Köln": "german",
        "私は東京に住んでいます": "english",
    }
    with psycopg.connect(database_url) as connection:
        for text, language in texts.items():
            told = connection.execute(
                "SELECT memoire_language(%(text)s, array_agg(word)) FROM memoire_words(%(text)s)"
                " WHERE NOT is_run",
                {"text": text},
            ).fetchone()
            assert told == (language,), text


def test_quick_words_are_the_plain_ones(database_url: str) -> None:
    """Whatever is said, facts and queries are cut and stemmed as the plain definition has it."""
    chance = random.Random(7)
    texts = _chat() + list(SAID) + [q for qs in SAID.values() for q in qs]
    words = [word for text in texts for word in text.split()]
    texts += [" ".join(chance.choices(words, k=9)) for _ in range(300)]
    texts += [_any_signs(chance) for _ in range(600)]
    with psycopg.connect(database_url) as connection:
        connection.execute(PLAIN.read_text(encoding="utf-8"))
        apart = connection.execute(
            "SELECT said FROM unnest(%s::text[]) AS said"
            " WHERE memoire_lexemes(said) <> plain_lexemes(said)"
            "    OR ARRAY(SELECT (term, variant)::text FROM memoire_asked(said) ORDER BY 1)"
            "    <> ARRAY(SELECT (term, variant)::text FROM plain_asked(said) ORDER BY 1)",
            [texts],
        ).fetchall()
    assert apart == []


def _chat() -> list[str]:
    lines = (PLAIN.parent / "chat_messages_more.jsonl").read_text(encoding="utf-8").splitlines()
    return [str(json.loads(line)) for line in lines]


def _any_signs(chance: random.Random) -> str:
    """Signs of a few scripts, marks and punctuation among them, as nobody would write them."""
    blocks = [(0x20, 0x7F), (0xA0, 0x250), (0x300, 0x530), (0x590, 0x700), (0x900, 0x980)]
    blocks += [(0xE00, 0x1100), (0x1E00, 0x2100), (0x3000, 0x3100), (0x4E00, 0x4E80)]
    blocks += [(0xAC00, 0xAC40), (0xFE00, 0xFF80), (0x1F600, 0x1F640)]
    drawn = [chance.choice(blocks) for _ in range(3)]
    return "".join(chr(chance.randrange(*chance.choice(drawn))) for _ in range(40))


@pytest.mark.parametrize(
    "content",
    [
        "'\"\\:*&|!()<->",
        "x" * 2_000,
        "字" * 2_000,
        "\u0300\u200d",
        "a' | 'b",
        "…",
        "ŉa bo\\o",
        "%s \\1 $$",
    ],
)
async def test_no_text_is_too_strange(api: Api, content: str) -> None:
    await api.fact(content)
    await api.fact(BESIDE)
    await found(api, content[:2_000])
    assert await found(api, "wooden boat") == [BESIDE]

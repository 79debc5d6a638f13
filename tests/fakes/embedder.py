"""An embedder without a model: words hashed into a vector. Equal texts are equal vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

DIMENSIONS = 64


class HashEmbedder:
    model = "test-hash"
    dimensions = DIMENSIONS
    batch = 64

    async def warm(self) -> None:
        return None

    async def embed(self, texts: Sequence[str], payers: Sequence[str] = ()) -> np.ndarray:
        return np.stack([vector_of(text) for text in texts])


def vector_of(text: str) -> np.ndarray:
    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    for word in text.lower().split():
        digest = hashlib.sha256(word.strip(".,!?").encode()).digest()
        vector[digest[0] % DIMENSIONS] += 1.0 if digest[1] % 2 else -1.0
    norm = float(np.linalg.norm(vector))
    return vector / norm if norm else np.full(DIMENSIONS, DIMENSIONS**-0.5, dtype=np.float32)

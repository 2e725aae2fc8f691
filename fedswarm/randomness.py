"""Randomness as a function of ``(seed, round, purpose, identity)``, never of a global generator.

The idea is FedJAX's (``client_samplers.py``): whoever asks for the same key gets the same numbers, on any process, in
any order, after any restart. Nothing about random state has to be saved, and a resumed run equals an undisturbed one.
"""

from __future__ import annotations

import hashlib

from numpy.random import Generator, Philox  # NumPy loads it when first used, which would be amid a round


def key_digest(seed: int, round_index: int, purpose: str, identity: int = 0) -> bytes:
    """16 bytes that depend on the whole key; distinct keys give independent streams."""
    text = f"{seed}/{round_index}/{purpose}/{identity}"
    return hashlib.blake2b(text.encode(), digest_size=16, person=b"fedswarm-keyed").digest()


def generator(seed: int, round_index: int, purpose: str, identity: int = 0) -> Generator:
    """A NumPy generator for one purpose, e.g. ``generator(233, 7, "batches", client_id)``."""
    return Generator(Philox(key=int.from_bytes(key_digest(seed, round_index, purpose, identity))))


def torch_seed(seed: int, round_index: int, purpose: str, identity: int = 0) -> int:
    """A 63-bit seed for a ``torch.Generator`` (which takes a single integer)."""
    return int.from_bytes(key_digest(seed, round_index, purpose, identity)[:8]) >> 1

"""Named streams of random numbers: each part of the shop draws from its own, undisturbed by others."""

import zlib

import numpy as np


def stream(seed: int, *key: str | int) -> np.random.Generator:
    """Return the random stream that belongs to a key, the same for the same seed and key.

    A key is made of names and numbers, such as ``("dirt", "online_retail.csv", 3)``.
    """
    spawn_key = tuple(zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key)
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=spawn_key))


def seconds_of_day(hours: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw moments of a day in seconds after midnight; ``hours`` holds a weight for each hour (24, or more
    where a shop's day runs past midnight).
    """
    bounds = np.cumsum(hours) / np.sum(hours)
    hour = np.searchsorted(bounds, rng.random(count), side="right")
    drawn: np.ndarray = np.minimum(hour, len(hours) - 1) * 3600 + rng.integers(0, 3600, count)
    return drawn


def weighted(weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw ``count`` indices with replacement, each in proportion to its weight (at least one positive)."""
    bounds = np.cumsum(weights)
    # A uniform draw can round up to the total itself, and then no bound lies above it.
    drawn = np.searchsorted(bounds, rng.random(count) * bounds[-1], side="right")
    last = int(np.flatnonzero(weights)[-1])
    kept: np.ndarray = np.minimum(drawn, last)
    return kept

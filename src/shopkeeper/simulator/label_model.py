"""A label that follows known attributes, and one that follows nothing."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

LETTERS = ("a", "b", "c", "d")
LETTER_SHARES = np.array([0.101, 0.2, 0.301, 0.398])
POSITIVE_SHARE = 0.091

LETTER_EFFECTS = np.array([1.2, 0.4, 0.0, -0.5])
NUMBER_EFFECT, LATEST_EFFECT = 0.8, 2.0


@dataclass(frozen=True)
class Attributes:
    """What a customer's label may depend on.

    ``number`` is standard normal in hundredths (``attr_a``); ``letter`` indexes LETTERS (``attr_b``);
    ``latest`` is the latest ``scd_a``, uniform over 0 to 9,999 in ten-thousandths.
    """

    number: np.ndarray
    letter: np.ndarray
    latest: np.ndarray


def scores(attributes: Attributes) -> np.ndarray:
    """Return each customer's log-odds up to a constant."""
    odds: np.ndarray = (
        NUMBER_EFFECT * attributes.number / 100
        + LETTER_EFFECTS[attributes.letter]
        + LATEST_EFFECT * (attributes.latest / 10_000 - 0.5)
    )
    return odds


def intercept(odds: np.ndarray, share: float) -> float:
    """Return the constant that makes the mean probability equal to ``share``, by bisection."""
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if probability(odds + middle).mean() < share else (low, middle)
    return low


def probability(odds: np.ndarray) -> np.ndarray:
    """Return the logistic function of log-odds."""
    chance: np.ndarray = 1 / (1 + np.exp(-odds))
    return chance


def model_table(constant: float) -> pa.Table:
    """Return the truth about the label: the coefficient of each term of its log-odds."""
    effects = {
        "intercept": constant - LATEST_EFFECT * 0.5,
        "attr_a": NUMBER_EFFECT,
        **{f"attr_b={letter}": effect for letter, effect in zip(LETTERS, LETTER_EFFECTS.tolist(), strict=True)},
        "latest scd_a": LATEST_EFFECT,
        "latest scd_b": 0.0,
    }
    return pa.table({"term": list(effects), "coefficient": list(effects.values())})

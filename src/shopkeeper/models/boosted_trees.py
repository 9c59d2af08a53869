"""Trees boosted by LightGBM as an array of bytes, and back: its own text, which is data and no program."""

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import ModelError

if TYPE_CHECKING:
    import lightgbm


def packed(learner: "lightgbm.Booster") -> NDArray[np.uint8]:
    """Return fitted trees as bytes."""
    return np.frombuffer(learner.model_to_string().encode(), np.uint8)


def unpacked(told: NDArray[np.uint8], n_columns: int | None = None) -> "lightgbm.Booster":
    """Return the trees that ``packed`` gave, for rows of so many columns (None: of any). Raises ModelError if they are not
    whole.

    LightGBM ends the process over a text that is cut off, so its trees are measured first.
    """
    import lightgbm

    text = told.tobytes().decode()
    sizes, start = re.search(r"^tree_sizes=([\d ]*)$", text, re.MULTILINE), text.find("\nTree=0\n") + 1
    if not sizes or not start or not text.startswith("end of trees", start + sum(map(int, sizes[1].split()))):
        raise ModelError("boosted trees must be whole, as LightGBM wrote them; got others. Train the model anew.")
    found = lightgbm.Booster(model_str=text)
    if n_columns is not None and found.num_feature() != n_columns:
        raise ModelError(
            f"boosted trees must be made for {n_columns} columns; got {found.num_feature()}. Train them anew."
        )
    return found

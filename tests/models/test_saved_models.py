"""A folder that is no model, or a broken one, is refused in a sentence by every subject; nothing in it is executed."""

import importlib.util
import json
import pickle
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from shopkeeper.errors import ModelError
from shopkeeper.models.baskets import Baskets
from shopkeeper.models.churn import Churn
from shopkeeper.models.demand import Demand
from shopkeeper.models.labels import Labels
from shopkeeper.models.lifetime import Lifetime
from shopkeeper.models.model import ARRAYS, FIELDS, STATE
from shopkeeper.models.prices import Prices
from shopkeeper.models.recommendations import Recommendations
from shopkeeper.models.segments import Segments

SUBJECTS = {
    "churn": Churn(),
    "lifetime": Lifetime(),
    "segments": Segments(),
    "labels": Labels(),
    "baskets": Baskets(),
    "recommendations": Recommendations(),
    "demand": Demand(),
    "prices": Prices(),
}
spec = importlib.util.spec_from_file_location("contract", Path(__file__).with_name("test_contract.py"))
contract = importlib.util.module_from_spec(spec)
spec.loader.exec_module(contract)
NAMES = [name for name in contract.CASES if "balanced" not in name]
each_model = pytest.mark.parametrize("name", NAMES)


def told_in(folder: Path) -> dict:
    """What ``model.json`` says."""
    return json.loads((folder / STATE).read_text("utf-8"))


def arrays_in(folder: Path) -> dict[str, np.ndarray]:
    """The arrays of a folder."""
    with np.load(folder / ARRAYS) as arrays:
        return {key: arrays[key] for key in arrays.files}


def seal(folder: Path, told: dict, arrays: dict[str, np.ndarray] | None = None) -> None:
    """Write what somebody has altered, with a digest that fits: the worst case."""
    if arrays is not None:
        with (folder / ARRAYS).open("wb") as file:
            np.savez(file, **arrays)
    digest = sha256((folder / ARRAYS).read_bytes()).hexdigest()
    (folder / STATE).write_text(json.dumps({**told, "arrays_sha256": digest}), "utf-8")


def refused(name: str, folder: Path) -> str:
    """The sentence in which a subject refuses the folder."""
    with pytest.raises(ModelError) as caught:
        SUBJECTS[name.split("/", maxsplit=1)[0]].load(folder)
    return str(caught.value)


@each_model
def test_files_that_are_cut_off_are_refused(name, tmp_path):
    """Either file cut in the middle, emptied, or gone; and arrays that are not those that were written."""
    for file in (ARRAYS, STATE):
        contract.fitted(name).save(tmp_path)
        whole = (tmp_path / file).read_bytes()
        for part in (whole[: len(whole) // 2], b"", whole + b"."):
            (tmp_path / file).write_bytes(part)
            refused(name, tmp_path)
        (tmp_path / file).unlink()
        refused(name, tmp_path)


@each_model
def test_what_is_said_must_be_whole(name, tmp_path):
    """Each field gone or of another kind, each value of the state gone or a word, a list for all, another model's name."""
    contract.fitted(name).save(tmp_path)
    told, arrays = told_in(tmp_path), arrays_in(tmp_path)
    wrong = [{key: value for key, value in told.items() if key != field} for field in FIELDS]
    wrong += [{**told, field: None} for field in FIELDS]
    wrong += [{**told, "model": "../crystal_ball"}, {**told, "format": 1}]
    wrong += [
        {**told, "state": {key: each for key, each in told["state"].items() if key != gone}} for gone in told["state"]
    ]
    for one in wrong:
        if one.get("arrays_sha256"):
            seal(tmp_path, one, arrays)
        else:
            (tmp_path / STATE).write_text(json.dumps(one), "utf-8")
        refused(name, tmp_path)
    for odd in ("[]", "3", '{"format": 2}', "[" * 100_000, json.dumps({**told, "seed": float("nan")})):
        (tmp_path / STATE).write_text(odd, "utf-8")
        refused(name, tmp_path)


@each_model
def test_arrays_must_be_what_the_model_wrote(name, tmp_path):
    """Gone, of texts, halved, with gaps, or as lists in the other file: each sealed again, each refused."""
    contract.fitted(name).save(tmp_path)
    told, arrays = told_in(tmp_path), arrays_in(tmp_path)
    for key, values in arrays.items():
        others = {each: array for each, array in arrays.items() if each != key}
        wrong = [others, {**others, key: np.array(["x", "y"])}]
        wrong += [{**others, key: values[: len(values) // 2]}] if len(values) > 1 else []
        wrong += [{**others, key: np.full_like(values, np.nan)}] if values.dtype.kind == "f" and values.size else []
        for one in wrong:
            seal(tmp_path, told, one)
            refused(name, tmp_path)
        seal(tmp_path, {**told, "state": {**told["state"], key: values.tolist()}}, others)
        refused(name, tmp_path)


class Bomb:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@each_model
def test_a_pickle_is_never_opened(name, tmp_path):
    """An array of objects, and a file that is a pickle altogether, do not run."""
    contract.fitted(name).save(tmp_path)
    told, mark = told_in(tmp_path), tmp_path / "ran"
    seal(tmp_path, told, {**arrays_in(tmp_path), "more": np.array([Bomb(mark)], object)})
    assert "allow_pickle=False" in refused(name, tmp_path)
    (tmp_path / ARRAYS).write_bytes(pickle.dumps(Bomb(mark)))
    seal(tmp_path, told)
    refused(name, tmp_path)
    assert not mark.exists()


def test_a_file_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    """What unpacks to more than is allowed is not unpacked; a header that claims a thousand terabytes neither."""
    monkeypatch.setattr("shopkeeper.models.model.MOST_BYTES", 1000)
    contract.fitted("churn/recency").save(tmp_path)
    told = told_in(tmp_path)
    seal(tmp_path, told, {**arrays_in(tmp_path), "more": np.zeros(1000)})
    assert "1,000 bytes at most" in refused("churn/recency", tmp_path)
    huge = b"{'descr': '<f8', 'fortran_order': False, 'shape': (125000000000000,), }"
    import zipfile

    with zipfile.ZipFile(tmp_path / ARRAYS, "w") as packed:
        packed.writestr("line.npy", b"\x93NUMPY\x01\x00" + len(huge).to_bytes(2, "little") + huge)
    seal(tmp_path, told)
    refused("churn/recency", tmp_path)


def test_a_tree_that_leads_in_a_circle_is_refused(tmp_path):
    """A node that is its own child would be walked for ever."""
    contract.fitted("segments/threshold_tree").save(tmp_path)
    arrays = arrays_in(tmp_path)
    trees = arrays["trees"].copy()
    trees[0, 2:4] = 0
    seal(tmp_path, told_in(tmp_path), {**arrays, "trees": trees})
    assert "children that come after them" in refused("segments/threshold_tree", tmp_path)

"""All models obey one contract: refit, reload, seed, order of rows, and what they refuse.

Cases come from ``cases_*.py`` beside this file. Each has ``CASES``: name → (a function that makes the model unfitted, a
function that makes its rows, with the target). To add a model is to add a line there.
"""

import functools
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from shopkeeper.errors import ModelError
from shopkeeper.models.model import ARRAYS, STATE, Model


def cases() -> dict[str, tuple[Callable[[], Model], Callable[[], pa.Table]]]:
    """Gather the cases of all files, in the order of their names."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("cases_*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found |= module.CASES
    return found


CASES = cases()
each_model = pytest.mark.parametrize("name", CASES)


@functools.cache
def rows_of(name: str) -> pa.Table:
    """Make the rows of a case, once."""
    return CASES[name][1]()


@functools.cache
def fitted(name: str) -> Model:
    """Fit the model of a case, once; tests may score with it, not alter it."""
    return make(name).fit(rows_of(name))


def make(name: str) -> Model:
    """Make the model of a case, not fitted."""
    return CASES[name][0]()


def copy_of(rows: pa.Table) -> pa.Table:
    """Copy rows, memory and all."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return pa.ipc.open_stream(sink.getvalue()).read_all()


def assert_same(one: pa.Table, other: pa.Table, *, digits: float = 0.0) -> None:
    """Hold two tables of scores against each other: to the bit, or to a relative difference."""
    assert one.schema.names == other.schema.names
    for column in one.schema.names:
        if pa.types.is_floating(one[column].type):
            np.testing.assert_allclose(one[column].to_numpy(), other[column].to_numpy(), rtol=digits, atol=digits)
        else:
            np.testing.assert_array_equal(
                np.array(one[column].to_pylist(), object), np.array(other[column].to_pylist(), object)
            )


@each_model
def test_a_second_fit_gives_the_same_scores(name):
    """Fitted on half of the rows and then on all of them, a model is as one fitted on all of them, to the bit."""
    rows = rows_of(name)
    model = make(name)
    half = rows.take(np.arange(0, rows.num_rows, 2))
    assert_same(model.fit(half).fit(rows).score(rows), fitted(name).score(rows))


@each_model
def test_a_reloaded_model_gives_the_same_scores(name, tmp_path):
    """To the bit, and the same reasons."""
    rows, model = rows_of(name), fitted(name)
    model.save(tmp_path)
    model.save(tmp_path)
    loaded = type(model).load(tmp_path)
    assert_same(loaded.score(rows), model.score(rows))
    few = rows.slice(0, 5)
    assert_same(loaded.explain(few), model.explain(few))
    assert loaded.parameters == json.loads(json.dumps(model.parameters))
    assert loaded.columns == model.columns


@each_model
def test_rows_in_any_order_give_the_same_scores(name):
    """Shuffled to score: the same to the bit, row by row; shuffled to fit: the same to ten digits."""
    rows, model = rows_of(name), fitted(name)
    order = np.random.default_rng(0).permutation(rows.num_rows)
    assert_same(model.score(rows.take(order)), model.score(rows).take(order))
    assert_same(make(name).fit(rows.take(order)).score(rows), model.score(rows), digits=1e-10)


@each_model
def test_a_row_is_scored_alike_alone_and_in_company(name):
    """No row's score depends on the others scored with it; no rows give no scores."""
    rows, model = rows_of(name), fitted(name)
    for at in (0, rows.num_rows // 2):
        assert_same(model.score(rows.slice(at, 1)), model.score(rows).slice(at, 1))
    nothing = model.score(rows.slice(0, 0))
    assert nothing.num_rows == 0
    assert nothing.column_names == model.score(rows).column_names


@each_model
def test_rows_handed_in_are_unharmed(name):
    """Neither fit nor score nor explain alters them."""
    rows = copy_of(rows_of(name))
    model = make(name).fit(rows)
    model.score(rows)
    model.explain(rows)
    assert rows.equals(rows_of(name))


@each_model
def test_extra_columns_change_nothing(name):
    """A column that the model was not made for is not looked at."""
    rows = rows_of(name)
    wider = rows.append_column("shoe_size", pa.array(np.arange(rows.num_rows) % 7)).select(
        ["shoe_size", *reversed(rows.column_names)]
    )
    assert_same(make(name).fit(wider).score(wider), fitted(name).score(rows))


@each_model
def test_a_missing_column_is_named(name):
    """To fit and to score, each column that the model needs."""
    rows, model = rows_of(name), fitted(name)
    for column in model.columns:
        with pytest.raises(ModelError, match=f"missing: {column}"):
            model.score(rows.drop_columns(column))
    for column in (*model.columns[:1], *model.target):
        with pytest.raises(ModelError, match=f"missing: {column}"):
            make(name).fit(rows.drop_columns(column))


@each_model
def test_a_model_must_be_fitted_first(name, tmp_path):
    """Before, it neither scores nor explains nor is saved."""
    model, rows = make(name), rows_of(name)
    for ask in (lambda: model.score(rows), lambda: model.explain(rows), lambda: model.save(tmp_path)):
        with pytest.raises(ModelError, match="must be fitted before"):
            ask()


@each_model
def test_what_is_saved_holds_no_pickle(name, tmp_path):
    """A JSON file and a file of arrays of numbers or texts; nothing else."""
    fitted(name).save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {STATE, ARRAYS}
    told = json.loads((tmp_path / STATE).read_text("utf-8"))
    assert told["model"] == fitted(name).name
    with np.load(tmp_path / ARRAYS, allow_pickle=False) as arrays:
        assert all(not arrays[key].dtype.hasobject for key in arrays.files)


@each_model
def test_a_folder_of_another_model_is_refused(name, tmp_path):
    """A model loads only its own kind, and says what it got."""
    fitted(name).save(tmp_path)
    told = json.loads((tmp_path / STATE).read_text("utf-8"))
    (tmp_path / STATE).write_text(json.dumps({**told, "model": "crystal_ball"}), "utf-8")
    with pytest.raises(ModelError, match="got crystal_ball"):
        type(fitted(name)).load(tmp_path)


@each_model
def test_reasons_are_of_the_rows(name):
    """Of each row at most the top reasons, the strongest first, with finite effects of columns that the model has."""
    rows, model = rows_of(name).slice(0, 20), fitted(name)
    told = model.explain(rows, top=2)
    assert told.column_names == ["row", "place", "feature", "value", "effect"]
    places: dict[int, list[float]] = {}
    for one in told.to_pylist():
        assert one["feature"] in model.columns
        assert 0 <= one["row"] < rows.num_rows
        places.setdefault(one["row"], []).append(one["effect"])
        assert one["place"] == len(places[one["row"]])
    for effects in places.values():
        assert len(effects) <= 2
        assert np.isfinite(effects).all()
        assert abs(effects[0]) >= abs(effects[-1])


@pytest.mark.parametrize(
    "name", [name for name in CASES if name.startswith(("churn/", "labels/")) and "prior" not in name]
)
def test_reasons_add_up_to_the_log_odds(name):
    """All effects of a row and the log-odds of its score differ by one and the same number in every row."""
    model, rows = fitted(name), rows_of(name).slice(0, 200)
    told = model.explain(rows, top=1000)
    if name.startswith("labels/random_forest"):
        assert not told.num_rows
        return
    sums = np.bincount(told["row"].to_numpy(), told["effect"].to_numpy(), rows.num_rows)
    column = "churn_probability" if name.startswith("churn/") else "score"
    chance = model.score(rows)[column].to_numpy(zero_copy_only=False)
    told_of = np.isfinite(chance) & (np.abs(chance - 0.5) < 0.4979)
    assert told_of.sum() > 100
    left = np.log(chance[told_of] / (1 - chance[told_of])) - sums[told_of]
    np.testing.assert_allclose(left, left[0], atol=2e-5)

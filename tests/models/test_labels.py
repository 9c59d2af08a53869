"""Labels: an honest answer on noise, nearly the truth's own score on signal, and a sentence for each odd table."""

import io
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from shopkeeper import evaluation
from shopkeeper.errors import ModelError
from shopkeeper.models.classifiers import KINDS, Logistic, RandomForest, maximise
from shopkeeper.models.labelled_rows import labelled_rows
from shopkeeper.models.labels import Labels, split_of
from shopkeeper.simulator import simulate

LAST = date(2024, 3, 1)
NOW = date(2024, 3, 2)


def silent(*_):
    """Tell nobody."""


@dataclass(frozen=True)
class Remembered:
    """A history in memory: features and attributes are the same at each moment, and known from ``since`` on."""

    known: pa.Table
    labelled: pa.Table
    said: pa.Table
    last_day: date | None = LAST
    first_day: date | None = date(2020, 1, 1)
    since: date = date(2020, 1, 1)

    def features(self, moments: Sequence[date]) -> pa.Table:
        rows = [self.known.slice(0, self.known.num_rows if moment >= self.since else 0) for moment in moments]
        return pa.concat_tables(
            part.append_column("as_of", pa.array([moment] * part.num_rows, pa.date32()))
            for part, moment in zip(rows, moments, strict=True)
        )

    def labels(self) -> pa.Table:
        return self.labelled

    def attributes(self, moments: Sequence[date]) -> pa.Table:
        return pa.concat_tables(
            self.said.append_column("as_of", pa.array([moment] * self.said.num_rows, pa.date32())) for moment in moments
        )

    def outcomes(self, moments, days):
        raise NotImplementedError

    def order_days(self):
        raise NotImplementedError


def labels_of(customers, values, labelled_at=None, kind=None) -> pa.Table:
    """Make a table of labels."""
    when = pa.nulls(len(customers), pa.timestamp("us")) if labelled_at is None else pa.array(labelled_at)
    return pa.table({"customer_id": customers, "label": pa.array(values, kind), "labelled_at": when})


def attributes_of(columns: dict[str, Sequence]) -> pa.Table:
    """Make a tall table of attributes from columns, the first being the customer."""
    customers, *names = columns
    return pa.concat_tables(
        pa.table(
            {
                "customer_id": pa.array(columns[customers], pa.string()),
                "name": pa.array([name] * len(columns[name]), pa.string()),
                "value": pa.array(columns[name], pa.string()),
            }
        )
        for name in names
    )


@pytest.fixture(scope="module")
def simulated():
    """Return a function: which label → the simulated shop's history, and the truth of each customer's label."""
    n = 6000
    shop = simulate("client_and_sales", customers=n, days=60, seed=5)
    files = {file.path.split("/")[0]: file for file in shop.files(dirt=False)}
    profiles, activity = (
        pyarrow.csv.read_csv(io.BytesIO(b"".join(files[name].chunks)))
        for name in ("customer_profiles", "customer_activity")
    )
    latest = activity.sort_by([("idx", "ascending"), ("valid_from", "ascending")]).group_by("idx", use_threads=False)
    latest = latest.aggregate([("scd_a", "last"), ("scd_b", "last")])
    said = pa.concat_tables(
        attributes_of({"idx": text(table["idx"]), **{as_name: text(table[name]) for as_name, name in names.items()}})
        for table, names in (
            (profiles, {"attr_a": "attr_a", "attr_b": "attr_b"}),
            (latest, {"scd_a": "scd_a_last", "scd_b": "scd_b_last"}),
        )
    )
    rng = np.random.default_rng(1)
    known = pa.table(
        {
            "customer_id": text(profiles["idx"]),
            "n_orders": rng.poisson(3, n),
            "country": rng.choice(["France", "Malta", "Chad"], n),
            **{f"unrelated_{at}": rng.lognormal(0, 1, n) for at in range(20)},
        }
    )
    truth = shop.truth(dirt=False)["labels"]
    chance = dict(zip(text(truth["customer_id"]), truth["label_probability"].to_pylist(), strict=True))

    def make(which: str) -> tuple[Remembered, dict[str, float]]:
        return Remembered(known, labels_of(text(truth["customer_id"]), truth[which].to_pylist()), said), chance

    return make


def text(column) -> list[str]:
    """Return a column as texts."""
    return [str(value) for value in column.to_pylist()]


@pytest.fixture(scope="module")
def on_signal(simulated):
    """Train once on the label that follows the attributes."""
    return Labels().train(simulated("label")[0], tell=silent)


@pytest.fixture(scope="module")
def on_noise(simulated):
    """Train once on the label that follows nothing."""
    return Labels().train(simulated("noise_label")[0], tell=silent)


def test_on_noise_no_model_beats_the_prior(on_noise):
    """The report says so, the gate refuses, and all four come out near .50."""
    report = on_noise.report
    assert report.notes[0].startswith("No model beats the prior")
    assert not evaluation.gate(report, has_champion=False).promote
    found = {one.name: one.figures["roc_auc"] for one in report.candidates}
    assert set(found) == {*KINDS, "prior"}
    assert all(figure.low <= 0.53 and figure.high >= 0.47 for figure in found.values())
    assert found["prior"] == evaluation.Figure(0.5, 0.5, 0.5)


def test_on_signal_the_choice_comes_near_the_truth(on_signal, simulated):
    """On the held-out customers its ROC AUC is within .02 of that of the true probability, and the gate lets it pass."""
    history, chance = simulated("label")
    split = split_of(labelled_rows(history)[0], 0)
    truth = split.held_out["label"].to_numpy()
    best = evaluation.roc_auc(truth, [chance[one] for one in split.held_out["customer_id"].to_pylist()])
    ours = evaluation.roc_auc(truth, on_signal.evaluated.chance(split.held_out))
    assert ours > best - 0.02
    assert evaluation.gate(on_signal.report, has_champion=False).promote
    assert not any("No model" in note for note in on_signal.report.notes)
    chosen = next(one for one in on_signal.report.candidates if one.name == on_signal.report.chosen)
    assert chosen.figures["roc_auc"].value == pytest.approx(ours)
    assert chosen.figures["calibration_error"].value < 0.03


def test_the_interval_holds_the_true_probability(on_signal, simulated):
    """Of the held-out customers' true probabilities at least 90 % lie within their interval, and it is narrow.

    All share one fit, so of one training nearly all may lie within.
    """
    history, chance = simulated("label")
    split = split_of(labelled_rows(history)[0], 0)
    told = on_signal.evaluated.score(split.held_out)
    true = [chance[one] for one in split.held_out["customer_id"].to_pylist()]
    assert evaluation.coverage(told["score_low"], told["score_high"], true).value >= 0.90
    width = np.mean(told["score_high"].to_numpy() - told["score_low"].to_numpy())
    assert width < 0.2


def test_oversampling_before_the_split_finds_what_is_not_there(on_noise, simulated):
    """Positives repeated and then split: on noise a forest shows an F1 above .70; our split of the same rows shows chance."""
    rows = labelled_rows(simulated("noise_label")[0])[0]
    label = rows["label"].to_numpy()
    rng = np.random.default_rng(0)
    repeated = np.concatenate(
        [np.flatnonzero(label == 0), rng.choice(np.flatnonzero(label == 1), int((label == 0).sum()))]
    )
    shuffled = rows.take(rng.permutation(repeated))
    cut = shuffled.num_rows * 3 // 4
    numbers = [name for name in rows.column_names if name.startswith("unrelated")]
    forest = RandomForest(numbers=numbers, depth=30, rows_per_leaf=1, rows_per_tree=10_000)
    trapped = forest.fit(shuffled.slice(0, cut)).chance(shuffled.slice(cut))
    truth = shuffled.slice(cut)["label"].to_numpy()
    assert evaluation.f1(truth, trapped) > 0.70
    assert evaluation.roc_auc(truth, trapped) > 0.90
    honest = next(one for one in on_noise.report.candidates if one.name == "random_forest")
    assert honest.figures["roc_auc"].low < 0.5 < honest.figures["roc_auc"].high + 0.03


def test_a_stored_recipe_gives_the_same_model_without_a_search(on_signal, simulated):
    """The recipe goes through JSON; scores are equal to the bit, and nothing is tried."""
    history = simulated("label")[0]
    again = Labels().train(history, parameters=json.loads(json.dumps(on_signal.parameters)), tell=silent)
    rows = labelled_rows(history)[0]
    assert again.model.score(rows).equals(on_signal.model.score(rows))
    assert again.report.chosen == on_signal.report.chosen
    assert (len(on_signal.trials), len(again.trials)) == (5, 0)


def test_the_report_tells_what_was_judged(on_signal):
    """Curves, facts and a card; it goes through JSON."""
    report = on_signal.report
    assert set(report.curves) == {"calibration", "gain", "lift", "roc", "pr", "confusion"}
    assert sum(report.curves["confusion"]["n"]) == report.n_rows
    assert evaluation.to_json(evaluation.from_json(evaluation.to_json(report))) == evaluation.to_json(report)
    assert "prior (baseline)" in evaluation.card(report, about=Labels.about)
    assert on_signal.reference.column_names[-1] == "score"


def test_the_published_rows(on_signal, simulated):
    """One row per customer; the best has rank 1 and decile 1; ten deciles; scores lie in their intervals."""
    told = Labels().predict(on_signal.model, simulated("label")[0], NOW, version="labels/1")["label_scores"]
    assert told.num_rows == len(set(told["customer_id"].to_pylist())) == 6000
    best = told.sort_by([("score", "descending")]).slice(0, 1).to_pylist()[0]
    assert (best["rank"], best["decile"], best["is_positive"]) == (1, 1, True)
    counts = np.bincount(told["decile"].to_numpy())[1:]
    assert len(counts) == 10
    assert counts.min() > 500
    low, score, high = (told[name].to_numpy() for name in ("score_low", "score", "score_high"))
    assert ((low <= score) & (score <= high)).all()
    assert set(told["model"].to_pylist()) == {on_signal.model.name}
    assert set(told["model_version"].to_pylist()) == {"labels/1"}


def test_the_prior_ranks_nobody(on_noise, simulated):
    """Where the baseline serves, all share rank 1 and one decile, with the share's interval, and nobody is called."""
    told = Labels().predict(on_noise.baseline, simulated("noise_label")[0], NOW, version="labels/1")["label_scores"]
    assert set(told["rank"].to_pylist()) == {1}
    assert len(set(told["decile"].to_pylist())) == 1
    assert set(told["is_positive"].to_pylist()) == {None}
    one = told.slice(0, 1).to_pylist()[0]
    assert one["score_low"] < one["score"] < one["score_high"]


def test_the_prior_has_a_reference_of_its_own(on_noise):
    """Where the prior serves, drift is not measured against the scores of the model that did not beat it."""
    found = on_noise.baseline_reference
    assert found["score"].to_pylist() == on_noise.baseline.score(found)["score"].to_pylist()
    assert found.drop_columns(["score"]).equals(on_noise.reference.drop_columns(["score"]))


def test_reasons_name_what_the_label_follows(on_signal, simulated):
    """The strongest reasons are the attributes that the simulator used."""
    rows = labelled_rows(simulated("label")[0])[0].slice(0, 300)
    first = on_signal.model.explain(rows, top=1)["feature"].to_pylist()
    used = {"attribute_attr_a", "attribute_attr_b", "attribute_scd_a"}
    assert sum(name in used for name in first) > 0.9 * len(first)


def test_a_champion_is_compared_on_the_same_rows(on_signal, simulated):
    """Against itself the gain is 0 and it is not promoted; one of other columns is left out with a note."""
    history = simulated("label")[0]
    recipe = on_signal.parameters
    same = Labels().train(history, parameters=recipe, champion=on_signal.evaluated, tell=silent).report
    assert same.against_champion.gain == evaluation.Figure(0, 0, 0)
    assert not evaluation.gate(same, has_champion=True).promote
    older = Logistic(numbers=["n_orders", "n_faxes"]).fit(
        labelled_rows(history)[0].append_column("n_faxes", pa.array(np.arange(6000) % 5))
    )
    left = Labels().train(history, parameters=recipe, champion=older, tell=silent).report
    assert left.against_champion is None
    assert any("needs n_faxes" in note for note in left.notes)


# Small tables


def small(n=400, *, seed=0, days=None, **others) -> Remembered:
    """Make a history of customers whose label follows one number, labelled on given days in turn."""
    rng = np.random.default_rng(seed)
    customers = [f"c{number:05}" for number in range(n)]
    value = rng.normal(size=n)
    label = (rng.random(n) < 1 / (1 + np.exp(-1.5 * value))).astype(int)
    when = None
    if days:
        when = [datetime.combine(day, datetime.min.time()) + timedelta(hours=15) for day in days]
        when = [when[at % len(when)] for at in range(n)]
    told = {
        "known": pa.table({"customer_id": customers, "value": value, "n_orders": rng.poisson(2, n)}),
        "labelled": labels_of(customers, label, when),
        "said": attributes_of({"id": customers, "tier": rng.choice(["gold", "tin"], n)}),
    }
    return Remembered(**{**told, **others})


def train(history, **options):
    """Train quietly."""
    return Labels().train(history, tell=silent, **options)


BASE = small()


@pytest.fixture(scope="module")
def on_base():
    """Train once on the small history."""
    return train(BASE)


IDS = BASE.known["customer_id"].to_pylist()
BAD = {
    "no labels": (labels_of([], [], kind=pa.int64()), "labels must be at hand"),
    "one class": (labels_of(IDS, [1] * 400), "both classes; got 1 in all of 400 rows"),
    "three classes": (labels_of(IDS, [0, 1, 2, 3] * 100), "a label must be 0 or 1; got 2, 3"),
    "words": (labels_of(IDS, ["yes", "no"] * 200), "a label must be 0 or 1; got no, yes"),
    "few of a class": (labels_of(IDS, [1] * 12 + [0] * 388), "at least 20 customers of each class .* got 12"),
    "strangers only": (
        labels_of([f"x{at}" for at in range(400)], [0, 1] * 200),
        "of customers the shop knows; none of 400",
    ),
    "twice": (labels_of([*IDS, IDS[0]], [0, 1] * 200 + [1]), "one row per customer"),
    "missing labels only": (labels_of(IDS, [None] * 400, kind=pa.int64()), "both classes; got none"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_table_that_cannot_be_learnt_is_refused_in_a_sentence(name):
    """Each names what is wrong and what was found."""
    labelled, sentence = BAD[name]
    with pytest.raises(ModelError, match=sentence):
        train(replace(BASE, labelled=labelled))


def test_a_shop_without_orders_is_refused():
    """There is no moment to know anything at."""
    with pytest.raises(ModelError, match="must have orders"):
        train(replace(BASE, last_day=None))


def test_strangers_and_gaps_are_left_out_and_counted():
    """Unknown customers, rows without a label: the rest is learnt from, and the notes count them."""
    labelled = pa.concat_tables(
        [BASE.labelled, labels_of(["x1", "x2", "x3"], [0, 1, None], kind=BASE.labelled["label"].type)]
    )
    rows, notes = labelled_rows(replace(BASE, labelled=labelled))
    assert rows.num_rows == 400
    told = " ".join(notes)
    assert "Left out for want of a label or a customer: 1 of 403 rows." in told
    assert "2 of 402 labelled customers had no order and no attribute by then and were left out" in told
    assert "may know what came after the label" in told


def test_missing_values_and_constants_are_taken_and_noted(on_base):
    """A number with gaps, an attribute that few have, a constant feature, and one that tells all."""
    gaps = pa.array(BASE.known["value"].to_numpy(), mask=np.arange(400) % 3 == 0)
    known = BASE.known.set_column(1, "value", gaps).append_column("same", pa.array(np.ones(400)))
    known = known.append_column("tells_all", pa.array(BASE.labelled["label"].to_numpy() + 0.5))
    said = pa.concat_tables([BASE.said, attributes_of({"id": IDS[:30], "rare": ["7"] * 30})])
    trained = train(replace(BASE, known=known, said=said), parameters=on_base.parameters)
    notes = " ".join(trained.report.notes)
    assert "Missing values occur in 2 columns and were taken as such: attribute_rare, value" in notes
    assert "do not vary were left out: same" in notes
    assert "alone tell the classes apart almost always: tells_all" in notes


def test_labels_may_be_booleans_or_digits_as_text():
    """True, false, "0" and "1" are classes too."""
    for values, kind in (
        (BASE.labelled["label"].cast(pa.bool_()), pa.bool_()),
        (text(BASE.labelled["label"]), pa.string()),
    ):
        labelled = labels_of(IDS, values.to_pylist() if kind == pa.bool_() else values, kind=kind)
        rows, _ = labelled_rows(replace(BASE, labelled=labelled))
        assert rows["label"].to_pylist() == BASE.labelled["label"].to_pylist()


def test_an_attribute_is_a_number_if_all_its_values_are():
    """One odd value makes it a text; each customer has its own."""
    said = attributes_of({"id": IDS, "size": [str(at) for at in range(400)], "code": ["x1", *map(str, range(399))]})
    rows, _ = labelled_rows(replace(BASE, said=said))
    assert rows["attribute_size"].to_pylist() == list(range(400))
    assert rows["attribute_code"].to_pylist()[:2] == ["x1", "0"]


def test_an_attribute_that_changes_its_kind_or_goes_is_missing(on_base):
    """A number learnt that is a text now counts where it is one; one that nobody has any more is missing for all."""
    said = attributes_of({"id": IDS, "size": [str(at % 50) for at in range(400)]})
    model = train(replace(BASE, said=said), parameters=on_base.parameters).model
    turned = attributes_of({"id": IDS, "size": ["large", *(str(at % 50) for at in range(399))]})
    for now in (turned, turned.slice(0, 0)):
        told = Labels().predict(model, replace(BASE, said=now), NOW, version="labels/1")["label_scores"]
        assert told.num_rows == 400
        assert told["score"].null_count == 0


def test_a_text_learnt_stays_a_text(on_base):
    """Codes such as 007, beside one word, are texts; when the word is gone they are still those levels."""
    codes = ["007" if at % 2 else "070" for at in range(400)]
    said = attributes_of({"id": IDS, "code": [*codes[:399], "none"]})
    model = train(replace(BASE, said=said), parameters=on_base.parameters).model
    assert "attribute_code" in model.parameters["texts"]
    now = replace(BASE, said=attributes_of({"id": IDS, "code": codes}))
    before = replace(BASE, said=said)
    one, other = (Labels().predict(model, known, NOW, version="labels/1")["label_scores"] for known in (before, now))
    assert one.slice(0, 399)["score"].equals(other.slice(0, 399)["score"])


def test_a_model_of_older_columns_does_not_score(on_base):
    """A feature that is gone is named."""
    model = on_base.model
    with pytest.raises(ModelError, match="missing: value"):
        Labels().predict(model, replace(BASE, known=BASE.known.drop_columns("value")), NOW, version="labels/1")


def test_features_are_of_the_day_the_label_became_known():
    """Up to 24 days: each label's own day, or the day after the last order where that is earlier."""
    days = [date(2024, 1, 5), date(2024, 2, 7), date(2024, 6, 1)]
    rows, notes = labelled_rows(small(days=days))
    assert sorted(set(rows["as_of"].to_pylist())) == [date(2024, 1, 5), date(2024, 2, 7), NOW]
    assert notes == []


def test_a_label_of_the_small_hours_may_be_of_the_day_before():
    """At 11 o'clock UTC it is still yesterday far in the west, so today's moment would know what came after the label."""
    for hour, day in ((11, date(2024, 1, 4)), (12, date(2024, 1, 5))):
        when = [datetime.combine(date(2024, 1, 5), datetime.min.time()) + timedelta(hours=hour)] * 400
        rows, _ = labelled_rows(replace(BASE, labelled=labels_of(IDS, BASE.labelled["label"].to_pylist(), when)))
        assert set(rows["as_of"].to_pylist()) == {day}


def test_labels_without_a_day_are_not_mixed_with_those_that_have_one():
    """A few undated among dated ones are left out; a few dated among undated ones are as of now, with the rest."""
    day = datetime.combine(date(2024, 1, 5), datetime.min.time()) + timedelta(hours=15)
    values = BASE.labelled["label"].to_pylist()
    for n_dated, n_left, moment in ((300, 300, date(2024, 1, 5)), (100, 400, NOW)):
        when = [day] * n_dated + [None] * (400 - n_dated)
        rows, notes = labelled_rows(replace(BASE, labelled=labels_of(IDS, values, when)))
        assert (rows.num_rows, set(rows["as_of"].to_pylist())) == (n_left, {moment})
        assert "do not say when they became known" in notes[0]


@pytest.mark.parametrize(("every", "expected"), [(7, 1), (45, 3), (150, 12)])
def test_many_days_of_labelling_are_thinned_to_earlier_ones(every, expected):
    """More than 24 days go to their month's first, quarter's or year's: at most 24 moments, none after its label."""
    days = [date(2015, 1, 3) + timedelta(days=every * at) for at in range(40)]
    history = replace(small(days=days, since=date(2000, 1, 1)), last_day=date(2040, 1, 1))
    rows, _ = labelled_rows(history)
    moments = sorted(set(rows["as_of"].to_pylist()))
    assert len(moments) <= 24
    assert {moment.day for moment in moments} == {1}
    assert {moment.month % expected for moment in moments} == {1 % expected} or expected == 1
    of_customer = dict(zip(rows["customer_id"].to_pylist(), rows["as_of"].to_pylist(), strict=True))
    told = zip(history.labelled["customer_id"].to_pylist(), history.labelled["labelled_at"].to_pylist(), strict=True)
    assert all(of_customer[one] <= when.date() for one, when in told)


def test_with_moments_the_latest_are_held_out():
    """Training rows are earlier than held-out ones, and in each fold too."""
    days = [date(2023, month, 3) for month in range(1, 11)]
    split = split_of(labelled_rows(small(days=days))[0], 0)
    assert split.is_by_time
    assert max(split.train["as_of"].to_pylist()) < min(split.held_out["as_of"].to_pylist())
    assert 0.25 <= split.held_out.num_rows / 400 <= 0.5
    at = np.array(split.train["as_of"].to_pylist())
    assert len(split.folds) >= 3
    assert all(at[train].max() < at[test].min() for train, test in split.folds)


def test_what_is_held_out_by_time_does_not_move_the_choice():
    """With the labels of the held-out moments shuffled, the recipe is the same: they are looked at after it is made."""
    days = [date(2023, month, 3) for month in range(1, 11)]
    history = small(800, days=days)
    split = split_of(labelled_rows(history)[0], 0)
    first = min(split.held_out["as_of"].to_pylist())
    label = history.labelled["label"].to_numpy().copy()
    late = np.array([when.date() >= first for when in history.labelled["labelled_at"].to_pylist()])
    label[late] = np.random.default_rng(1).permutation(label[late])
    shuffled = replace(history, labelled=history.labelled.set_column(1, "label", pa.array(label)))
    one, other = train(history), train(shuffled)
    assert one.parameters == other.parameters
    assert one.report.against_baseline.gain.value > other.report.against_baseline.gain.value + 0.1


def test_a_customer_held_out_by_hash_stays_so():
    """With twice the labels, no one who was held out is learnt from, nor the other way; about a quarter of each class is."""
    rows, _ = labelled_rows(small(2200))
    all_of_them, fewer = split_of(rows, 0), split_of(rows.slice(0, 1100), 1)
    for part in ("held_out", "train"):
        before, after = (set(getattr(split, part)["customer_id"].to_pylist()) for split in (fewer, all_of_them))
        assert before < after
    share = all_of_them.held_out["label"].to_numpy().sum() / rows["label"].to_numpy().sum()
    assert share == pytest.approx(0.25, abs=0.05)


def test_of_few_labels_each_class_gives_its_quarter():
    """Of twenty positives with high hashes, five are held out all the same."""
    learnt = split_of(labelled_rows(BASE)[0], 0).train["customer_id"].to_pylist()[:20]
    rows, _ = labelled_rows(replace(BASE, labelled=labels_of(IDS, [int(each in learnt) for each in IDS])))
    split = split_of(rows, 0)
    assert (split.held_out["label"].to_numpy().sum(), split.held_out.num_rows) == (5, 100)


def test_a_search_tries_more_and_stops_in_time(monkeypatch):
    """On a clock by which each try takes a second, ten seconds are nine or ten tries; the best of each kind is kept."""
    ticks = itertools.count(0, 0.5)
    monkeypatch.setattr("shopkeeper.models.labels.time.perf_counter", lambda: next(ticks))
    told = []
    trained = Labels().train(BASE, budget=10.0, tell=lambda *what: told.append(what))
    assert 5 < len(trained.trials) <= 10
    assert {one.candidate for one in trained.trials} == set(KINDS)
    for name, value in trained.parameters["cv"].items():
        assert value == max(one.value for one in trained.trials if one.candidate == name)
    assert {step for step, *_ in told} == {"labels"}
    known = Labels().train(BASE, budget=0.0, parameters=trained.parameters, tell=silent)
    assert [dict(one.parameters) for one in known.trials] == list(trained.parameters["parameters"].values())


def test_few_columns_are_picked_among_many_that_say_nothing():
    """Of 60 columns one tells: the relaxed lasso keeps it, near its true weight, and at most a few of chance."""
    rng = np.random.default_rng(5)
    columns = rng.normal(size=(3000, 60))
    label = (rng.random(3000) < 1 / (1 + np.exp(1 - columns[:, 7]))).astype(int)
    rows = pa.table({**{f"x{at}": columns[:, at] for at in range(60)}, "label": label})
    rows = rows.append_column("customer_id", pa.array(map(str, range(3000)))).append_column(
        "as_of", pa.array([NOW] * 3000)
    )
    model = Logistic(numbers=[f"x{at}" for at in range(60)]).fit(rows)
    by_name = dict(zip((name for name, _ in model.encoder.kept), model.coefficients, strict=True))
    assert by_name["x7"] == pytest.approx(1, abs=0.15)
    assert sum(value != 0 for value in by_name.values()) <= 4


def test_the_logistic_fit_equals_that_of_scikit_learn():
    """With a ridge and with a lasso, weighted, to six digits."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(6)
    columns = rng.normal(size=(500, 8))
    columns[:, 1] += columns[:, 0]
    label = (rng.random(500) < 1 / (1 + np.exp(-columns[:, 0] - 0.5))).astype(int)
    weights = np.where(label == 1, 2.0, 1.0)
    ridge = maximise(columns, label, weights, lasso=0, ridge=5.0)
    peer = LogisticRegression(C=1 / 5.0, solver="newton-cholesky", tol=1e-10).fit(columns, label, weights)
    np.testing.assert_allclose(ridge, [*peer.intercept_, *peer.coef_[0]], atol=1e-6)
    lasso = maximise(columns, label, weights, lasso=20.0, ridge=0)
    peer = LogisticRegression(C=1 / 20.0, l1_ratio=1, solver="saga", tol=1e-10, max_iter=20_000, random_state=0)
    peer.fit(columns, label, weights)
    np.testing.assert_allclose(lasso, [*peer.intercept_, *peer.coef_[0]], atol=1e-5)
    assert 0 < (lasso == 0).sum() < 8


def test_a_recipe_that_does_not_fit_is_refused():
    """It must name a kind and have all parts."""
    for wrong in ({"candidate": "crystal_ball"}, {"candidate": "xgboost", "parameters": {"xgboost": {}}}):
        with pytest.raises(ModelError, match="a recipe for labels must name a candidate"):
            train(BASE, parameters=wrong)


def test_rows_of_a_history_in_any_order_give_the_same_scores(on_base):
    """Labels, features and attributes shuffled: the same choice and the same scores."""
    order = np.random.default_rng(3).permutation(400)
    shuffled = Remembered(BASE.known.take(order), BASE.labelled.take(order[::-1]), BASE.said.take(order))
    one, other = on_base, train(shuffled)
    assert one.parameters == other.parameters
    assert one.report.against_baseline == other.report.against_baseline
    rows = labelled_rows(BASE)[0]
    assert one.model.score(rows).equals(other.model.score(rows))


def test_the_subject_loads_each_of_its_models(on_base, tmp_path):
    """And gives the same scores."""
    trained = on_base
    rows = labelled_rows(BASE)[0]
    for at, model in enumerate((trained.model, trained.baseline)):
        model.save(tmp_path / str(at))
        assert Labels().load(tmp_path / str(at)).score(rows).equals(model.score(rows))


def test_nothing_but_constants_gives_the_prior():
    """Where no column varies, all kinds say the share of positives."""
    rows = labelled_rows(BASE)[0]
    flat = rows.select(["customer_id", "as_of", "label"]).append_column("same", pa.array(np.ones(400)))
    share = rows["label"].to_numpy().mean()
    for kind, is_balanced in itertools.product(KINDS.values(), (False, True)):
        found = kind(numbers=["same"], is_balanced=is_balanced).fit(flat).chance(flat)
        assert found == pytest.approx(np.full(400, share), abs=0.06)


def test_a_champion_that_has_seen_the_held_out_moments_is_not_compared():
    """The served model was refitted on them; the evaluated one was not, and is neither better nor worse than itself."""
    history = small(days=[date(2023, month, 3) for month in range(1, 11)])
    first = train(history)
    one, other = (train(history, parameters=first.parameters, champion=each) for each in (first.model, first.evaluated))
    assert one.report.against_champion is None
    assert any("learnt from held-out moments" in note for note in one.report.notes)
    assert other.report.against_champion.gain.value == 0.0

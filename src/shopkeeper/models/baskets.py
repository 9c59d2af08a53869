"""Baskets: which products stand together, what follows from what, and what to sell as one.

What is published are exact counts with tests, measured anew as of each moment. The candidates
(``models/basket_completion.py``) use such rules for a basket in hand: of each later basket one product is hidden, and
the better is who names it among ten. The baseline: how often pairs were bought.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shopkeeper.errors import ModelError
from shopkeeper.evaluation import Candidate, Comparison, Report, compare, measure_all
from shopkeeper.models.association_rules import NONE
from shopkeeper.models.basket_completion import (
    LOADERS,
    TOLD,
    AllRules,
    BasketModel,
    PairRules,
    PopularPairs,
    places_of,
    without_one,
)
from shopkeeper.models.basket_log import BASKET_ID, EPOCH, ORDERS, PRODUCTS, BasketLog, lines_of, log_of, scopes_of
from shopkeeper.models.basket_tables import TABLES, bundle_rows, itemset_rows, rule_rows
from shopkeeper.models.bundles import bundles_of, offers, prices_of
from shopkeeper.models.customer_rows import reference, sampled
from shopkeeper.models.model import History, Model, PredictionTable, Subject, Trained, Trial
from shopkeeper.models.rule_stability import WEEK, Findings, counted_in, find, hold
from shopkeeper.progress import Tell
from shopkeeper.vocabulary import BASKETS, CUSTOMER_ID, SEGMENTS

PRIMARY = "hit_at_10"
FIGURES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "hit_at_3": lambda place: (place > 0) & (place <= 3),
    PRIMARY: lambda place: place > 0,
    "reciprocal_rank": lambda place: np.where(place > 0, 1 / np.maximum(place, 1), 0.0),
}
"""What is measured of the place at which the hidden product was told, from 1 on; 0: not among the ten."""
CANDIDATES: Mapping[str, type[BasketModel]] = {kind.name: kind for kind in (AllRules, PairRules)}
LATER_WEEKS, PARTS_OF_HISTORY = 8, 4
LEAST_JUDGED, MOST_JUDGED = 30, 5_000
MOST_ITEMSETS, MOST_ITEMSETS_OF_SCOPE = 20_000, 2_000
MOST_RULES, MOST_RULES_OF_SCOPE = 10_000, 500
LEAST_OF_SCOPE, MOST_COUNTRIES = 200, 5
DRAWN = 500
STEPS = 4
SPACE: Mapping[str, Sequence[float]] = {"confidence_power": (1.0, 2.0, 3.0, 4.0), "lift_power": (0.0, 0.25, 0.5, 1.0)}


@dataclass(frozen=True)
class _Split:
    """The baskets of a shop, and the days on which the last two windows begin: one to choose by, one to judge by."""

    log: BasketLog
    validated: date
    judged: date
    weeks: int

    @property
    def end(self) -> date:
        """The day after the last."""
        return self.log.last_day + timedelta(1)


class Baskets(Subject):
    """Which products stand together, by which rules, and what to bundle; see ``docs/model-baskets.md``.

    ``made_from``: orders, sessions (carts and purchases of a visit) or views; ``support``: least share of baskets of an
    itemset (0: chosen from the data, at ``pair_minimum`` baskets or more); ``confidence``: the least of a published
    rule; ``basket_limit``: baskets of more products make none; ``discount`` and ``uptake`` of bundles: what is taken off,
    and the share of buyers of all but one product who are assumed to take the whole.
    """

    name: ClassVar[str] = BASKETS
    about: ClassVar[str] = "Which products stand together in a basket, what follows from what, and what to sell as one."
    rows: ClassVar[str] = "baskets"
    limits: ClassVar[tuple[str, ...]] = (
        "A rule says what stands together, not what one product does to the sales of the other.",
        "Do not read a bundle's earnings as a forecast: how many would take it is an assumption, told beside its break-even.",
        "Baskets of one product, and those of more products than the limit, teach nothing about pairs.",
        "Buyers of many products make everything look a little associated: a lift near 1 is no reason to act, however sure.",
    )
    tables: ClassVar[tuple[PredictionTable, ...]] = TABLES
    models: ClassVar[Mapping[str, Callable[[Path], Model]]] = LOADERS
    after: ClassVar[tuple[str, ...]] = (SEGMENTS,)

    def __init__(
        self,
        *,
        made_from: str = ORDERS,
        support: float = 0.0,
        confidence: float = 0.1,
        pair_minimum: int = 5,
        basket_limit: int = 100,
        discount: float = 0.1,
        uptake: float = 0.05,
    ) -> None:
        self.made_from, self.support, self.confidence = made_from, support, confidence
        self.pair_minimum, self.basket_limit = pair_minimum, basket_limit
        self.discount, self.uptake = discount, uptake

    def lacks(self, history: History) -> str:
        """Return what the shop has not brought: baskets that name products, or any with two of them."""
        lines = lines_of(history, self.made_from)
        if not lines.num_rows:
            return "no sold line names a product" if self.made_from == ORDERS else "no visit names a product"
        return "" if (self._log(history).baskets.sizes > 1).any() else "no basket holds two products"

    def train(
        self,
        history: History,
        *,
        parameters: Mapping[str, Any] | None = None,
        champion: Model | None = None,
        seed: int = 0,
        budget: float | None = None,
        tell: Tell,
    ) -> Trained:
        """Fit the candidates before the last but one window, choose on it, judge on the last, refit on everything.

        With a recipe only what it names is fitted. A search tries powers of confidence and lift on the window to choose by.
        Raises ModelError if the history is shorter than four weeks, or a window has fewer than 30 baskets of two products.
        """
        tell(self.name, "reading the past", 0, STEPS)
        split = self._split(history)
        recipe = dict(parameters or {})
        known = {name: dict(recipe.get("candidates", {}).get(name, {})) for name in CANDIDATES}
        shape: dict[str, Any] = {
            "seed": seed,
            "made_from": self.made_from,
            "support": self.support,
            "pair_minimum": self.pair_minimum,
        }
        tell(self.name, "choosing", 1, STEPS)
        chosen, trials = str(recipe.get("candidate", "")), list[Trial]()
        facts: dict[str, Any] = {}
        notes: list[str] = []
        is_refit = chosen in CANDIDATES and budget is None
        if not is_refit:
            chosen, facts, trials = self._chosen(split, known, shape, budget, tell)
        tell(self.name, "judging", 2, STEPS)
        rows = split.log.between(None, split.judged).rows()
        contenders: dict[str, BasketModel] = {}
        for name in [chosen] if is_refit else CANDIDATES:
            if (fitted := _fitted(name, {**shape, **known[name]}, rows, notes)) is not None:
                contenders[name] = fitted
        contenders[PopularPairs.name] = PopularPairs(**shape).fit(rows)
        everything = split.log.rows()
        baseline = PopularPairs(**shape).fit(everything)
        model = None
        if chosen in contenders and chosen != PopularPairs.name:
            model = _fitted(chosen, {**shape, **known[chosen]}, everything, notes)
        if model is None:
            chosen, model = PopularPairs.name, baseline
        report = self._report(split, list(contenders.values()), chosen, champion, seed, facts, notes)
        tell(self.name, "fitting on everything", 3, STEPS)
        watched = self._watched_rows(split.log, split.end)
        return Trained(
            model=model,
            evaluated=contenders[chosen],
            baseline=baseline,
            report=report,
            parameters={"candidate": chosen, "candidates": known},
            reference=reference(_scored(model, watched), seed),
            baseline_reference=reference(_scored(baseline, watched), seed),
            trials=trials,
        )

    def predict(
        self,
        model: Model,
        history: History,
        as_of: date,
        *,
        version: str,
        given: Mapping[str, pa.Table] | None = None,
    ) -> dict[str, pa.Table]:
        """Return ``itemsets``, ``basket_rules`` and ``bundles`` as of a moment; see ``Subject.predict``."""
        sold = history.sale_lines()
        log = self._log(history).between(None, as_of)
        if not log.baskets.n_baskets:
            return {table.name: table.empty() for table in self.tables}
        week, n_weeks = _weeks(log, as_of)
        catalogue = history.products()
        names = _names(log.products, catalogue)
        stamp = {"as_of": as_of, "model": model.name, "model_version": version}
        segments = _segments(given or {})
        scopes = scopes_of(log, segments, least=LEAST_OF_SCOPE, most_countries=MOST_COUNTRIES)
        itemsets, rules = [], []
        whole: Findings | None = None
        for (scope, value), is_in in scopes.items():
            is_all = scope == "all"
            baskets = log.baskets if is_all else log.baskets.only(is_in)
            found = find(
                baskets,
                week[is_in],
                least=max(self.pair_minimum, int(np.ceil(self.support * baskets.n_baskets - 1e-9))),
                most=MOST_ITEMSETS if is_all else MOST_ITEMSETS_OF_SCOPE,
                least_confidence=0.0 if is_all else self.confidence,
            )
            whole = found if is_all else whole
            where = {"scope": scope, "scope_value": value, **stamp}
            itemsets.append(itemset_rows(found.itemsets, log.products, names, where))
            most = MOST_RULES if is_all else MOST_RULES_OF_SCOPE
            rules.append(rule_rows(found, log.products, names, where, self.confidence, most))
        assert whole is not None  # noqa: S101 - the scope of all baskets is always among them
        chosen = bundles_of(whole.earlier, whole.earlier_rules, whole.was_found)
        prices = prices_of(_before(sold, as_of), catalogue, log.products)
        offer = offers(chosen, log.baskets.only(week != NONE), prices, discount=self.discount, uptake=self.uptake)
        told = {"discount": self.discount, "uptake": self.uptake, "n_weeks_later": n_weeks, **stamp}
        tables = (
            pa.concat_tables(itemsets),
            pa.concat_tables(rules),
            bundle_rows(chosen, offer, whole, prices.currency, log.products, names, told),
        )
        return {table.name: table.check(rows) for table, rows in zip(self.tables, tables, strict=True)}

    def watched(self, model: Model, history: History, as_of: date) -> pa.Table:
        """Return the baskets of the last weeks before the moment; ``score``: the confidence of the first suggestion."""
        log = self._log(history).between(None, as_of)
        return _scored(model, self._watched_rows(log, as_of))

    def _log(self, history: History) -> BasketLog:
        return history.once(
            (BASKETS, self.made_from, self.basket_limit),
            lambda: log_of(lines_of(history, self.made_from), basket_limit=self.basket_limit),
        )

    def _watched_rows(self, log: BasketLog, as_of: date) -> pa.Table:
        if not log.baskets.n_baskets:
            return log.rows()
        days = WEEK * max(_n_weeks(log, as_of), 1)
        late = log.between(as_of - timedelta(days), None)
        rows = late.rows()
        return rows.set_column(rows.column_names.index(CUSTOMER_ID), CUSTOMER_ID, pa.array(late.units.tolist()))

    def _split(self, history: History) -> _Split:
        log = self._log(history)
        n_weeks = _n_weeks(log, log.last_day + timedelta(1))
        if n_weeks < 1:
            raise ModelError(
                f"baskets must span {PARTS_OF_HISTORY} weeks or more, to learn from some and judge by later ones; got "
                f"{log.first_day} to {log.last_day}. Wait for more orders."
            )
        days = timedelta(WEEK * n_weeks)
        end = log.last_day + timedelta(1)
        split = _Split(log, end - 2 * days, end - days, n_weeks)
        for first, last in ((None, split.validated), (split.validated, split.judged), (split.judged, end)):
            found = int((log.between(first, last).baskets.sizes > 1).sum())
            if found < LEAST_JUDGED:
                raise ModelError(
                    f"baskets of two products or more must be {LEAST_JUDGED} or more from {first or log.first_day} to "
                    f"{last - timedelta(1)}, to tell what stands together; got {found}. Wait for more orders."
                )
        return split

    def _chosen(
        self,
        split: _Split,
        known: dict[str, dict[str, Any]],
        shape: Mapping[str, Any],
        budget: float | None,
        tell: Tell,
    ) -> tuple[str, dict[str, Any], list[Trial]]:
        """Return who is best on the window before the last; what a search finds is written into ``known``."""
        training = split.log.between(None, split.validated).rows()
        rows, hidden, _ = _hidden(split.log.between(split.validated, split.judged), int(shape["seed"]))

        def hits(name: str, parameters: Mapping[str, Any]) -> float:
            model = _fitted(name, {**shape, **parameters}, training, [])
            return -1.0 if model is None else float(FIGURES[PRIMARY](places_of(model, rows, hidden)).mean())

        found = {name: hits(name, known[name]) for name in CANDIDATES}
        trials: list[Trial] = []
        if budget is not None:
            started, longest = perf_counter(), 0.0
            tried = [
                (name, {"confidence_power": one, "lift_power": other})
                for one in SPACE["confidence_power"]
                for other in SPACE["lift_power"]
                for name in CANDIDATES
            ]
            order = np.random.default_rng(int(shape["seed"])).permutation(len(tried))
            for name, parameters in (tried[place] for place in order):
                begun = perf_counter()
                if begun - started + longest > budget:
                    break
                value = hits(name, parameters)
                longest = max(longest, perf_counter() - begun)
                trials.append(Trial(name, parameters, PRIMARY, value, perf_counter() - begun))
                tell(self.name, f"trying {name}", len(trials), len(tried))
                if value > found[name]:
                    found[name], known[name] = value, parameters
        # In the order of their names where two are alike: the simpler one, of pairs, comes before.
        best = max(sorted(found), key=lambda name: round(found[name], 6))
        told = {f"validation_{PRIMARY}_{name}": value for name, value in found.items() if value >= 0}
        return best if told else PopularPairs.name, told, trials

    def _report(
        self,
        split: _Split,
        contenders: Sequence[BasketModel],
        chosen: str,
        champion: Model | None,
        seed: int,
        facts: Mapping[str, Any],
        notes: list[str],
    ) -> Report:
        rows, hidden, units = _hidden(split.log.between(split.judged, None), seed)
        places = {model.name: places_of(model, rows, hidden) for model in contenders}
        against_champion = None
        if champion is not None:
            theirs, why = self._champion_places(champion, split, rows, hidden)
            if theirs is None:
                notes.append(f"The champion {champion.name} could not be compared: {why}")
            else:
                against_champion = _better((chosen, champion.name), places[chosen], theirs, units, seed)
        stability, told = self._stability(split)
        mine = next(model for model in contenders if model.name == chosen)
        own = set(mine.products.tolist())
        return Report(
            subject=self.name,
            held_out=(split.judged, split.log.last_day),
            n_rows=rows.num_rows,
            primary=PRIMARY,
            chosen=chosen,
            baseline=PopularPairs.name,
            candidates=[
                Candidate(
                    model.name,
                    isinstance(model, PopularPairs),
                    {
                        name: measure_all(
                            ["mae"], np.zeros(len(units)), figure(places[model.name]), groups=units, seed=seed
                        )["mae"]
                        for name, figure in FIGURES.items()
                    },
                    {key: value for key, value in model.parameters.items() if key != "made_from"},
                )
                for model in contenders
            ],
            against_baseline=_better(
                (chosen, PopularPairs.name), places[chosen], places[PopularPairs.name], units, seed
            ),
            against_champion=against_champion,
            curves={"completion": _completion(places), "rule_stability": stability},
            facts={
                "baskets": split.log.baskets.n_baskets,
                "baskets_left_out": split.log.n_left_out,
                "made_from": self.made_from,
                "later_weeks": split.weeks,
                "rules_used": len(mine.lines),
                "least_baskets": mine.least,
                "hidden_products_known": float(np.mean([each in own for each in hidden])),
                **told,
                **facts,
            },
            notes=tuple(notes),
        )

    def _champion_places(
        self, champion: Model, split: _Split, rows: pa.Table, hidden: list[str]
    ) -> tuple[np.ndarray | None, str]:
        if not isinstance(champion, BasketModel) or champion.made_from != self.made_from:
            return None, f"its baskets are not made from {self.made_from}."
        if champion.has_seen(split.judged, horizon_days=1):
            return None, f"it has learnt from baskets of {split.judged} or later."
        try:
            return places_of(champion, rows, hidden), ""
        except ModelError as error:
            return None, str(error)

    def _stability(self, split: _Split) -> tuple[dict[str, list[Any]], dict[str, Any]]:
        """Return a sample of the rules found before the held-out weeks, as they were and as they are in them; and shares."""
        before, later = split.log.between(None, split.judged), split.log.between(split.judged, None)
        least = max(self.pair_minimum, int(np.ceil(self.support * before.baskets.n_baskets - 1e-9)))
        found = find(before.baskets, np.full(before.baskets.n_baskets, NONE), least=least, most=MOST_ITEMSETS)
        sound = np.flatnonzero(found.is_significant & ~found.is_redundant & (found.rules.confidence >= self.confidence))
        if not len(sound):
            return {"lift_before": [], "lift_later": [], "holds": []}, {"rules_found": 0}
        after = hold(counted_in(later.baskets, found.itemsets), found.rules.take(sound))
        lift, lift_later, holds = found.rules.lift[sound], np.nan_to_num(after.rules.lift), after.is_held
        drawn = sampled(len(sound), DRAWN, int(split.weeks))
        return (
            {
                "lift_before": lift[drawn].tolist(),
                "lift_later": lift_later[drawn].tolist(),
                "holds": holds[drawn].tolist(),
            },
            {
                "rules_found": len(sound),
                "rules_with_lift_later": float((lift_later > 1).mean()),
                "rules_holding_later": float(holds.mean()),
                "median_lift_before": float(np.median(lift)),
                "median_lift_later": float(np.median(lift_later)),
            },
        )


def _fitted(name: str, parameters: Mapping[str, Any], rows: pa.Table, notes: list[str]) -> BasketModel | None:
    """Return a candidate, fitted; None where the rows do not allow it, and a note that says why."""
    try:
        return CANDIDATES[name](**parameters).fit(rows)
    except ModelError as error:
        notes.append(f"The candidate {name} is left out: {error}")
        return None


def _hidden(log: BasketLog, seed: int) -> tuple[pa.Table, list[str], np.ndarray]:
    """Return baskets of two products or more without one of them, that one, and whose they are; 5,000 at most."""
    log = log.only(log.baskets.sizes > 1)
    is_drawn = np.zeros(log.baskets.n_baskets, bool)
    is_drawn[sampled(len(is_drawn), MOST_JUDGED, seed)] = True
    log = log.only(is_drawn)
    rows, hidden = without_one(log.rows(), seed)
    return rows, hidden, log.units


def _better(names: tuple[str, str], ours: np.ndarray, theirs: np.ndarray, units: np.ndarray, seed: int) -> Comparison:
    """Return by how much more often one names the hidden product among ten, paired, by whose baskets they are."""
    hit = FIGURES[PRIMARY]
    told = compare("mae", np.ones(len(units)), hit(ours), hit(theirs), names=names, groups=units, seed=seed)
    return replace(told, metric=PRIMARY)


def _completion(places: Mapping[str, np.ndarray]) -> dict[str, list[Any]]:
    ks = range(1, TOLD + 1)
    return {
        "k": [k for _ in places for k in ks],
        "model": [name for name in places for _ in ks],
        "hits": [float(((place > 0) & (place <= k)).mean()) for place in places.values() for k in ks],
    }


def _scored(model: Model, rows: pa.Table) -> pa.Table:
    score = model.score(rows)["confidence"]
    n_products = pc.list_value_length(rows[PRODUCTS]).cast(pa.int64())
    told = {BASKET_ID: rows[BASKET_ID], CUSTOMER_ID: rows[CUSTOMER_ID], "n_products": n_products, "score": score}
    return pa.table(told)


def _n_weeks(log: BasketLog, end: date) -> int:
    return min(LATER_WEEKS, (end - log.first_day).days // (PARTS_OF_HISTORY * WEEK))


def _weeks(log: BasketLog, as_of: date) -> tuple[np.ndarray, int]:
    """Return the later week of each basket, -1 for earlier ones, and how many later weeks there are."""
    n_weeks = _n_weeks(log, as_of)
    start = (as_of - EPOCH).days - WEEK * n_weeks
    return np.where(log.days >= start, (log.days - start) // WEEK, NONE), n_weeks


def _names(products: pa.Array, catalogue: pa.Table) -> list[str]:
    """Return what people call each product: its description, else its id."""
    told = zip(catalogue["product_id"].to_pylist(), catalogue["description"].to_pylist(), strict=True)
    known = {product: text.strip() for product, text in told if text and text.strip()}
    return [known.get(product, product) for product in products.to_pylist()]


def _before(lines: pa.Table, day: date) -> pa.Table:
    return lines.filter(pc.less(lines["ordered_on"].cast(pa.date32()), pa.scalar(day, pa.date32())))


def _segments(given: Mapping[str, pa.Table]) -> dict[str, str]:
    """Return the segment's name of each customer; empty where segments are not told."""
    rows = given.get("customer_segments")
    if rows is None:
        return {}
    told = zip(rows[CUSTOMER_ID].to_pylist(), rows["segment_name"].to_pylist(), strict=True)
    return {who: name for who, name in told if name}

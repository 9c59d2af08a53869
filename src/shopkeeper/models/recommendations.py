"""Recommendations: what to show to a customer, beside a product, to a segment, in a country, to nobody in particular.

The candidates (``recommender.py``, ``item_similarity.py``, ``matrix_factors.py``, ``blended_recommender.py``):
``item_to_item``, ``ease``, ``als``, ``blend``; the baseline ``popular``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.evaluation import (
    Candidate,
    Comparison,
    Figure,
    Report,
    catalogue_coverage,
    compare,
    hit_at,
    measure,
    moments_before,
    ndcg_at,
    novelty,
    recall_at,
)
from shopkeeper.models.blended_recommender import Blend, learn
from shopkeeper.models.customer_rows import reference
from shopkeeper.models.item_similarity import Ease, ItemToItem, Words
from shopkeeper.models.matrix_factors import Als
from shopkeeper.models.model import (
    CUSTOMER_KEY,
    VERSION_COLUMNS,
    Column,
    Hindsight,
    History,
    Model,
    PredictionTable,
    Subject,
    Trained,
    Trial,
)
from shopkeeper.models.offer_rules import OfferRules
from shopkeeper.models.product_lists import ProductLists, instead, last_prices, together
from shopkeeper.models.purchases import COUNTRY, PRODUCT_IDS, Purchases, bought_between, purchase_rows
from shopkeeper.models.recommender import Lists, Popular, Recommender, buyers_of_late
from shopkeeper.progress import Tell
from shopkeeper.vocabulary import AS_OF, CUSTOMER_ID, PRODUCT_ID, RECOMMENDATIONS, SEGMENTS

PRIMARY = "ndcg_at_20"
SHOWN = 20
KINDS: Mapping[str, type[Recommender]] = {kind.name: kind for kind in (Blend, Ease, ItemToItem, Als, Popular)}
HORIZON_DAYS, LEAST_HORIZON = 30, 3
MOST_WINDOWS = 3
LEAST_BUYERS = 30
BESIDE = 10
SEGMENT_HALF_LIFE_DAYS, SEGMENT_SHRINKAGE = 30.0, 50.0
CUSTOMER_SEGMENTS = "customer_segments"
STEPS = 4
SPACE: Mapping[str, Sequence[Any]] = {"penalty": (150.0, 300.0, 500.0, 1000.0, 2000.0), "most_products": (2500, 4000)}


@dataclass(frozen=True)
class _Past:
    """What is read of a shop: sold lines, visits, and the products as recommenders are told of them."""

    lines: pa.Table
    visits: pa.Table
    catalogue: pa.Table

    def rows(self, as_of: date) -> pa.Table:
        """Return the rows to fit on as of a moment, guests' orders too."""
        return purchase_rows(self.lines, self.visits, as_of, guests=True)


@dataclass(frozen=True)
class _Window:
    """Customers with a history who bought in the days from a moment on, and what they bought: a set of ids for each."""

    moment: date
    fitted_on: pa.Table
    judged: pa.Table
    bought: Sequence[frozenset[str]]


class Recommendations(Subject):
    """What to show to whom; see ``docs/model-recommendations.md``.

    A list is judged by what its customer bought in the next 30 days (less in a young shop), of products sold before and, unless
    ``exclude_bought`` is off, new to the customer. The primary metric is NDCG@20: it counts every hit, and the upper ones
    more. Customers with a history who bought in the window count, those who bought nothing new as misses of hit@3.
    """

    name: ClassVar[str] = RECOMMENDATIONS
    about: ClassVar[str] = "What to show to each customer, beside each product, to a segment, and to somebody unknown."
    rows: ClassVar[str] = "customers"
    limits: ClassVar[tuple[str, ...]] = (
        "A list says what customers like these bought next, not what showing it would sell: test that with a holdout.",
        "Scores compare within one list only.",
        "A product that never sold is in no list.",
        "Not for products whose buyers must not be guessed at: block them (recommendations.blocked).",
    )
    tables: ClassVar[tuple[PredictionTable, ...]] = (
        PredictionTable(
            "customer_recommendations",
            "one row per customer with a purchase or a visit before the moment, moment and place, up to recommendations.n",
            (CUSTOMER_ID, AS_OF, "place"),
            (
                *CUSTOMER_KEY,
                Column("place", pa.int64(), "1 for the best"),
                Column(PRODUCT_ID, pa.string(), "the recommended product"),
                Column("score", pa.float64(), "the higher the better, within one customer's list only; no probability"),
                Column(
                    "source", pa.string(), "personal, or popular where nothing the customer took is known to the model"
                ),
                Column("because_of", pa.string(), "the product taken before that speaks most for it; null for none"),
                Column("reason", pa.string(), "the same in words"),
                *VERSION_COLUMNS,
            ),
        ),
        PredictionTable(
            "product_recommendations",
            "one row per kind, scope, moment and place, up to 10 beside a product, else up to recommendations.n",
            ("kind", "scope", AS_OF, "place"),
            (
                Column(
                    "kind",
                    pa.string(),
                    "together (bought with a product), instead (in its place), segment, country, everybody",
                ),
                Column("scope", pa.string(), "the product, segment or country it is for; everybody"),
                CUSTOMER_KEY[1],
                Column("place", pa.int64(), "1 for the best"),
                Column(PRODUCT_ID, pa.string(), "the recommended product"),
                Column("score", pa.float64(), "the higher the better, within one list only"),
                *VERSION_COLUMNS,
            ),
        ),
    )
    models: ClassVar[Mapping[str, Callable[[Path], Model]]] = {name: kind.load for name, kind in KINDS.items()}
    after: ClassVar[tuple[str, ...]] = (SEGMENTS,)

    def __init__(
        self,
        *,
        exclude_bought: bool = True,
        n: int = SHOWN,
        rules: OfferRules | None = None,
    ) -> None:
        self.exclude_bought = exclude_bought
        self.n = n
        self.rules_of_offers = rules or OfferRules()

    def lacks(self, history: History) -> str:
        """Return, in words, what the shop has not brought; empty if it has customers who bought products."""
        return super().lacks(history) or ("" if history.products().num_rows else "no sold line names a product")

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
        """Learn weights and choose on earlier windows, judge on the last one, refit on everything; see ``Subject.train``.

        A stored recipe keeps the choice and the weights: only the chosen, the baseline and the champion are judged. A search
        tries parameters of EASE within the budget. Raises ModelError if the history is too short for two windows, or fewer
        than 30 customers came back in one.
        """
        recipe = dict(parameters or {})
        tell(self.name, "reading the past", 0, STEPS)
        past = self._past(history)
        horizon = _horizon(history, recipe.get("horizon_days"))
        moments, moment = moments_before(history.first_day, history.last_day, horizon, every=horizon, least=horizon)
        shape: dict[str, Any] = {"seed": seed, "exclude_bought": self.exclude_bought, "n": self.n}
        notes: list[str] = []
        held_out = self._window(past, moment, horizon)
        if len(held_out.bought) < LEAST_BUYERS:
            raise ModelError(
                f"customers who came back from {moment} on must be {LEAST_BUYERS} or more to judge recommendations; got "
                f"{len(held_out.bought)}. Wait for more orders."
            )
        tell(self.name, "choosing", 1, STEPS)
        is_stored = recipe.get("candidate") in KINDS and recipe.get("exclude_bought") == self.exclude_bought
        trials: list[Trial] = []
        if is_stored and budget is None:
            candidates = {str(recipe["candidate"]): dict(recipe["parameters"])}
            chosen_name, validation = str(recipe["candidate"]), dict(recipe.get("validation", {}))
        else:
            windows = [each for day in moments[-MOST_WINDOWS:] if (each := self._window(past, day, horizon)).bought]
            candidates, chosen_name, validation, trials = self._choose(past, windows, shape, budget, notes, tell)
        tell(self.name, "judging", 2, STEPS)
        fitted = self._fitted(past, held_out, candidates, shape, notes)
        baseline = Popular(**shape).about(past.catalogue).fit(held_out.fitted_on)
        chosen = fitted.get(chosen_name, baseline)
        report = self._judge(chosen, [*fitted.values(), baseline], held_out, horizon, champion, seed, notes, validation)
        tell(self.name, "fitting on everything", 3, STEPS)
        now = held_out.moment + timedelta(horizon)
        rows = past.rows(now)
        model = type(chosen)(**{**shape, **chosen.parameters}).about(past.catalogue).fit(rows)
        served_baseline = Popular(**shape).about(past.catalogue).fit(rows)
        sample = reference(rows.filter(pc.is_valid(rows[CUSTOMER_ID])), seed)
        return Trained(
            model=model,
            evaluated=chosen,
            baseline=served_baseline,
            report=report,
            parameters={
                "candidate": chosen.name,
                "parameters": candidates.get(chosen.name, {}),
                "horizon_days": horizon,
                "exclude_bought": self.exclude_bought,
                "validation": validation,
            },
            reference=_watched(model, sample),
            baseline_reference=_watched(served_baseline, sample),
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
        """Return ``customer_recommendations`` and ``product_recommendations`` as of a moment; see ``Subject.predict``."""
        if not isinstance(model, Recommender):
            raise ModelError(f"recommendations must come from a recommender; got {model.name}. Train it anew.")
        past = self._past(history)
        model.about(past.catalogue)
        everything = self._rows(history, as_of)
        customers = _customers(everything)
        main, beside = self.tables
        said = {"model": model.name, "model_version": version}
        rows = _of_customers(model, customers, model.lists(customers, self.n), said)
        lists = self._beside(model, past, everything, as_of, (given or {}).get(CUSTOMER_SEGMENTS), said)
        return {main.name: main.check(rows), beside.name: beside.check(lists)}

    def watched(self, model: Model, history: History, as_of: date) -> pa.Table:
        """Return customers as of a moment with their country and the score of their first recommendation as ``score``."""
        return _watched(model, _customers(self._rows(history, as_of)))

    def hindsight(self, model: Model, history: History, since: date) -> Hindsight | None:
        """Return what the model would have shown a window ago, and what came of it; see ``Subject.hindsight``."""
        if history.last_day is None or history.first_day is None or not isinstance(model, Recommender):
            return None
        horizon = _horizon(history, None)
        moment = history.last_day + timedelta(1 - horizon)
        if moment < since:
            return None
        window = self._window(self._past(history), moment, horizon)
        if len(window.bought) < LEAST_BUYERS:
            return None
        told = _values(model, window)[PRIMARY]
        return Hindsight(moment, PRIMARY, np.ones(len(told)), told) if len(told) else None

    def _rows(self, history: History, as_of: date) -> pa.Table:
        """Return the rows as of a moment, guests' orders too."""
        return history.once((RECOMMENDATIONS, as_of), lambda: self._past(history).rows(as_of))

    def _past(self, history: History) -> _Past:
        lines = history.sale_lines()
        prices = _prices(lines)
        catalogue = self.rules_of_offers.catalogue(history.products(), history.stock_days(), prices)
        return _Past(lines, history.session_products(), catalogue)

    def _window(self, past: _Past, moment: date, horizon: int) -> _Window:
        rows = past.rows(moment)
        customers = rows.filter(pc.is_valid(rows[CUSTOMER_ID]))
        pairs = bought_between(past.lines, moment, horizon)
        bought: dict[str, set[str]] = {}
        for customer, product in zip(pairs[CUSTOMER_ID].to_pylist(), pairs[PRODUCT_ID].to_pylist(), strict=True):
            bought.setdefault(customer, set()).add(product)
        judged = customers.filter(pc.is_in(customers[CUSTOMER_ID], pa.array(list(bought), pa.string())))
        return _Window(moment, rows, judged, [frozenset(bought[name]) for name in judged[CUSTOMER_ID].to_pylist()])

    def _choose(
        self,
        past: _Past,
        windows: Sequence[_Window],
        shape: Mapping[str, Any],
        budget: float | None,
        notes: list[str],
        tell: Tell,
    ) -> tuple[dict[str, dict[str, Any]], str, dict[str, float], list[Trial]]:
        """Return the candidates' parameters, the name of the best on the latest window, their NDCG there, and the tries."""
        enough = [window for window in windows if len(window.bought) >= LEAST_BUYERS]
        if not enough:
            raise ModelError(
                f"customers who came back in an earlier window must be {LEAST_BUYERS} or more to choose by; got "
                f"{max((len(window.bought) for window in windows), default=0)}. Wait for more orders."
            )
        *earlier, latest = enough
        trials: list[Trial] = []
        best: dict[str, Any] = {}
        if budget is not None:
            trials = _search(past, latest, shape, budget, tell)
            best = dict(min(trials, key=lambda trial: -trial.value).parameters) if trials else {}
        blends = [Blend(**shape, **best).about(past.catalogue).fit(window.fitted_on) for window in enough]
        examples = [_examples(blend, window) for blend, window in zip(blends, enough, strict=True)]
        last = blends[-1]
        if earlier:
            last.weighed(_learnt(examples[:-1], notes))
        fitted: list[Recommender] = [last]
        fitted.append(last.ease_alone())
        fitted += [kind(**shape).about(past.catalogue).fit(latest.fitted_on) for kind in (ItemToItem, Als)]
        fitted.append(Popular(**shape).about(past.catalogue).fit(latest.fitted_on))
        validation = {model.name: float(f"{_values(model, latest)[PRIMARY].mean():.6g}") for model in fitted}
        chosen = max(validation, key=lambda name: (validation[name], name == Popular.name))
        weights = _learnt(examples, notes)
        candidates: dict[str, dict[str, Any]] = {
            Blend.name: {**best, "weights": weights},
            Ease.name: best,
            ItemToItem.name: {},
            Als.name: {},
        }
        return candidates, chosen, validation, trials

    def _fitted(
        self,
        past: _Past,
        window: _Window,
        candidates: Mapping[str, Mapping[str, Any]],
        shape: Mapping[str, Any],
        notes: list[str],
    ) -> dict[str, Recommender]:
        found: dict[str, Recommender] = {}
        for name, parameters in candidates.items():
            if name == Popular.name:
                continue
            if name == Ease.name and isinstance(blend := found.get(Blend.name), Blend):
                found[name] = blend.ease_alone()
                continue
            try:
                found[name] = KINDS[name](**shape, **parameters).about(past.catalogue).fit(window.fitted_on)
            except ModelError as error:
                notes.append(f"The candidate {name} is left out: {error}")
        return found

    def _judge(
        self,
        chosen: Recommender,
        contenders: Sequence[Recommender],
        window: _Window,
        horizon: int,
        champion: Model | None,
        seed: int,
        notes: list[str],
        validation: Mapping[str, float],
    ) -> Report:
        told = {model.name: _values(model, window) for model in contenders}
        candidates = [
            Candidate(
                model.name,
                isinstance(model, Popular),
                _figures(told[model.name], seed),
                {key: value for key, value in model.parameters.items() if key not in {"exclude_bought", "n"}},
            )
            for model in contenders
        ]
        mine, theirs = told[chosen.name][PRIMARY], told[Popular.name][PRIMARY]
        if not len(mine):
            raise ModelError(
                f"customers must have bought something new from {window.moment} on to judge recommendations; nobody did. "
                f"Wait for more orders, or set recommendations.exclude_bought = false."
            )
        facts: dict[str, Any] = {
            "horizon_days": horizon,
            "customers_judged": len(window.bought),
            "customers_with_something_new": len(mine),
            "products_known": len(chosen.products),
            **{f"validation_ndcg_at_20_{name}": value for name, value in validation.items()},
            "coverage": {model.name: told[model.name]["coverage"] for model in contenders},
            "novelty_bits": {model.name: told[model.name]["novelty"] for model in contenders},
        }
        if isinstance(chosen, Blend):
            facts["weights"] = chosen.weights
        return Report(
            subject=self.name,
            held_out=(window.moment, window.moment + timedelta(horizon - 1)),
            n_rows=len(window.bought),
            primary=PRIMARY,
            chosen=chosen.name,
            baseline=Popular.name,
            candidates=candidates,
            against_baseline=_compared(mine, theirs, (chosen.name, Popular.name), seed),
            against_champion=self._against(champion, window, chosen, mine, seed, notes) if champion else None,
            curves={"hits_by_length": _hits_by_length(told)},
            facts=facts,
            notes=tuple(notes),
        )

    def _against(
        self,
        champion: Model,
        window: _Window,
        chosen: Recommender,
        mine: NDArray[np.float64],
        seed: int,
        notes: list[str],
    ) -> Comparison | None:
        if not isinstance(champion, Recommender) or champion.excludes_bought != self.exclude_bought:
            notes.append(f"The champion {champion.name} could not be compared: it answers by other rules.")
            return None
        if champion.has_seen(window.moment):
            notes.append(
                f"The champion {champion.name} could not be compared: it has learnt from days after {window.moment}."
            )
            return None
        theirs = _values(champion, window, known=chosen.products)[PRIMARY]
        return _compared(mine, theirs, (chosen.name, champion.name), seed)

    def _beside(
        self,
        model: Recommender,
        past: _Past,
        everything: pa.Table,
        as_of: date,
        segments: pa.Table | None,
        said: Mapping[str, str],
    ) -> pa.Table:
        """Return the lists for products, segments, countries and everybody."""
        found = Purchases.of(everything, model.products)
        names = model.products
        part: list[pa.Table] = []
        with_it = together(found, model.is_offered, BESIDE)
        part.append(_listed("together", names, with_it, names, as_of, said))
        part.append(_listed("instead", names, _instead(model, past, found), names, as_of, said))
        whole = model.popularity / max(model.popularity.sum(), 1e-12)
        groups = {("everybody", "everybody"): model.popularity}
        groups |= {("country", name): model.by_country[at] for at, name in enumerate(model.countries)}
        for name, is_in in _of_segments(everything, segments).items():
            own = buyers_of_late(found, SEGMENT_HALF_LIFE_DAYS, is_in)
            groups["segment", name] = own + SEGMENT_SHRINKAGE * whole
        for (kind, scope), scores in groups.items():
            best = model.ranked_by(scores, self.n)
            one = ProductLists(best[None, :], scores[best][None, :])
            part.append(_listed(kind, np.array([scope]), one, names, as_of, said))
        return pa.concat_tables(part)


def _horizon(history: History, stored: int | None) -> int:
    """Return the days of a window: 30, or a quarter of a shorter history."""
    if stored:
        return int(stored)
    first, last = history.first_day, history.last_day
    if first is None or last is None:
        raise ModelError("a shop must have orders before it can recommend; it has none. Load its orders.")
    return max(min(HORIZON_DAYS, ((last - first).days + 1) // 4), LEAST_HORIZON)


def _prices(lines: pa.Table) -> pa.Table:
    """Return ``product_id, price``: the median price of the last day each product was sold."""
    coded = lines[PRODUCT_ID].combine_chunks().dictionary_encode()
    day = lines["ordered_on"].cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.int64)
    item = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    price = lines["unit_price"].to_numpy(zero_copy_only=False).astype(np.float64)
    found = last_prices(item, day, np.nan_to_num(price), len(coded.dictionary))
    return pa.table({PRODUCT_ID: coded.dictionary, "price": pa.array(found, from_pandas=True)})


def _wanted(window: _Window, known: frozenset[str], model: Recommender) -> list[frozenset[str]]:
    """Return what each customer bought that could have been recommended."""
    repeatable = frozenset(model.products[model.is_repeatable].tolist())
    owned = window.judged[PRODUCT_IDS].to_pylist()
    if not model.excludes_bought:
        return [bought & known for bought in window.bought]
    return [(bought & known) - (frozenset(own) - repeatable) for bought, own in zip(window.bought, owned, strict=True)]


def _values(model: Recommender, window: _Window, known: NDArray[np.str_] | None = None) -> dict[str, Any]:
    """Return what each customer's list got, by metric (customers without anything to find left out but for hit@3).

    ``known``: the products that could have been recommended; the model's own, if none are said.
    """
    could = frozenset((model.products if known is None else known).tolist())
    wanted = _wanted(window, could, model)
    lists = model.lists(window.judged, SHOWN)
    hits = _hits(model, lists, wanted)
    n_wanted = np.array([len(each) for each in wanted], np.int64)
    has = n_wanted > 0
    return {
        "hit_at_3": hit_at(hits, n_wanted, 3),
        "recall_at_20": recall_at(hits[has], n_wanted[has], SHOWN),
        PRIMARY: ndcg_at(hits[has], n_wanted[has], SHOWN),
        "hits": hits,
        "coverage": catalogue_coverage(lists.items, len(model.products)),
        "novelty": novelty(lists.items, model.share_of_buyers),
    }


def _hits(model: Recommender, lists: Lists, wanted: Sequence[frozenset[str]]) -> NDArray[np.bool_]:
    names = np.append(model.products, "")[lists.items].tolist()
    return np.array([[name in each for name in row] for row, each in zip(names, wanted, strict=True)], bool).reshape(
        lists.items.shape
    )


def _figures(told: Mapping[str, Any], seed: int) -> dict[str, Figure]:
    return {
        name: measure(name, np.ones(len(told[name])), told[name], seed=seed)
        for name in ("hit_at_3", "recall_at_20", PRIMARY)
        if len(told[name])
    }


def _compared(mine: NDArray[Any], theirs: NDArray[Any], names: tuple[str, str], seed: int) -> Comparison:
    return compare(PRIMARY, np.ones(len(mine)), mine, theirs, names=names, groups=np.arange(len(mine)), seed=seed)


def _hits_by_length(told: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the share of customers with a hit in each contender's lists cut at each length: points of a plot."""
    points: dict[str, list[Any]] = {"candidate": [], "length": [], "hit_rate": []}
    for name, values in told.items():
        found = np.maximum.accumulate(values["hits"], axis=1).mean(axis=0).tolist()
        points["candidate"] += [name] * len(found)
        points["length"] += range(1, len(found) + 1)
        points["hit_rate"] += found
    return points


def _examples(blend: Blend, window: _Window) -> tuple[NDArray[Any], NDArray[np.float64]]:
    wanted = _wanted(window, frozenset(blend.products.tolist()), blend)
    numbers = [np.searchsorted(blend.products, sorted(each)).tolist() for each in wanted]
    return blend.examples(window.judged, numbers)


def _learnt(examples: Sequence[tuple[NDArray[Any], NDArray[np.float64]]], notes: list[str]) -> dict[str, float]:
    try:
        return learn(examples)
    except ModelError as error:
        notes.append(f"The blend has its usual weights: {error}")
        return {}


def _search(past: _Past, window: _Window, shape: Mapping[str, Any], budget: float, tell: Tell) -> list[Trial]:
    """Return tries of EASE's parameters on an earlier window, until the seconds are spent."""
    trials: list[Trial] = []
    started, longest = perf_counter(), 0.0
    for drawn in (
        {"penalty": one, "most_products": most} for most in SPACE["most_products"] for one in SPACE["penalty"]
    ):
        if perf_counter() - started + longest > budget:
            break
        begun = perf_counter()
        model = Ease(**shape, **drawn).about(past.catalogue).fit(window.fitted_on)
        value = float(_values(model, window)[PRIMARY].mean())
        seconds = perf_counter() - begun
        longest = max(longest, seconds)
        trials.append(Trial(Ease.name, drawn, PRIMARY, value, seconds))
        tell(RECOMMENDATIONS, f"trying {Ease.name}", len(trials), None)
    return trials


def _customers(rows: pa.Table) -> pa.Table:
    """Return the rows of customers, guests' orders left out."""
    return rows.filter(pc.is_valid(rows[CUSTOMER_ID]))


def _watched(model: Model, rows: pa.Table) -> pa.Table:
    scores = model.score(rows)["scores"]
    first = pc.list_element(pc.if_else(pc.greater(pc.list_value_length(scores), 0), scores, pa.scalar([0.0])), 0)
    return rows.select([CUSTOMER_ID, AS_OF, COUNTRY]).append_column("score", first)


def _of_customers(model: Recommender, rows: pa.Table, lists: Lists, said: Mapping[str, str]) -> pa.Table:
    row, column = np.nonzero(lists.items >= 0)
    because = lists.because[row, column]
    has_reason = because >= 0
    names, words = pa.array(model.products.tolist(), pa.string()), model.descriptions
    told = np.where(words == "", model.products, np.char.strip(words)) if len(words) else words
    reasons = pa.array([f"goes with {name}" for name in told.tolist()] + ["popular of late"], pa.string())
    length = pc.list_value_length(rows[PRODUCT_IDS].combine_chunks()).to_numpy(zero_copy_only=False)
    known = Purchases.of(rows, model.products)
    is_cold = (np.bincount(known.row, minlength=rows.num_rows) == 0) | (length == 0)
    if isinstance(model, Popular):
        is_cold = np.ones(rows.num_rows, bool)
    source = pa.array(["personal", "popular"]).take(pa.array(is_cold[row].astype(np.int64)))
    return pa.table(
        {
            CUSTOMER_ID: rows[CUSTOMER_ID].combine_chunks().take(pa.array(row)),
            AS_OF: rows[AS_OF].combine_chunks().take(pa.array(row)),
            "place": pa.array(column + 1),
            PRODUCT_ID: names.take(pa.array(lists.items[row, column])),
            "score": pa.array(lists.scores[row, column]),
            "source": source,
            "because_of": names.take(pa.array(np.where(has_reason, because, 0), mask=~has_reason)),
            "reason": reasons.take(pa.array(np.where(has_reason, because, len(told)))),
            **{name: pa.array([value]).take(pa.array(np.zeros(len(row), np.int64))) for name, value in said.items()},
        }
    )


def _listed(
    kind: str,
    scopes: NDArray[np.str_],
    lists: ProductLists,
    names: NDArray[np.str_],
    as_of: date,
    said: Mapping[str, str],
) -> pa.Table:
    row, column = np.nonzero(lists.items >= 0)
    n = len(row)
    nothing = pa.array(np.zeros(n, np.int64))
    return pa.table(
        {
            "kind": pa.array([kind]).take(nothing),
            "scope": pa.array(scopes.tolist(), pa.string()).take(pa.array(row)),
            AS_OF: pa.array([as_of], pa.date32()).take(nothing),
            "place": pa.array(column + 1),
            PRODUCT_ID: pa.array(names.tolist(), pa.string()).take(pa.array(lists.items[row, column])),
            "score": pa.array(lists.scores[row, column].astype(np.float64)),
            **{name: pa.array([value]).take(nothing) for name, value in said.items()},
        }
    )


def _instead(model: Recommender, past: _Past, found: Purchases) -> ProductLists:
    prices = dict(zip(*(column.to_pylist() for column in _prices(past.lines).columns), strict=True))
    of_product = dict(zip(*(past.catalogue[name].to_pylist() for name in (PRODUCT_ID, "category")), strict=True))
    names = model.products.tolist()
    return instead(
        found,
        Words.of(model.descriptions),
        np.array([prices.get(name) or np.nan for name in names], np.float64),
        model.is_offered,
        BESIDE,
        np.array([of_product.get(name) or "" for name in names], np.str_),
    )


def _of_segments(rows: pa.Table, segments: pa.Table | None) -> dict[str, NDArray[np.bool_]]:
    """Return which rows are of each named segment; none where segments are not told."""
    if segments is None or not segments.num_rows:
        return {}
    of_customer = dict(zip(segments[CUSTOMER_ID].to_pylist(), segments["segment_name"].to_pylist(), strict=True))
    mine = np.array([of_customer.get(name) or "" for name in rows[CUSTOMER_ID].to_pylist()], np.str_)
    return {str(name): mine == name for name in np.unique(mine) if name}

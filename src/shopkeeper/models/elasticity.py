"""Models of how demand answers to a price: none at all, one elasticity for each channel, or one for each product,
partially pooled.

Rows are those of ``price_panel``: product, channel, currency, week and posted price. Demand is log-linear:

    lines = level x expected x price ^ often x lift ^ promotion,    units per line = size x price ^ much,

and the elasticity of units is ``often + much``: whether somebody buys, and how much then (Gupta 1988). Lines are
counted and nearly Poisson, while units have the heavy tail of wholesalers, so the two parts together are surer than
units alone.
"""

from abc import abstractmethod
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.models.elasticity_fit import COLUMNS, KEY, NAMES, TARGET, Responses, Rows, arranged, fitted, levels
from shopkeeper.models.model import Model, State, array_of, reasons
from shopkeeper.models.price_channels import Codes, coded

EPOCH, MONDAY_OF_WEEK = date(1970, 1, 1), 4
"""Weeks are numbered by their Mondays' days since 1970, divided by seven; the first Monday was day 4."""


class PriceResponse(Model):
    """The common frame: the levels of series, and what scores are made of."""

    columns = COLUMNS
    target = TARGET

    def __init__(self, *, seed: int = 0, **parameters: Any) -> None:
        super().__init__(seed=seed, **parameters)
        self.keys: tuple[NDArray[Any], ...] = ()
        self.found = Responses(*(np.zeros(0) for _ in NAMES))
        self.told: dict[str, Any] = {}

    def _fit(self, rows: pa.Table) -> None:
        if not rows.num_rows:
            raise ModelError(
                "a price must have moved before elasticities can be told; none did. Wait for price changes."
            )
        known = arranged(rows)
        self.keys = known.keys
        self.found, self.told = self._respond(known)

    @abstractmethod
    def _respond(self, rows: Rows) -> tuple[Responses, dict[str, Any]]: ...

    def _score(self, rows: pa.Table) -> pa.Table:
        """Return ``elasticity``, ``elasticity_sd``, and ``expected_lines`` and ``expected_units`` of the row.

        A series that the model has not seen has the channel's elasticity and no expectation.
        """
        place, is_known = self._places(rows)
        price, promoted, expected = (
            rows[name].to_numpy().astype(np.float64) for name in ("log_price", "is_promotion", "expected")
        )
        found = self.found
        week = rows["week"].cast(pa.date32()).cast(pa.int32()).to_numpy() / 7 - self.told["last_week"]
        often, much = found.often[place], (found.elasticity - found.often)[place]
        # Beyond what was learnt from, a trend is not drawn out.
        trend = found.trend[place] * np.minimum(week, 0.0) / 52
        lines = expected * np.exp(found.level[place] + often * price + self.told["lift"] * promoted + trend)
        units = lines * np.exp(found.size[place] + much * price)
        return pa.table(
            {
                "elasticity": pa.array(np.where(is_known, found.elasticity[place], np.nan), from_pandas=True),
                "elasticity_sd": pa.array(np.where(is_known, found.sd[place], np.nan), from_pandas=True),
                "expected_lines": pa.array(np.where(is_known, lines, np.nan), from_pandas=True),
                "expected_units": pa.array(np.where(is_known, units, np.nan), from_pandas=True),
            }
        )

    def _explain(self, rows: pa.Table, top: int) -> pa.Table:
        """Return what the group and the product's own weeks add to the elasticity of all."""
        place, is_known = self._places(rows)
        found = self.found
        group = (found.group_elasticity - found.overall)[place]
        own = (found.elasticity - found.group_elasticity)[place]
        effects = np.where(is_known[:, None], np.stack([group, own], axis=1), 0.0)
        texts = [rows[name].to_pylist() for name in ("group", "product_id")]
        return reasons(np.arange(rows.num_rows), ("group", "product_id"), effects, top, lambda row, at: texts[at][row])

    def has_seen(self, day: date, *, horizon_days: int = 0) -> bool:
        """Return whether it was fitted on a week that reaches to a day or later."""
        return (
            self.is_fitted
            and EPOCH + timedelta(7 * int(self.told["last_week"]) + MONDAY_OF_WEEK + 7 + horizon_days) > day
        )

    def places(self, product_id: NDArray[Any], channel: NDArray[Any], currency: NDArray[Any]) -> Codes:
        """Return where in ``found`` each series stands; -1 for one that the model has not seen."""
        known = {key: number for number, key in enumerate(zip(*(each.tolist() for each in self.keys), strict=True))}
        wanted = zip(product_id.tolist(), channel.tolist(), currency.tolist(), strict=True)
        return np.array([known.get(key, -1) for key in wanted], np.int64)

    def places_in(self, product_id: NDArray[Any], channel: NDArray[Any], currency: NDArray[Any]) -> Codes:
        """Return where among these series each of the model's own stands; all must be there."""
        place = self.places(product_id, channel, currency)
        found = np.zeros(len(self.keys[0]), np.int64)
        found[place[place >= 0]] = np.flatnonzero(place >= 0)
        return found

    def _places(self, rows: pa.Table) -> tuple[Codes, NDArray[np.bool_]]:
        columns = [coded(rows[name]) for name in KEY]
        sizes = [max(len(names), 1) for names, _ in columns]
        both = (columns[0][1] * sizes[1] + columns[1][1]) * sizes[2] + columns[2][1]
        seen, number = np.unique(both, return_inverse=True)
        found = self.places(
            columns[0][0][seen // (sizes[1] * sizes[2])] if len(seen) else np.zeros(0, np.str_),
            columns[1][0][seen // sizes[2] % sizes[1]] if len(seen) else np.zeros(0, np.str_),
            columns[2][0][seen % sizes[2]] if len(seen) else np.zeros(0, np.str_),
        )
        place = found[number] if len(seen) else np.zeros(0, np.int64)
        return np.maximum(place, 0), place >= 0

    def _state(self) -> State:
        texts = {f"key_{name}": np.asarray(each, np.str_) for name, each in zip(KEY, self.keys, strict=True)}
        return {**texts, **{name: getattr(self.found, name) for name in NAMES}, "told": self.told}

    def _restore(self, state: State) -> None:
        keys = [state[f"key_{name}"] for name in KEY]
        n = len(keys[0])
        if not all(isinstance(each, np.ndarray) and each.dtype.kind == "U" and each.shape == (n,) for each in keys):
            raise ModelError("the keys of series must be arrays of texts of one length")
        self.keys = tuple(keys)
        self.found = Responses(*(array_of(state, name, n).astype(np.float64) for name in NAMES))
        self.told = dict(state["told"])
        for name in ("lift", "last_week"):
            self.told[name] = float(self.told[name])


class NoResponse(PriceResponse):
    """The baseline: demand does not answer to prices; a series sells at its level whatever the price."""

    name: ClassVar[str] = "zero"

    def _respond(self, rows: Rows) -> tuple[Responses, dict[str, Any]]:
        n = len(rows.keys[0])
        nothing = np.zeros(n)
        level, size = levels(rows, nothing, nothing, 0.0, nothing)
        found = Responses(**{**dict.fromkeys(NAMES, nothing), "level": level, "size": size})
        return found, {"lift": 0.0, "last_week": float(rows.week.max())}


class PooledResponse(PriceResponse):
    """One elasticity for all products of a channel, which the products' own estimates agree on."""

    name: ClassVar[str] = "pooled"
    is_shared: ClassVar[bool] = True

    def _respond(self, rows: Rows) -> tuple[Responses, dict[str, Any]]:
        return fitted(rows, is_shared=self.is_shared, has_trend=bool(self.parameters.get("trend", False)))


class PartialPooling(PooledResponse):
    """An elasticity for each product, drawn to its group's, and that to the channel's, as far as its own weeks leave
    open.
    """

    name: ClassVar[str] = "partial_pooling"
    is_shared: ClassVar[bool] = False


KINDS: Mapping[str, type[PriceResponse]] = {kind.name: kind for kind in (PartialPooling, PooledResponse, NoResponse)}

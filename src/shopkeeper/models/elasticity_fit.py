"""How elasticities are found: each series' likelihood by rounds, its errors by weeks, and what is drawn together.

Arrays in, arrays out: ``elasticity`` has the models that are made of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.models.pooling import below_nought, pool
from shopkeeper.models.price_channels import Codes, Numbers, coded, totals

KEY = ("product_id", "channel", "currency")
COLUMNS = (*KEY, "group", "week", "log_price", "is_promotion", "expected")
TARGET = ("spell", "gap", "n_lines", "n_units", "log_units")
ROUNDS, GAP_TURNS = 6, 2
LEAST_INFORMATION = 1e-6
LEAST_SERIES, LEAST_RUNS = 5, 6
LEAST_LINES_PER_PRICE = 10
STEP, LEAST_SEEN = 0.1, 0.2
MODERATION = 10.0
"""Weeks that the common variance of units per line counts for, beside a series' own weeks."""
RECENT_WEEKS = 26
SIZE_SCALE = 0.3
LIFT_SD = 0.5
"""Prior standard deviation of the log lift of promotions beyond their price."""


@dataclass(frozen=True)
class Responses:
    """What was found of each series, one element each, and of each channel's groups.

    ``elasticity`` of units with ``sd`` of its error; ``own`` and ``own_sd``: from its own weeks alone (``own_sd`` 0:
    nothing of its own); ``share``: how much of the elasticity is its own, 0 to 1; ``often``: the part in lines;
    ``level``: log lines per expected line at price 1; ``size``: log units per line at price 1; ``group_elasticity``:
    what its group says.
    """

    elasticity: Numbers
    sd: Numbers
    own: Numbers
    own_sd: Numbers
    share: Numbers
    often: Numbers
    level: Numbers
    size: Numbers
    trend: Numbers
    group_elasticity: Numbers
    overall: Numbers


NAMES = tuple(each.name for each in fields(Responses))


@dataclass(frozen=True)
class Rows:
    """Rows as arrays, sorted by series and time; ``series`` numbers ``keys``, ``week`` counts from 1970."""

    keys: tuple[NDArray[Any], ...]
    group: Codes
    groups: NDArray[Any]
    channel: Codes
    series: Codes
    week: Codes
    spell: Codes
    gap: Codes
    x: Numbers
    promoted: Numbers
    log_expected: Numbers
    n: Numbers
    units: Numbers
    log_units: Numbers


def arranged(rows: pa.Table) -> Rows:
    """Return rows as arrays, the same for the same rows in any order."""
    columns = [coded(rows[name]) for name in KEY]
    both = np.zeros(rows.num_rows, np.int64)
    for names, codes in columns:
        both = both * len(names) + codes
    week = rows["week"].cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.int64) // 7
    price = rows["log_price"].to_numpy().astype(np.float64)
    spell = rows["spell"].to_numpy().astype(np.int64)
    seen, series = np.unique(both, return_inverse=True)
    order = np.lexsort((price, spell, week, series))
    first = np.searchsorted(series[order], np.arange(len(seen)))
    keys = tuple(names[codes[order][first]] for names, codes in columns)
    kinds, kind = coded(rows["group"])
    channel = columns[1][1]
    groups, group = np.unique(channel * len(kinds) + kind, return_inverse=True)
    numbers = {
        name: rows[name].to_numpy().astype(np.float64)[order] for name in ("expected", *TARGET[2:], "is_promotion")
    }
    return Rows(
        keys=keys,
        group=group[order][first],
        groups=groups // len(kinds),
        channel=channel[order][first],
        series=series[order],
        week=week[order],
        spell=np.unique(spell[order], return_inverse=True)[1],
        gap=rows["gap"].to_numpy().astype(np.int64)[order],
        x=price[order],
        promoted=numbers["is_promotion"],
        log_expected=np.log(np.maximum(numbers["expected"], 1e-9)),
        n=numbers["n_lines"],
        units=numbers["n_units"],
        log_units=numbers["log_units"],
    )


def fitted(rows: Rows, *, is_shared: bool, has_trend: bool) -> tuple[Responses, dict[str, Any]]:
    """Return the responses of all series by rounds: expand each series' likelihood about its present estimate, then
    pool.

    The level of a series is profiled out, exactly. Expanding about a pooled estimate keeps a series with a spell
    that sold nothing from running off to infinity (penalised quasi-likelihood, Breslow and Clayton 1993).
    """
    size = len(rows.keys[0])
    often, trend = np.full(size, -1.0), np.zeros(size)
    lift, lift_sd, trend_sd = 0.0, 0.0, 0.0
    years = (rows.week - rows.week.max()) / 52
    own, own_variance = np.zeros(size), np.full(size, np.inf)
    ratio = np.ones(size)
    is_seen = _seen(rows)
    if not is_seen.any():
        raise ModelError(
            f"a product must sell {LEAST_LINES_PER_PRICE} lines or more at each of its prices, on average, before its elasticity "
            f"can be told; none does. Wait for more sales."
        )
    for turn in range(ROUNDS):
        eta = often[rows.series] * rows.x + lift * rows.promoted + trend[rows.series] * years + rows.log_expected
        fit = _Fit.of(rows, eta)
        x, z, t = (fit.centred(column) for column in (rows.x, rows.promoted, years))
        info = fit.sum(fit.mean * x * x)
        seen = _observed(rows, eta, fit, info)
        if has_trend:
            slope, drift = fit.sum(fit.mean * t * t), fit.sum(fit.mean * x * t)
            gradient = fit.sum(fit.residual * t)
            if turn > 1:
                trend_sd = _spread(
                    trend + gradient / np.maximum(slope, 1e-9), ratio / np.maximum(slope, 1e-9), slope > 1e-3
                )
            penalty = ratio / max(trend_sd, 1e-3) ** 2
            trend = trend + (gradient - penalty * trend) / (slope + penalty)
            share = drift / (slope + penalty)
            x = x - share[rows.series] * t
            info = fit.sum(fit.mean * x * x)
        whole, info = info, info * seen
        score = fit.sum(fit.residual * x)
        if turn:
            ratio = _robust(rows, fit, info, is_seen)
        is_told = is_seen & (info > LEAST_INFORMATION)
        own = np.where(is_told, often + score / np.where(is_told, info, 1.0), 0.0)
        own_variance = np.where(is_told, ratio / np.where(is_told, info, 1.0), np.inf)
        pooled = _pooled(rows, own, own_variance, scale=1.0)
        # That something sells better because it is dearer is taken for a season or a fashion that the controls have missed.
        often = pooled.overall if is_shared else below_nought(pooled.effect, pooled.effect_sd)[0]
        cross = np.where(is_told, fit.sum(fit.mean * x * z) / np.where(is_told, whole, 1.0), 0.0)
        beside = z - cross[rows.series] * x
        step, lift_sd = _lifted(
            pooled,
            own,
            own_variance,
            cross,
            fit.sum(fit.residual * beside) / ratio,
            fit.sum(fit.mean * beside * beside) / ratio,
        )
        # The prior's mean is no lift.
        step -= lift * (lift_sd / LIFT_SD) ** 2
        lift += step
    pooled = _unsure(rows, pooled, own, own_variance, cross * lift_sd)
    much, much_own, much_own_variance = _amounts(rows, is_seen)
    level, per_line = levels(rows, often, much.overall if is_shared else much.effect, lift, trend)
    if is_shared:
        chosen, sd = often + much.overall, np.hypot(pooled.overall_sd, much.overall_sd)
    else:
        _, often_sd = below_nought(pooled.effect, pooled.effect_sd)
        chosen, sd = below_nought(often + much.effect, np.hypot(often_sd, much.effect_sd))
    is_own = is_seen & np.isfinite(own_variance + much_own_variance)
    found = Responses(
        elasticity=chosen,
        sd=sd,
        own=np.where(is_own, own + much_own, 0.0),
        own_sd=np.where(is_own, np.sqrt(np.where(is_own, own_variance + much_own_variance, 0.0)), 0.0),
        share=np.where(is_own & (not is_shared), pooled.share, 0.0),
        often=often,
        level=level,
        size=per_line,
        trend=trend,
        group_elasticity=(pooled.overall + much.overall) if is_shared else pooled.group + much.group,
        overall=pooled.overall + much.overall,
    )
    told = {
        "lift": lift,
        "lift_sd": lift_sd,
        "last_week": float(rows.week.max()),
        "trend_sd": trend_sd,
        "robust_ratio": float(np.median(ratio)),
        "channels": {str(name): each for name, each in zip(np.unique(rows.keys[1]).tolist(), pooled.told, strict=True)},
        "amounts": {str(name): each for name, each in zip(np.unique(rows.keys[1]).tolist(), much.told, strict=True)},
    }
    return found, told


def _lifted(
    pooled: "_Pool", own: Numbers, variance: Numbers, cross: Numbers, gradient: Numbers, room: Numbers
) -> tuple[float, float]:
    """Return by how much the lift of promotions is to be moved, and its standard deviation, elasticities integrated
    out.

    Of the normal approximation: each series tells of the lift beside its price (``gradient``, ``room``), and by how
    its own elasticity, which would move by ``cross`` with the lift, fits those of its channel, whose mean is free.
    """
    is_told = np.isfinite(variance)
    weight = np.where(is_told, 1 / (np.where(is_told, variance, 1.0) + pooled.spread**2), 0.0)
    off = own - pooled.overall
    pull = float(np.sum(gradient) + np.sum(weight * cross * off))
    info = float(np.sum(room) + np.sum(weight * cross**2)) + 1 / LIFT_SD**2
    for channel in np.unique(pooled.channel):
        part = weight * (pooled.channel == channel)
        if part.sum() > 0:
            pull -= float(np.sum(part * cross) * np.sum(part * off) / part.sum())
            info -= float(np.sum(part * cross) ** 2 / part.sum())
    return pull / info, info**-0.5


def _unsure(rows: Rows, pooled: "_Pool", own: Numbers, variance: Numbers, shift: Numbers) -> "_Pool":
    """Return the pool with what is unsure about the lift: it moves all prices that moved by promotions, together."""
    moved = _pooled(rows, own - shift, variance, scale=1.0)
    return replace(
        pooled,
        effect_sd=np.hypot(pooled.effect_sd, moved.effect - pooled.effect),
        overall_sd=np.hypot(pooled.overall_sd, moved.overall - pooled.overall),
    )


def _seen(rows: Rows) -> NDArray[np.bool_]:
    """Return the series whose prices can be seen: a price is known when something sells, so a price that sells
    nothing is missed.

    Where few lines sell at a price, those prices that sold are seen and the others not, and demand looks as if it
    did not answer: on simulated shops own estimates are too small by a third at three lines a price, by .1 at nine,
    by nothing from fifteen on.
    """
    n_spells = np.bincount(rows.series[np.unique(rows.spell, return_index=True)[1]], minlength=len(rows.keys[0]))
    lines = np.bincount(rows.series, rows.n, len(rows.keys[0]))
    return np.asarray(lines >= LEAST_LINES_PER_PRICE * np.maximum(n_spells, 1))


@dataclass(frozen=True)
class _Fit:
    """Expected lines of rows, levels profiled out, and what is left."""

    series: Codes
    n_series: int
    mean: Numbers
    residual: Numbers
    total: Numbers

    @classmethod
    def of(cls, rows: Rows, eta: Numbers) -> "_Fit":
        size = len(rows.keys[0])
        shift = np.full(size, -np.inf)
        np.maximum.at(shift, rows.series, eta)
        raw = np.exp(eta - shift[rows.series])
        sold = totals(rows.series, rows.n, size)
        shared = raw
        for _ in range(GAP_TURNS):
            level = sold / np.maximum(np.bincount(rows.series, shared, size), 1e-300)
            shared = _shared(rows, raw, level)
        mean = shared * (sold / np.maximum(np.bincount(rows.series, shared, size), 1e-300))[rows.series]
        return cls(rows.series, size, mean, rows.n - mean, sold)

    def sum(self, column: Numbers) -> Numbers:
        """Return the sum of a column over each series."""
        return totals(self.series, column, self.n_series)

    def centred(self, column: Numbers) -> Numbers:
        """Return a column less its series' mean, weighted by expected lines."""
        middle = self.sum(self.mean * column) / np.maximum(self.total, 1e-300)
        return np.asarray(column - middle[self.series])


def _observed(rows: Rows, eta: Numbers, fit: "_Fit", info: Numbers) -> Numbers:
    """Return the share of each series' information that is left where the days of its price changes are not seen.

    Days between two prices are shared out by the very elasticity that is sought, so they agree with it and tell nothing: what
    the score gains from a step is less than the information of days that were seen (the missing information of Louis 1982).
    """
    stepped = _Fit.of(rows, eta + STEP * rows.x)
    gained = fit.sum(fit.residual * rows.x) - fit.sum(stepped.residual * rows.x)
    return np.clip(gained / np.maximum(STEP * info, 1e-12), LEAST_SEEN, 1.0)


def _shared(rows: Rows, raw: Numbers, level: Numbers) -> Numbers:
    """Return relative lines with each gap between two prices parted anew: where the price changed, given that
    nothing sold.

    In the middle, were both prices equally attractive; else nearer to the attractive one's last sale: a day without
    a sale is more likely a day of the other price. The mean of an exponential cut off at both ends.
    """
    at = np.flatnonzero(rows.gap)
    if not len(at):
        return raw
    number = np.unique(np.abs(rows.gap[at]), return_inverse=True)[1]
    is_old = rows.gap[at] > 0
    size = int(number.max()) + 1
    likely, room = raw[at] * level[rows.series[at]], np.exp(rows.log_expected[at])
    sums = [np.bincount(number, column * side, size) for side in (is_old, ~is_old) for column in (likely, room)]
    rate, other = sums[0] / np.maximum(sums[1], 1e-12), sums[2] / np.maximum(sums[3], 1e-12)
    whole = sums[1] + sums[3]
    pull = np.clip((rate - other) * whole, -30, 30)
    tiny = np.abs(pull) < 1e-3
    safe = np.where(tiny, 1.0, pull)
    share = np.where(tiny, 0.5 - pull / 12, 1 / safe - 1 / np.expm1(safe))
    has_both = (sums[1] > 0) & (sums[3] > 0)
    old = np.where(has_both, share * whole / np.maximum(sums[1], 1e-12), 1.0)
    new = np.where(has_both, (1 - share) * whole / np.maximum(sums[3], 1e-12), 1.0)
    found = raw.copy()
    found[at] *= np.where(is_old, old[number], new[number])
    return found


@dataclass(frozen=True)
class _Pool:
    effect: Numbers
    effect_sd: Numbers
    group: Numbers
    overall: Numbers
    overall_sd: Numbers
    spread: Numbers
    share: Numbers
    channel: Codes
    told: tuple[Mapping[str, float], ...]


def _pooled(rows: Rows, own: Numbers, variance: Numbers, *, scale: float) -> _Pool:
    """Return the partially pooled effects, channel by channel; a variance without end says that a series tells
    nothing.
    """
    size = len(own)
    effect, effect_sd, group, overall, overall_sd, spread, share = (np.zeros(size) for _ in range(7))
    told: list[Mapping[str, float]] = []
    for channel in range(int(rows.channel.max()) + 1):
        members = np.flatnonzero(rows.channel == channel)
        inner = np.unique(rows.group[members], return_inverse=True)[1]
        is_told = np.isfinite(variance[members])
        part = members[is_told]
        if not len(part):
            told.append({"series": 0})
            continue
        found = pool(own[part], variance[part], inner[is_told], int(inner.max()) + 1, scale=scale)
        group[members] = found.group[inner]
        effect[members], effect_sd[members] = found.group[inner], np.hypot(found.group_sd[inner], found.within)
        effect[part], effect_sd[part] = found.effect, found.effect_sd
        overall[members], overall_sd[members] = found.overall, found.overall_sd
        spread[members] = np.hypot(found.within, found.between)
        share[part] = found.within**2 / (found.within**2 + variance[part])
        names = ("overall", "overall_sd", "within", "between")
        told.append({**{name: getattr(found, name) for name in names}, "series": len(part)})
    return _Pool(effect, effect_sd, group, overall, overall_sd, spread, share, rows.channel, tuple(told))


def _robust(rows: Rows, fit: _Fit, info: Numbers, is_seen: NDArray[np.bool_]) -> Numbers:
    """Return how much wider than Poisson each series' errors are: the dispersion of its weeks, and of runs of weeks.

    Lines of a week depend on one another, and as a price acts for a whole spell, so may weeks as far apart as a
    spell is long: residuals are summed over weeks, and over runs as long as the channel's usual spell, squared, and
    held against what Poisson counts would have; the wider of the two counts. One series' own dispersion is mostly
    chance, so within a channel it is a line in lines per week, as a variance of mean + mean^2 / k has it. It is
    taken over all weeks and not in the direction of the price (as a sandwich would): there, that elasticities differ
    would be taken for noise, and pooling would feed on itself.
    """
    found = np.ones(fit.n_series)
    _, n_weeks = _meat(_clusters(rows.series, rows.week), fit.residual, rows.series, fit.n_series)
    busy = fit.sum(rows.n) / np.maximum(n_weeks, 1)
    _, n_spells = _meat(rows.spell, fit.residual, rows.series, fit.n_series)
    expected = fit.sum(fit.mean)
    for channel in range(int(rows.channel.max()) + 1):
        members = rows.channel == channel
        is_told = members & is_seen & (info > LEAST_INFORMATION) & (expected > 0)
        if is_told.sum() < LEAST_SERIES:
            continue
        usual = float(np.average((n_weeks / np.maximum(n_spells, 1))[is_told], weights=info[is_told]))
        run = int(np.clip(round(usual), 1, max(int(n_weeks[is_told].max()) // LEAST_RUNS, 1)))
        for length in sorted({1, run}):
            squares, n = _meat(_clusters(rows.series, rows.week // length), fit.residual, rows.series, fit.n_series)
            part = np.flatnonzero(is_told & (n > 1))
            if len(part) < LEAST_SERIES:
                continue
            ratio = (squares * n / np.maximum(n - 1, 1))[part] / expected[part]
            start, slope = _line(busy[part], ratio, n[part] / (1 + busy[part]) ** 2)
            found[members] = np.maximum(found[members], start + slope * busy[members])
    return found


def _clusters(series: Codes, run: Codes) -> Codes:
    """Return the number of each row's series and run of weeks; rows are sorted by both."""
    if not len(series):
        return np.zeros(0, np.int64)
    return np.cumsum(np.append(True, (np.diff(series) != 0) | (np.diff(run) != 0))) - 1


def _line(x: Numbers, y: Numbers, weight: Numbers) -> tuple[float, float]:
    """Return intercept (1 or more) and slope (0 or more) of the weighted least-squares line."""
    middle, height = np.average(x, weights=weight), np.average(y, weights=weight)
    across = float(np.sum(weight * (x - middle) ** 2))
    slope = max(float(np.sum(weight * (x - middle) * (y - height))) / across, 0.0) if across > 0 else 0.0
    if height - slope * middle >= 1:
        return float(height - slope * middle), slope
    # Through a ratio of 1 for what hardly sells: the slope alone is fitted.
    return 1.0, max(float(np.sum(weight * x * (y - 1)) / np.sum(weight * x * x)), 0.0) if np.any(x > 0) else 0.0


def _meat(cluster: Codes, step: Numbers, series: Codes, n_series: int) -> tuple[Numbers, Numbers]:
    """Return, per series, the sum of squared sums over its clusters, and how many clusters it has."""
    sums = totals(cluster, step)
    owner = np.zeros(len(sums), np.int64)
    owner[cluster] = series
    return totals(owner, sums**2, n_series), np.bincount(owner, minlength=n_series).astype(np.float64)


def _spread(own: Numbers, variance: Numbers, is_told: NDArray[np.bool_]) -> float:
    """Return the standard deviation of effects about nought, of which noisy estimates are known (Paule and Mandel
    1982).
    """
    if is_told.sum() < 2:
        return 0.0
    value, noise = own[is_told], variance[is_told]
    low, high = 0.0, 4.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if float(np.sum(value**2 / (noise + middle**2))) > len(value) else (low, middle)
    return (low + high) / 2


def _amounts(rows: Rows, is_seen: NDArray[np.bool_]) -> tuple[_Pool, Numbers, Numbers]:
    """Return the elasticity of units per line: pooled, and each series' own with its variance, which respects weeks.

    Least squares of mean log units on log price within a series; a median line's answer stands for the mean's.
    """
    size = len(rows.keys[0])
    has = rows.n > 0
    series, n = rows.series[has], rows.n[has]
    x, y = rows.x[has], rows.log_units[has] / n
    weight = np.maximum(np.bincount(series, n, size), 1e-300)
    x = x - (np.bincount(series, n * x, size) / weight)[series]
    y = y - (np.bincount(series, n * y, size) / weight)[series]
    info = np.bincount(series, n * x * x, size)
    is_told = is_seen & (info > LEAST_INFORMATION)
    slope = np.where(is_told, np.bincount(series, n * x * y, size) / np.where(is_told, info, 1.0), 0.0)
    left = n * (y - slope[series] * x)
    freedom = np.bincount(series, minlength=size) - 2.0
    squares = np.bincount(series, left**2 / n, size)
    common = float(squares[freedom > 0].sum() / max(freedom[freedom > 0].sum(), 1.0)) or 1.0
    noise = (squares + MODERATION * common) / (np.maximum(freedom, 0) + MODERATION)
    meat, weeks = _meat(np.unique(series * 20_000 + rows.week[has], return_inverse=True)[1], left * x, series, size)
    ratio = np.where(is_told, meat * weeks / np.maximum(weeks - 2, 1) / np.where(is_told, info * noise, 1.0), 1.0)
    ratio = np.maximum((weeks * ratio + MODERATION) / (weeks + MODERATION), 1.0)
    variance = np.where(is_told, ratio * noise / np.where(is_told, info, 1.0), np.inf)
    return _pooled(rows, slope, variance, scale=SIZE_SCALE), slope, variance


def levels(rows: Rows, often: Numbers, much: Numbers, lift: float, trend: Numbers) -> tuple[Numbers, Numbers]:
    """Return log lines per expected line, and log units per line, both at price 1, from each series' latest
    half-year.
    """
    size = len(rows.keys[0])
    years = (rows.week - rows.week.max()) / 52
    eta = often[rows.series] * rows.x + lift * rows.promoted + trend[rows.series] * years + rows.log_expected
    last = np.full(size, -(2**31))
    np.maximum.at(last, rows.series, rows.week)
    is_late = rows.week > last[rows.series] - RECENT_WEEKS
    whole = np.exp(eta)
    sold, likely = (np.bincount(rows.series, column * is_late, size) for column in (rows.n, whole))
    all_sold, all_likely = np.bincount(rows.series, rows.n, size), np.bincount(rows.series, whole, size)
    # What was sold before counts for one line, so that half a year without a sale is no level of nought.
    level = np.log((sold + 1) / (likely + all_likely / np.maximum(all_sold, 1)))
    units = np.bincount(rows.series, rows.units, size)
    at_price = np.bincount(rows.series, rows.n * np.exp(much[rows.series] * rows.x), size)
    return level, np.log(np.maximum(units, 1e-9) / np.maximum(at_price, 1e-9))

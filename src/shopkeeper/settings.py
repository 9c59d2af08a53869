"""``shopkeeper.toml`` + ``secrets.toml`` + ``SHOPKEEPER__SECTION__KEY`` + a profile → one frozen Settings.

Read once, checked, handed down. No other module reads the environment or these files. Later wins:
preset, shopkeeper.toml, its ``[profiles.NAME]``, environment.
"""

import difflib
import json
import math
import os
import tomllib
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from shopkeeper import presets
from shopkeeper import vocabulary as v
from shopkeeper.errors import SettingsError, UsageError
from shopkeeper.mappings import Mapping, parse_mapping

FILE = "shopkeeper.toml"
SECRETS = "secrets.toml"
PROFILES = ("dev", "prod")
PREFIX = "SHOPKEEPER__"
SHARES = ("support", "confidence", "discount", "uptake")
"""Settings of ``[baskets]`` from 0 to 1."""
MOST_HORIZON = 365
DEMAND_LEVELS = ("total", "country", "store", "category", "product")


@dataclass(frozen=True)
class Shop:
    """Who the shop is: its name, the zone its days are counted in, its currency and home country."""

    name: str = "My shop"
    timezone: str = "UTC"
    currency: str = "EUR"
    country: str = ""


@dataclass(frozen=True)
class SourceSettings:
    """One ``[sources.NAME]``: its kind, the options of that kind, and how its tables map to contracts.

    ``options`` is not shown: a URL among them may carry credentials.
    """

    name: str
    kind: str
    options: MappingType[str, Any] = field(repr=False)
    mappings: MappingType[str, Mapping]


@dataclass(frozen=True)
class LineKinds:
    """Which codes are not products, and which order numbers are cancellations.

    ``codes``: kind → product codes; ``prefixes``: kind → what such codes start with; ``orders``: kind →
    what such order ids start with. Codes are compared upper-cased and trimmed.
    """

    codes: MappingType[str, tuple[str, ...]] = field(default_factory=dict)
    prefixes: MappingType[str, str] = field(default_factory=dict)
    orders: MappingType[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outliers:
    """When a line is flagged ``is_outlier``; nothing is removed.

    ``quantity_fence``: how many interquartile ranges beyond the quartiles (Tukey); ``price_z``: how many standard
    deviations from the mean, among the lines within the fence.
    """

    quantity_fence: float = 1.5
    price_z: float = 3.0


@dataclass(frozen=True)
class Sales:
    """What counts as net sales. ``exclude_duplicates``: leave out lines flagged is_duplicate."""

    exclude_duplicates: bool = False


@dataclass(frozen=True)
class Sessions:
    """``gap_minutes``: a visit without session ids ends after so long a silence."""

    gap_minutes: int = 30


@dataclass(frozen=True)
class Baskets:
    """What counts as a basket, and what is told of baskets.

    ``pair_minimum``: in how many baskets two products must stand together to be a pair; ``basket_limit``: baskets of
    more products than this are counted, but make no pairs; ``made_from``: orders, sessions (carts and purchases of a visit)
    or views; ``support`` and ``confidence``: the least of an itemset and of a rule, as shares (support 0: chosen from the
    data); ``discount`` and ``uptake`` of bundles: what is taken off, and who is assumed to take it.
    """

    pair_minimum: int = 5
    basket_limit: int = 100
    made_from: str = "orders"
    support: float = 0.0
    confidence: float = 0.1
    discount: float = 0.1
    uptake: float = 0.05


@dataclass(frozen=True)
class Publishing:
    """``keep``: how many published versions stay for rollback."""

    keep: int = 5


@dataclass(frozen=True)
class Resources:
    """``threads`` and ``memory_gb`` of a build; zero: all cores, three quarters of the memory."""

    threads: int = 0
    memory_gb: float = 0.0


@dataclass(frozen=True)
class Features:
    """``orders_from``: whether orders are order_lines, or the purchases among events (a shop that has clicks only)."""

    orders_from: str = "order_lines"


@dataclass(frozen=True)
class Models:
    """What is trained, and when anew.

    ``subjects``: the questions to answer; ``seed`` of all that is random; ``retrain_days``: a champion is refitted as a
    challenger once the shop's data are so many days newer than when it was trained; ``registry``: the URI of an MLflow
    server, empty for a SQLite file in the project.
    """

    subjects: str = "segments churn lifetime labels baskets recommendations demand prices"
    seed: int = 7
    retrain_days: int = 30
    registry: str = ""


@dataclass(frozen=True)
class Churn:
    """``horizon_days``: no order within so many days is churn; zero: found from the shop's own gaps between orders."""

    horizon_days: int = 0


@dataclass(frozen=True)
class Lifetime:
    """``horizon_days``: how far ahead value is counted; ``margin``: the share of sales that is profit."""

    horizon_days: int = 365
    margin: float = 1.0


@dataclass(frozen=True)
class Segments:
    """``least`` and ``most``: between how many behavioural segments the data may choose, the outlier segment apart."""

    least: int = 4
    most: int = 8


@dataclass(frozen=True)
class Demand:
    """``horizon_days``: how far ahead sales are forecast; ``levels``: for what, besides the total."""

    horizon_days: int = 28
    levels: str = "total country store category product"


@dataclass(frozen=True)
class Stock:
    """``lead_days`` until an order arrives, ``lead_days_sd`` their standard deviation; ``service_level``: the chance of not
    running out in a cycle; ``review_days`` between two looks at the stock.
    """

    lead_days: float = 7.0
    lead_days_sd: float = 2.0
    service_level: float = 0.95
    review_days: float = 7.0


@dataclass(frozen=True)
class Recommendations:
    """What may be recommended, and how much.

    ``n``: products in a customer's list; ``exclude_bought``: leave out what the customer bought, but for products of
    ``repeat_categories`` (parted by commas); ``blocked``: products never shown (parted by commas); ``in_stock_only``: leave
    out what is known to be out of stock; ``margin_floor``: leave out what is known to earn a smaller share of its price.
    """

    n: int = 20
    exclude_bought: bool = True
    repeat_categories: str = ""
    blocked: str = ""
    in_stock_only: bool = True
    margin_floor: float = 0.0


@dataclass(frozen=True)
class Prices:
    """What price advice keeps to.

    ``objective``: profit, revenue, or auto (profit where the unit cost is known); ``margin_floor``: the share of a price that
    must stay above cost; ``largest_step``: how far a price may move at once, as a share; ``endings``: digits that prices may end
    on, parted by blanks, such as 99 49, any if empty; ``minimum_weeks``: products sold for fewer tell nothing of their own.
    """

    objective: str = "auto"
    margin_floor: float = 0.0
    largest_step: float = 0.2
    endings: str = ""
    minimum_weeks: int = 8


@dataclass(frozen=True)
class Collector:
    """How events come in.

    ``largest_mb``: a larger request is refused; ``waiting_mb`` and ``waiting_requests``: beyond so much that waits for the
    disk, requests are told to come again; ``load_seconds``: how often the log is brought to the lake; ``keep_minutes``: how
    long the log keeps what the lake holds already; ``live_minutes``: how far back live numbers reach.
    """

    largest_mb: float = 16.0
    waiting_mb: float = 64.0
    waiting_requests: int = 10000
    load_seconds: float = 30.0
    keep_minutes: float = 60.0
    live_minutes: int = 30


@dataclass(frozen=True)
class Drift:
    """``policy``: what a found drift does: warn, retrain (train a challenger), or stop (publish nothing new)."""

    policy: str = "warn"


@dataclass(frozen=True)
class Api:
    """How `shopkeeper serve` answers.

    ``host`` and ``port``: where it listens; ``rate`` and ``burst``: requests a second that each key (each address without
    one) may send in the long run, and at once, 0 for no limit; ``body_limit_mb``: no larger body is read;
    ``timeout_seconds``: no request takes longer; ``depth`` and ``elements``: how deep a JSON body may be nested, and of how
    many values it may be made.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    rate: float = 1000.0
    burst: int = 2000
    body_limit_mb: float = 10.0
    timeout_seconds: float = 30.0
    depth: int = 20
    elements: int = 1_000_000


@dataclass(frozen=True)
class Settings:
    """All settings of one project under one profile."""

    project: Path
    profile: str
    shop: Shop
    sources: MappingType[str, SourceSettings]
    line_kinds: LineKinds
    outliers: Outliers
    sales: Sales
    sessions: Sessions
    baskets: Baskets
    publishing: Publishing
    resources: Resources
    features: Features
    models: Models
    churn: Churn
    lifetime: Lifetime
    segments: Segments
    demand: Demand
    stock: Stock
    recommendations: Recommendations
    prices: Prices
    drift: Drift
    api: Api
    collector: Collector
    secrets: MappingType[str, str] = field(default_factory=dict, repr=False)

    @property
    def home(self) -> Path:
        """Where this profile keeps all its state; profiles share nothing."""
        return self.project / "data" / self.profile

    @property
    def lake(self) -> Path:
        """The folder of the lake's Delta tables."""
        return self.home / "lake"

    @property
    def warehouse(self) -> Path:
        """The builder's DuckDB file; apps never open it."""
        return self.home / "warehouse.duckdb"

    @property
    def published(self) -> Path:
        """The folder of published versions and the pointer to the current one."""
        return self.home / "published"

    @property
    def registry(self) -> Path:
        """The folder of the model registry, its runs, and the models that serve."""
        return self.home / "models"

    @property
    def log(self) -> Path:
        """The file of the collector's durable log."""
        return self.home / "collector" / "log.sqlite"

    @property
    def scratch(self) -> Path:
        """Where temporary files go; emptied by every run."""
        return self.home / "scratch"


_SECTIONS: dict[str, type[Any]] = {
    "shop": Shop,
    "outliers": Outliers,
    "sales": Sales,
    "sessions": Sessions,
    "baskets": Baskets,
    "publishing": Publishing,
    "resources": Resources,
    "features": Features,
    "models": Models,
    "churn": Churn,
    "lifetime": Lifetime,
    "segments": Segments,
    "demand": Demand,
    "stock": Stock,
    "recommendations": Recommendations,
    "prices": Prices,
    "drift": Drift,
    "api": Api,
    "collector": Collector,
}
_KIND_NAMES = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}
_TOP = (*_SECTIONS, "sources", "line_kinds", "profiles")


def load(project: Path, profile: str = "dev", environment: MappingType[str, str] | None = None) -> Settings:
    """Read and check the settings of a project.

    ``environment`` stands for ``os.environ`` (handed in by tests). Raises SettingsError, which names the key,
    the rule, the value and what to do.
    """
    if profile not in PROFILES:
        raise UsageError(f"profile must be one of {', '.join(PROFILES)}; got {profile!r}. Choose one.")
    path = project / FILE
    if not path.is_file():
        raise SettingsError(
            f"a project must hold a {FILE}; found none in {project}. Make one with `shopkeeper init {project}`, "
            f"or name the project with --project DIR."
        )
    variables = os.environ if environment is None else environment
    written = _read(path)
    _refuse_unknown(written, _TOP, FILE)
    overrides = written.pop("profiles", {})
    _refuse_unknown(overrides, PROFILES, f"{FILE} [profiles]")
    for name, override in overrides.items():
        _refuse_unknown(override, _TOP[:-1], f"{FILE} [profiles.{name}]")
    merged = _merge(_merge(_of_presets(written), written), overrides.get(profile, {}))
    merged = _merge(merged, _of_environment(variables))
    _refuse_unknown(merged, _TOP, "the environment")
    sections = {name: _section(cls, merged.get(name, {}), name) for name, cls in _SECTIONS.items()}
    _check(sections)
    return Settings(
        project=project.resolve(),
        profile=profile,
        sources=_sources(merged.get("sources", {})),
        line_kinds=_line_kinds(merged.get("line_kinds", {})),
        secrets=_secrets(project / SECRETS, variables),
        **sections,
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} must be TOML in UTF-8; {error}. Mend that place in {path}.") from error


def _of_presets(written: MappingType[str, Any]) -> dict[str, Any]:
    """Return what the presets named by the sources say about the shop as a whole."""
    merged: dict[str, Any] = {}
    for source in written.get("sources", {}).values():
        if isinstance(source, dict) and "preset" in source:
            preset = presets.load(str(source["preset"]))
            merged = _merge(merged, {key: preset[key] for key in _TOP if key in preset})
    return merged


def _of_environment(variables: MappingType[str, str]) -> dict[str, Any]:
    """Return ``SHOPKEEPER__SECTION__KEY=value`` as nested tables; secrets are not among them."""
    merged: dict[str, Any] = {}
    for name, value in variables.items():
        parts = name.removeprefix(PREFIX).lower().split("__")
        if name.startswith(PREFIX) and parts[0] != "secrets":
            if len(parts) < 2:
                raise SettingsError(f"{name} must name a section and a key, as {PREFIX}SHOP__CURRENCY. Rename it.")
            nested: dict[str, Any] = {parts[-1]: value}
            for part in reversed(parts[:-1]):
                nested = {part: nested}
            merged = _merge(merged, nested)
    return merged


def _merge(below: MappingType[str, Any], above: MappingType[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _merge(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _refuse_unknown(table: object, known: tuple[str, ...], where: str) -> None:
    if not isinstance(table, dict):
        raise SettingsError(f"{where} must be a table of settings; got {table!r}. Write it as [section].")
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"Did you mean {near[0]!r}?" if near else "Remove it."
            raise SettingsError(f"a setting must be one of {', '.join(known)}; got {key!r} in {where}. {hint}")


def _section(cls: type[Any], table: MappingType[str, Any], name: str) -> Any:
    _refuse_unknown(table, tuple(item.name for item in fields(cls)), f"[{name}]")
    values = {}
    for item in fields(cls):
        if item.name in table:
            values[item.name] = _typed(table[item.name], item.default, f"{name}.{item.name}")
    return cls(**values)


def _typed(value: object, default: object, where: str) -> object:
    """Return the value in the type of the setting's default; text from the environment is read as such."""
    kind: type[Any] = type(default)
    if kind is bool and isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if kind in {int, float} and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
            # 2.5 is no whole number, and nan would pass every comparison with a limit.
            if math.isfinite(number) and (kind is float or number == int(number)):
                return kind(number)
        except ValueError:
            pass
    elif kind in {str, bool} and isinstance(value, kind):
        return value
    example = json.dumps(default)
    raise SettingsError(f"{where} must be {_KIND_NAMES[kind]}; got {value!r}. Write it like {example}.")


def _check(sections: MappingType[str, Any]) -> None:
    shop = sections["shop"]
    try:
        ZoneInfo(shop.timezone)
    except (KeyError, ValueError, OSError) as error:
        raise SettingsError(
            f"shop.timezone must be an IANA zone such as Europe/London; got {shop.timezone!r}. Correct it."
        ) from error
    if not (len(shop.currency) == 3 and shop.currency.isalpha() and shop.currency.isupper()):
        raise SettingsError(f"shop.currency must be an ISO 4217 code such as GBP; got {shop.currency!r}. Correct it.")
    for name, value, least in (
        ("publishing.keep", sections["publishing"].keep, 1),
        ("baskets.pair_minimum", sections["baskets"].pair_minimum, 1),
        ("baskets.basket_limit", sections["baskets"].basket_limit, 2),
        *((f"baskets.{name}", getattr(sections["baskets"], name), 0) for name in SHARES),
        ("sessions.gap_minutes", sections["sessions"].gap_minutes, 1),
        ("outliers.quantity_fence", sections["outliers"].quantity_fence, 0),
        ("outliers.price_z", sections["outliers"].price_z, 0),
        ("resources.threads", sections["resources"].threads, 0),
        ("resources.memory_gb", sections["resources"].memory_gb, 0),
        ("models.seed", sections["models"].seed, 0),
        ("models.retrain_days", sections["models"].retrain_days, 1),
        ("churn.horizon_days", sections["churn"].horizon_days, 0),
        ("lifetime.horizon_days", sections["lifetime"].horizon_days, 1),
        ("lifetime.margin", sections["lifetime"].margin, 0),
        ("demand.horizon_days", sections["demand"].horizon_days, 1),
        ("stock.lead_days", sections["stock"].lead_days, 0),
        ("stock.lead_days_sd", sections["stock"].lead_days_sd, 0),
        ("stock.review_days", sections["stock"].review_days, 0),
        ("recommendations.n", sections["recommendations"].n, 1),
        ("recommendations.margin_floor", sections["recommendations"].margin_floor, 0),
        ("segments.least", sections["segments"].least, 2),
        ("segments.most", sections["segments"].most, sections["segments"].least),
        ("prices.margin_floor", sections["prices"].margin_floor, 0),
        ("prices.minimum_weeks", sections["prices"].minimum_weeks, 1),
        ("api.port", sections["api"].port, 1),
        ("api.rate", sections["api"].rate, 0),
        ("api.burst", sections["api"].burst, 1),
        ("api.body_limit_mb", sections["api"].body_limit_mb, 0.001),
        ("api.timeout_seconds", sections["api"].timeout_seconds, 0.1),
        ("api.depth", sections["api"].depth, 4),
        ("api.elements", sections["api"].elements, 100),
        ("collector.largest_mb", sections["collector"].largest_mb, 0.001),
        ("collector.waiting_mb", sections["collector"].waiting_mb, sections["collector"].largest_mb),
        ("collector.waiting_requests", sections["collector"].waiting_requests, 1),
        ("collector.load_seconds", sections["collector"].load_seconds, 0),
        ("collector.live_minutes", sections["collector"].live_minutes, 1),
        ("collector.keep_minutes", sections["collector"].keep_minutes, sections["collector"].live_minutes),
    ):
        if value < least:
            raise SettingsError(f"{name} must be at least {least}; got {value}. Raise it.")
    for name in SHARES:
        if (share := getattr(sections["baskets"], name)) > 1:
            raise SettingsError(f"baskets.{name} must be a share, at most 1; got {share}. Lower it.")
    for name, chosen, known in (
        ("baskets.made_from", sections["baskets"].made_from, ("orders", "sessions", "views")),
        ("features.orders_from", sections["features"].orders_from, ("order_lines", "events")),
        ("drift.policy", sections["drift"].policy, ("warn", "retrain", "stop")),
        ("prices.objective", sections["prices"].objective, ("auto", "profit", "revenue")),
    ):
        if chosen not in known:
            raise SettingsError(f"{name} must be one of {', '.join(known)}; got {chosen!r}. Choose one.")
    _check_subjects(sections["models"].subjects)
    _check_demand(sections["demand"], sections["stock"])
    _check_prices(sections["prices"])


def listed(text: str) -> tuple[str, ...]:
    """Return the parts of a setting that lists texts, parted by commas; blanks around them do not count.

    >>> listed("22423, 85123A")
    ('22423', '85123A')
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _check_subjects(subjects: str) -> None:
    for name in subjects.split():
        if name not in v.SUBJECTS:
            raise SettingsError(
                f"models.subjects must name some of {', '.join(v.SUBJECTS)}, parted by blanks; got {name!r}. Correct it."
            )


def _check_demand(demand: Demand, stock: Stock) -> None:
    if demand.horizon_days > MOST_HORIZON:
        raise SettingsError(f"demand.horizon_days must be at most {MOST_HORIZON}; got {demand.horizon_days}. Lower it.")
    if not 0.5 <= stock.service_level < 1:
        raise SettingsError(
            f"stock.service_level must be a chance from .5 to below 1; got {stock.service_level}. Write it like 0.95."
        )
    for name in demand.levels.split():
        if name not in DEMAND_LEVELS:
            raise SettingsError(
                f"demand.levels must name some of {', '.join(DEMAND_LEVELS)}, parted by blanks; got {name!r}. Correct it."
            )


def _check_prices(prices: Prices) -> None:
    for name, value in (("margin_floor", prices.margin_floor), ("largest_step", prices.largest_step)):
        if not value < 1 or (name == "largest_step" and value <= 0):
            raise SettingsError(f"prices.{name} must be a share below 1; got {value}. Write 20 % as 0.2.")
    for ending in prices.endings.split():
        if not ending.isdigit() or len(ending) > 4:
            raise SettingsError(
                f"prices.endings must be digits that prices end on, parted by blanks, such as 99 49; got {ending!r}. Correct it."
            )


def _sources(table: MappingType[str, Any]) -> dict[str, SourceSettings]:
    sources = {}
    for name, raw in table.items():
        where = f"[sources.{name}]"
        if not isinstance(raw, dict):
            raise SettingsError(f"{where} must be a table; got {raw!r}. Write [sources.{name}] and its keys below.")
        if name == v.COLLECTOR:
            raise SettingsError(f"a source must not be called {name}: that is what comes in by HTTP. Rename {where}.")
        own = dict(raw)
        if not isinstance(own.get("tables", {}), dict):
            raise SettingsError(
                f"{where[:-1]}.tables] must be a table of tables; got {own['tables']!r}. Write "
                f"[sources.{name}.tables.NAME] and its keys below."
            )
        tables = _merge(presets.load(own.pop("preset"))["tables"] if "preset" in own else {}, own.pop("tables", {}))
        if not tables:
            raise SettingsError(
                f"a source must map at least one table; {where} has neither a preset nor tables. "
                f'Add preset = "…" (see `shopkeeper presets`) or a [sources.{name}.tables.NAME].'
            )
        mappings = {key: parse_mapping(value, f"{where[:-1]}.tables.{key}]") for key, value in tables.items()}
        sources[name] = SourceSettings(name, str(own.pop("kind", "files")), own, mappings)
    return sources


def _line_kinds(table: MappingType[str, Any]) -> LineKinds:
    _refuse_unknown(table, ("codes", "prefixes", "orders"), "[line_kinds]")
    for part, kind_of, told in (
        ("codes", list, 'a list of codes, as postage = ["POST"]'),
        ("prefixes", str, 'a text, as gift_voucher = "GIFT"'),
        ("orders", str, 'a text, as cancellation = "C"'),
    ):
        _refuse_unknown(table.get(part, {}), v.LINE_KINDS, f"[line_kinds.{part}]")
        for kind, value in table.get(part, {}).items():
            if not isinstance(value, kind_of):
                raise SettingsError(f"line_kinds.{part}.{kind} must be {told}; got {value!r}. Write it so.")
    return LineKinds(
        {kind: tuple(str(code).strip().upper() for code in codes) for kind, codes in table.get("codes", {}).items()},
        {kind: str(prefix).upper() for kind, prefix in table.get("prefixes", {}).items()},
        {kind: str(prefix).upper() for kind, prefix in table.get("orders", {}).items()},
    )


def _secrets(path: Path, variables: MappingType[str, str]) -> dict[str, str]:
    """Return secrets by dotted name: ``[postgres] password`` and ``SHOPKEEPER__SECRETS__POSTGRES__PASSWORD``."""
    found: dict[str, str] = {}
    if path.is_file():
        for section, table in _read(path).items():
            if isinstance(table, dict):
                found |= {f"{section}.{key}": str(value) for key, value in table.items()}
            else:
                found[section] = str(table)
    prefix = f"{PREFIX}SECRETS__"
    for name, value in variables.items():
        if name.startswith(prefix):
            found[name.removeprefix(prefix).lower().replace("__", ".")] = value
    return found


def describe_presets() -> dict[str, str]:
    """Return each preset's name and what it reads."""
    return {name: str(presets.load(name)["description"]) for name in presets.names()}


_TEMPLATE = """\
# A Shopkeeper project. Every setting is optional but the source; docs/settings.md lists them all.
# Secrets (passwords, tokens) go to secrets.toml beside this file, or to SHOPKEEPER__SECRETS__SOURCE__KEY.

[shop]
name = {name}
{shop}
[sources.{source}]
kind = "files"                # files, postgres, rest, dataset_api
{where}
{mapping}
# [publishing]
# keep = 5                    # versions kept for rollback

# [outliers]                  # lines beyond are flagged is_outlier, never removed
# quantity_fence = 1.5        # interquartile ranges beyond the quartiles
# price_z = 3.0               # standard deviations from the mean price

# [sales]
# exclude_duplicates = false  # true: equal lines of one order count once

# [profiles.prod.shop]        # what differs under --profile prod
# name = "My shop, for real"
"""

_OWN_MAPPING = """
[sources.{source}.tables.order_lines]
entity = "order_lines"
datetime_formats = ["%Y-%m-%d %H:%M:%S", "%d/%m/%Y"]
# decimal_mark = ","          # for 1.234,56
# thousands_mark = "."
# currency_symbols = "£"      # for £3.50

[sources.{source}.tables.order_lines.columns]   # ours = "yours"
order_id = "order"
ordered_at = "date"
quantity = "quantity"
unit_price = "price"
# product_id = "sku"
# description = "product name"
# customer_id = "customer"
# country = "country"
"""


def write_project(folder: Path, *, preset: str | None = None, path: str | None = None) -> Path:
    """Write a commented shopkeeper.toml into a folder and return its path.

    ``path`` is kept absolute if it is a local path, so that the project may be run from anywhere.
    Raises UsageError if there is one already (nothing is overwritten) or the preset is unknown.
    """
    target = folder / FILE
    if target.exists():
        raise UsageError(f"init must not overwrite a project; {target} exists. Edit it, or name another folder.")
    known = presets.load(preset) if preset else {}
    source = (preset or "orders").replace("-", "_")
    shop = Shop(name=folder.resolve().name, **known.get("shop", {}))
    lines = f'timezone = "{shop.timezone}"   # the zone the shop\'s days are counted in\ncurrency = "{shop.currency}"\n'
    where = path if path and ("://" in path or Path(path).is_absolute()) else str(Path(path).resolve()) if path else ""
    written = _TEMPLATE.format(
        name=_quoted(shop.name),
        shop=lines + (f"country = {_quoted(shop.country)}\n" if shop.country else ""),
        source=source,
        where=f"path = {_quoted(where)}" if where else 'path = "…"                    # a file, folder, glob or URL',
        mapping=f'preset = "{preset}"\n' if preset else _OWN_MAPPING.format(source=source),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target.write_text(written, "utf-8")
        ignored = folder / ".gitignore"
        if not ignored.exists():
            ignored.write_text("data/\nsecrets.toml\n", "utf-8")
    except OSError as error:
        raise UsageError(f"the project's folder must be writable; got: {error}. Name another folder.") from error
    return target


def _quoted(text: str) -> str:
    """Return a text as a TOML basic string."""
    return json.dumps(text, ensure_ascii=False)

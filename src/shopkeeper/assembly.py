"""Settings → connected parts. The only place that knows how the rooms fit together; tests hand in others."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from shopkeeper import vocabulary as v
from shopkeeper.access import Key, Keys
from shopkeeper.errors import ShopkeeperError
from shopkeeper.events import Batch, Collector, Log
from shopkeeper.lake import Lake
from shopkeeper.loader import Loaded, Loader, load_events
from shopkeeper.models.baskets import Baskets
from shopkeeper.models.churn import Churn
from shopkeeper.models.demand import Demand
from shopkeeper.models.labels import Labels
from shopkeeper.models.lifetime import Lifetime
from shopkeeper.models.model import Subject
from shopkeeper.models.offer_rules import OfferRules
from shopkeeper.models.prices import Prices
from shopkeeper.models.recommendations import Recommendations
from shopkeeper.models.segments import Segments
from shopkeeper.models.stock_advice import Policy
from shopkeeper.published import Published
from shopkeeper.registry import Registry
from shopkeeper.serving import Live, Serving
from shopkeeper.serving.catalogue import catalogue
from shopkeeper.serving.editions import Editions
from shopkeeper.serving.exhibits import Gallery
from shopkeeper.serving.prediction_log import LoggedPredictions, PredictionLog
from shopkeeper.serving.profiling import TableWords, words_of
from shopkeeper.settings import Settings, listed, load
from shopkeeper.sources import open_source
from shopkeeper.sources.source import Source
from shopkeeper.training import Studio
from shopkeeper.warehouse import Warehouse

__all__ = ["SUBJECT_CLASSES", "Key", "Keys", "Shopkeeper", "assemble", "subjects", "variables"]

SUBJECT_CLASSES: dict[str, Callable[..., Subject]] = {
    v.SEGMENTS: Segments,
    v.CHURN: Churn,
    v.LIFETIME: Lifetime,
    v.LABEL_MODEL: Labels,
    v.BASKETS: Baskets,
    v.DEMAND: Demand,
    v.RECOMMENDATIONS: Recommendations,
    v.PRICES: Prices,
}

GALLERY_GB = 1.0
"""What the dashboard's queries may hold; larger ones spill to disk."""


@dataclass(frozen=True)
class Shopkeeper:
    """All parts of one project under one profile, each made when first asked for."""

    settings: Settings

    @cached_property
    def lake(self) -> Lake:
        """The lake; opening it makes what is missing."""
        return Lake(self.settings.lake, self.settings.scratch)

    @cached_property
    def warehouse(self) -> Warehouse:
        """The builder's database and dbt."""
        home = self.settings.home
        return Warehouse(
            self.settings.warehouse,
            lake=self.settings.lake,
            scratch=self.settings.scratch,
            work=home / "dbt",
            variables=variables(self.settings),
            threads=self.settings.resources.threads,
            memory_gb=self.settings.resources.memory_gb,
        )

    @cached_property
    def published(self) -> Published:
        """The published versions."""
        return Published(self.settings.published, keep=self.settings.publishing.keep)

    @cached_property
    def serving(self) -> Serving:
        """The questions to the current version."""
        return Serving(self.published)

    @cached_property
    def words(self) -> dict[str, TableWords]:
        """What is documented of each published table."""
        return words_of(catalogue({name: SUBJECT_CLASSES[name]() for name in v.SUBJECTS}))

    @cached_property
    def editions(self) -> Editions:
        """The version that a server answers from, exchanged when another is published."""
        return Editions(self.published, subjects(self.settings))

    @cached_property
    def gallery(self) -> Gallery:
        """What the dashboard shows of the version that is current."""
        return Gallery(
            Editions(self.published, subjects(self.settings), memory_gb=GALLERY_GB),
            excludes_duplicates=self.settings.sales.exclude_duplicates,
            masking_secret=self.keys.masking_secret,
        )

    @cached_property
    def keys(self) -> Keys:
        """The keys of the API and the dashboard."""
        return Keys(self.settings.home)

    @cached_property
    def prediction_log(self) -> PredictionLog:
        """Where predictions served are noted."""
        return LoggedPredictions(self.log, Batch)

    @cached_property
    def log(self) -> Log:
        """The collector's durable log."""
        chosen = self.settings.collector
        return Log(self.settings.log, waiting_mb=chosen.waiting_mb, waiting_requests=chosen.waiting_requests)

    @cached_property
    def collector(self) -> Collector:
        """What takes events, order lines and inventory movements."""
        return Collector(self.log, largest_mb=self.settings.collector.largest_mb)

    @cached_property
    def live(self) -> Live:
        """The numbers of the last minutes."""
        return Live(self.published, self.log, minutes=self.settings.collector.live_minutes)

    def load_events(self) -> Loaded:
        """Bring the log to the lake, once; whoever calls holds the profile."""
        contained = [version.log_cursors for version in self.published.versions()]
        return load_events(self.log, self.lake, contained=contained, keep_minutes=self.settings.collector.keep_minutes)

    def loader(
        self,
        every_seconds: float | None = None,
        on_round: Callable[[Loaded | ShopkeeperError], None] = lambda _done: None,
    ) -> Loader:
        """Return a loader that brings the log to the lake again and again, as often as the settings say if not told."""
        seconds = self.settings.collector.load_seconds if every_seconds is None else every_seconds
        return Loader(self.settings.home, self.load_events, every_seconds=seconds, on_round=on_round)

    @cached_property
    def registry(self) -> Registry:
        """The model registry, and the models that serve."""
        return Registry(self.settings.registry, uri=self.settings.models.registry)

    @cached_property
    def studio(self) -> Studio:
        """What training, scoring and drift need."""
        chosen = self.settings.models
        return Studio(
            warehouse=self.warehouse,
            registry=self.registry,
            subjects=subjects(self.settings),
            seed=chosen.seed,
            retrain_days=chosen.retrain_days,
        )

    @cached_property
    def sources(self) -> dict[str, Source]:
        """The configured sources by name."""
        return {name: self._open(name) for name in self.settings.sources}

    def _open(self, name: str) -> Source:
        configured = self.settings.sources[name]
        options = dict(configured.options)
        path = options.get("path")
        if isinstance(path, str) and "://" not in path:
            # A path in shopkeeper.toml is relative to the project, wherever the command is called from.
            options["path"] = str(self.settings.project / path)
        prefix = f"{name}."
        secrets = {
            key.removeprefix(prefix): value for key, value in self.settings.secrets.items() if key.startswith(prefix)
        }
        return open_source(
            name,
            configured.kind,
            options,
            dict(configured.mappings),
            timezone=self.settings.shop.timezone,
            scratch=self.settings.scratch,
            secrets=secrets,
        )


def subjects(settings: Settings) -> dict[str, Subject]:
    """Return the questions that the settings name, in the order in which they are trained."""
    given: dict[str, dict[str, Any]] = {
        v.SEGMENTS: {"least": settings.segments.least, "most": settings.segments.most},
        v.CHURN: {"horizon_days": settings.churn.horizon_days},
        v.LIFETIME: {"horizon_days": settings.lifetime.horizon_days, "margin": settings.lifetime.margin},
        v.LABEL_MODEL: {},
        v.BASKETS: vars(settings.baskets),
        v.DEMAND: {
            "horizon_days": settings.demand.horizon_days,
            "levels": tuple(settings.demand.levels.split()),
            "country": settings.shop.country,
            "policy": Policy(**asdict(settings.stock)),
        },
        v.RECOMMENDATIONS: _of_recommendations(settings),
        v.PRICES: {
            "objective": settings.prices.objective,
            "margin_floor": settings.prices.margin_floor,
            "largest_step": settings.prices.largest_step,
            "endings": settings.prices.endings,
            "minimum_weeks": settings.prices.minimum_weeks,
            "currency": settings.shop.currency,
        },
    }
    chosen = settings.models.subjects.split()
    return {name: SUBJECT_CLASSES[name](**given[name]) for name in v.SUBJECTS if name in chosen}


def _of_recommendations(settings: Settings) -> dict[str, Any]:
    chosen = settings.recommendations
    return {
        "exclude_bought": chosen.exclude_bought,
        "n": chosen.n,
        "rules": OfferRules(
            blocked=listed(chosen.blocked),
            repeat_categories=listed(chosen.repeat_categories),
            in_stock_only=chosen.in_stock_only,
            margin_floor=chosen.margin_floor,
        ),
    }


def variables(settings: Settings) -> dict[str, Any]:
    """Return the settings that the warehouse's SQL reads, as dbt variables."""
    shop, kinds = settings.shop, settings.line_kinds
    return {
        "timezone": shop.timezone,
        "currency": shop.currency,
        "service_codes": {kind: list(codes) for kind, codes in kinds.codes.items()},
        "service_prefixes": dict(kinds.prefixes),
        "order_prefixes": dict(kinds.orders),
        "quantity_fence": settings.outliers.quantity_fence,
        "price_z": settings.outliers.price_z,
        "exclude_duplicates": settings.sales.exclude_duplicates,
        "session_gap_minutes": settings.sessions.gap_minutes,
        "pair_minimum": settings.baskets.pair_minimum,
        "basket_limit": settings.baskets.basket_limit,
        "orders_from": settings.features.orders_from,
    }


def assemble(project: Path, profile: str = "dev") -> Shopkeeper:
    """Return the parts of a project. Raises SettingsError if its settings do not hold."""
    return Shopkeeper(load(project, profile))

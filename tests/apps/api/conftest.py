"""Small published versions made by SQL, a simulated shop with models, and servers for them: real ones, at free ports."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import httpx
import pytest
import uvicorn

from shopkeeper import answers, training, workflow
from shopkeeper.apps.api.server import Application
from shopkeeper.assembly import Shopkeeper, assemble
from shopkeeper.settings import write_project

ODD = (
    *(
        "c1",
        "c2",
        "c3",
        "a/b",
        "ü 雪",
        "🛒",
        "'; drop table core.customers; --",
        '" or 1=1',
        "../../etc/passwd",
        "%2e%2e%2f",
    ),
    *("{{7*7}}", "${jndi:x}", "<script>", "a&b=c?d#e", "café", "cafe\u0301", "\u202eabc", "x" * 300),
)
"""Ids as sources write them: everything between plain and hostile."""

TABLES = """
create schema core; create schema metrics; create schema features; create schema predictions;
create table core.customers as
    select id as customer_id, true as has_profile, case when n % 2 = 0 then 'France' else 'Spain' end as country,
        'city ' || n as city, timestamp '2024-01-01' as signed_up_at, '{{"name": "Secret Name"}}' as attributes,
        {version} as n_orders, cast(100 * {version} + n as decimal(38, 4)) as net_sales, date '2024-01-05' as first_ordered_on,
        date '2024-02-03' as last_ordered_on
    from (select unnest($ids) as id, unnest(range(len($ids))) as n);
create table core.products as select * from (values
    ('A1', 'RED ALARM CLOCK {version}', 'clocks', null, cast(5 as decimal(18,4)), cast(4.9 as decimal(18,4)), date '2024-01-05',
        date '2024-02-03', 2, 5.0, 2.0, 3.0, 13.0, -3.0, 10.0, false),
    ('B2', 'BLUE MUG', 'mugs', 'Acme', 4.5, 2.0, date '2024-01-05', date '2024-01-05', 1, 4.0, 4.5, 4.5, 18.0, 0.0, 18.0, false)
) t(product_id, description, category, brand, list_price, unit_cost, first_sold_on, last_sold_on, n_orders, n_units,
    lowest_price, highest_price, gross_sales, returns, net_sales, is_service);
create table core.orders as
    select 'o' || n as order_id, id as customer_id, date '2024-01-05' + cast(n as integer) as ordered_on,
        timestamp '2024-01-05 10:00:00' as ordered_at, cast({version} as decimal(38, 4)) as gross_sales,
        cast(0 as decimal(38, 4)) as returns, cast({version} as decimal(38, 4)) as net_sales, 'EUR' as currency, 1 as n_lines,
        1 as n_units
    from (select unnest($ids) as id, unnest(range(len($ids))) as n);
create table core.promotions as select 'spring' as promotion_id, 'category' as level, 'clocks' as member, 'all' as store_id,
    date '2024-06-01' as starts_on, date '2024-06-07' as ends_on, null::double as unit_price, .2 as discount_share,
    true as is_usable;
create table core.order_lines as
    select order_id, customer_id, 'B2' as product_id, ordered_on, ordered_at, 'sale' as line_kind,
        2.0 as quantity, 4.5 as unit_price,
        cast(9 as decimal(38, 4)) as net_amount, null as source_category, 'mugs' as category
    from core.orders;
create table core.inventory_levels as
    select * from (values ('A1', 's1', 0.0), ('B2', 's1', 7.0)) t(product_id, store_id, on_hand);
create table features.customer_features as
    select customer_id, date '2024-03-01' as as_of, cast(n_orders as bigint) as n_orders, cast(1 as bigint) as n_order_days,
        null::double as mean_days_between_orders
    from core.customers;
create table features.feature_definitions as select * from (values
    ('known_products', 'select product_id, description, category, brand, cast(list_price as double) as list_price, '
        || 'cast(unit_cost as double) as unit_cost from core.products')) t(name, sql);
create table metrics.daily_sales as
    select date '2024-01-01' + cast(n % 30 as integer) as day, case when n % 3 = 0 then 'all' else 'country' end as dimension,
        'm' || n as member, n as n_orders, cast({version} as decimal(38, 4)) as net_sales
    from range(250) as t(n);
create table predictions.customer_recommendations as
    select customer_id, place, case place when 1 then 'A1' else 'B2' end as product_id, 1.0 / place as score,
        'goes with version {version}' as reason
    from core.customers, (values (1), (2)) as p(place) where customer_id <> 'c3';
create table predictions.product_recommendations as select * from (values
    ('everybody', 'everybody', 1, 'B2', 2.0), ('everybody', 'everybody', 2, 'A1', 1.0), ('country', 'France', 1, 'A1', 3.0),
    ('together', 'A1', 1, 'B2', 1.0), ('instead', 'A1', 1, 'B2', 1.0)) t(kind, scope, place, product_id, score);
create table predictions.customer_segments as
    select customer_id, date '2024-03-01' as as_of, 'champions' as rfm_group, 5 as r_score, 5 as f_score, 5 as m_score,
        1 as segment, 'segment {version}' as segment_name, .5 as certainty, 'segments/{version}' as model_version
    from core.customers;
create table predictions.segments as select 1 as segment, date '2024-03-01' as as_of, 'segment {version}' as segment_name,
    'true' as rule_sql, 'everybody' as rule_words, 'all alike' as profile, 3 as n_customers, 1.0 as share,
    1.0 as share_of_sales, 1.0 as expected_share_next_month, 'tree' as model, 'segments/{version}' as model_version;
create table predictions.churn_scores as
    select customer_id, 90 as horizon_days, .25 as churn_probability, .1 as probability_low, .4 as probability_high,
        date '2024-04-01' as expected_next_order_on, 'No order for 20 days.' as reasons, 'nan'::double as value_at_risk,
        'recency' as model, 'churn/{version}' as model_version
    from core.customers;
create table predictions.basket_rules as select 'all' as scope, 'all' as scope_value, 1 as rank, ['A1'] as antecedent,
    'B2' as consequent, 'A → B' as rule, 9 as n_baskets, .5 as support, .5 as confidence, 2.0 as lift, true as is_significant,
    false as is_redundant, true as holds_later, date '2024-03-01' as as_of, 'baskets/{version}' as model_version;
create table predictions.demand_forecasts as select 'product' as level, 'A1' as series, 'weekly' as frequency,
    date '2024-03-01' as day, 4.0 as units, 1.0 as units_low, 9.0 as units_high, date '2024-03-01' as as_of, 'naive' as model,
    'demand/{version}' as model_version;
"""


def publish_version(parts: Shopkeeper, version: int, ids: tuple[str, ...] = ODD) -> int:
    """Publish a version whose every answer tells its number; return the number it was given."""
    warehouse = parts.settings.home / f"made-{version}.duckdb"
    warehouse.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(warehouse)) as connection:
        for statement in TABLES.format(version=version).split(";\n"):
            if statement.strip():
                connection.execute(statement, {"ids": list(ids)} if "$ids" in statement else None)
    made = parts.published.publish(warehouse, build_id=f"b{version}", lake_versions={}, beside=answers.write)
    warehouse.unlink()
    return made.number


@contextmanager
def serve_parts(parts: Shopkeeper, **more: object) -> Iterator[httpx.Client]:
    """Serve a project from a thread, as `shopkeeper serve` does, and lend a client."""
    application = Application(parts, **more)
    config = uvicorn.Config(
        application, port=0, http="httptools", loop="uvloop", ws="none", lifespan="on", access_log=False, log_level="warning",
        server_header=False, date_header=False, proxy_headers=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            client.application = application  # type: ignore[attr-defined]
            client.port = port  # type: ignore[attr-defined]
            yield client
    finally:
        server.should_exit = True
        thread.join(20)


def project(folder: Path, settings: str = "") -> Shopkeeper:
    """A project without a source, with some settings."""
    write_project(folder)
    file = folder / "shopkeeper.toml"
    file.write_text(file.read_text("utf-8") + "\n" + settings, "utf-8")
    return assemble(folder)


@pytest.fixture(scope="module")
def make_project(tmp_path_factory) -> Callable[..., Shopkeeper]:
    """Make projects."""
    return lambda settings="": project(tmp_path_factory.mktemp("api") / "shop", settings)


@pytest.fixture(scope="session")
def publish() -> Callable[..., int]:
    """Publish a version whose every answer tells its number."""
    return publish_version


@pytest.fixture(scope="session")
def serving() -> Callable[..., object]:
    """Serve a project from a thread, and lend a client."""
    return serve_parts


@pytest.fixture(scope="session")
def odd_ids() -> tuple[str, ...]:
    """Ids of customers as sources write them."""
    return ODD


@pytest.fixture(scope="session")
def error_of() -> Callable[[httpx.Response], dict]:
    """Return the error of an answer, whose shape is the one shape."""

    def read(answer: httpx.Response) -> dict:
        told = answer.json()
        assert set(told) == {"error"}
        assert set(told["error"]) == {"code", "message", "status", "details"}
        assert told["error"]["status"] == answer.status_code
        assert answer.headers["content-type"] == "application/json"
        assert told["error"]["message"].endswith(".")
        return told["error"]

    return read


@pytest.fixture(scope="module")
def served(make_project) -> Iterator[httpx.Client]:
    """A server of one small version, without keys."""
    parts = make_project()
    publish_version(parts, 1)
    with serve_parts(parts) as client:
        yield client


def simulated(folder: Path, preset: str, *, customers: int, days: int, subjects: str) -> Shopkeeper:
    """Simulate a shop without faults; return its project, which has not run yet."""
    workflow.simulate(preset, customers=customers, days=days, seed=11, out=folder / "export", dirt=False)
    file = write_project(folder / "shop", preset=preset, path=str(folder / "export" / "data"))
    file.write_text(f'{file.read_text("utf-8")}\n[models]\nsubjects = "{subjects}"\n\n[api]\nrate = 0\n', "utf-8")
    return assemble(folder / "shop")


def gift_shop(folder: Path) -> Shopkeeper:
    """A simulated wholesaler of gifts, published: the shop of docs/api.md. What stands in the folder is not made again."""
    if (folder / "shop" / "shopkeeper.toml").exists():
        return assemble(folder / "shop")
    subjects = "segments lifetime churn baskets recommendations demand prices"
    parts = simulated(folder, "uci_online_retail", customers=260, days=150, subjects=subjects)
    with workflow.exclusive(parts.settings.home):
        workflow.run(parts.lake, parts.warehouse, parts.published, parts.sources, parts.studio)
    # Of so few customers hardly a model is sure to beat its baseline; what is told of one is more.
    for name in ("segments/1", "recommendations/1"):
        training.promote(parts.studio, name, force=True)
    training.score(parts.studio)
    workflow.publish(parts.warehouse, parts.published, parts.studio)
    return parts


@pytest.fixture(scope="session")
def gifts(tmp_path_factory) -> Shopkeeper:
    """A simulated wholesaler of gifts: lines alone, and models of customers and products."""
    return gift_shop(tmp_path_factory.mktemp("gifts"))


@pytest.fixture(scope="session")
def clients(tmp_path_factory, run_shop) -> Shopkeeper:
    """A simulated service with clients that have attributes and labels, and its models."""
    subjects = "lifetime churn labels"
    parts = simulated(
        tmp_path_factory.mktemp("clients"), "client_and_sales", customers=320, days=100, subjects=subjects
    )
    run_shop(parts, models=True)
    for name in ("lifetime/1", "churn/1", "labels/1"):
        training.promote(parts.studio, name, force=True)
    training.score(parts.studio)
    workflow.publish(parts.warehouse, parts.published, parts.studio)
    return parts

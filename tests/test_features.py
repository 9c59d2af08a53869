"""Features of order lines handed in from memory: worked out by hand, cut at the moment, whatever the order of the rows."""

import math
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from statistics import mean, stdev

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shopkeeper.contracts import CONTRACTS
from shopkeeper.engine import connect
from shopkeeper.errors import ContractError, ModelError
from shopkeeper.features import definitions, features_of_lines
from shopkeeper.lake import Lake, entity_schema
from shopkeeper.warehouse import Warehouse

AS_OF = date(2024, 6, 1)
VARIABLES = {
    "timezone": "Europe/Berlin",
    "currency": "EUR",
    "service_codes": {"postage": ["POST"], "discount": ["D"]},
    "service_prefixes": {},
    "order_prefixes": {"cancellation": "C"},
    "session_gap_minutes": 30,
    "exclude_duplicates": False,
    "orders_from": "order_lines",
}
SCHEMA = pa.schema([entity_schema(CONTRACTS["order_lines"]).field(n) for n in CONTRACTS["order_lines"].column_names])


@pytest.fixture(scope="module")
def sql_of(tmp_path_factory):
    """The definitions as the warehouse writes them under some settings; each of them is made once."""
    made = {}

    def make(**settings):
        key = tuple(sorted(settings.items()))
        if key not in made:
            home = tmp_path_factory.mktemp("definitions")
            Lake(home / "lake", home / "scratch")
            (home / "dev").mkdir()
            warehouse = Warehouse(
                home / "dev" / "warehouse.duckdb",
                lake=home / "lake",
                scratch=home,
                work=home / "dbt",
                variables={**VARIABLES, **settings},
            )
            warehouse.build({}, select="feature_definitions")
            with connect(warehouse.path, read_only=True) as connection:
                made[key] = definitions(connection)
        return made[key]

    return make


@pytest.fixture(scope="module")
def connection():
    with connect(threads=1) as opened:
        yield opened


def line(order, customer, at, product="A", quantity=1, price="10", **more):
    """A line as a source gives it; times are UTC."""
    return {
        "order_id": order,
        "customer_id": customer,
        "ordered_at": datetime.fromisoformat(at).replace(tzinfo=UTC),
        "product_id": product,
        "quantity": Decimal(quantity),
        "unit_price": Decimal(price),
        **more,
    }


def table(lines):
    return pa.Table.from_pylist(lines, schema=SCHEMA)


@pytest.fixture(name="features", scope="module")
def _features(sql_of, connection):
    """Customer → its features as of a moment."""

    def of(lines, as_of=AS_OF, relations=None, **settings):
        rows = features_of_lines(connection, sql_of(**settings), table(lines), as_of, relations)
        return {row["customer_id"]: row for row in rows.to_pylist()}

    return of


ANN = [
    # Saturday morning, an order of two lines, one of them twice as many pieces; 10 % off the first.
    line("1", "ann", "2024-03-02 08:00", "a", 2, "10", discount_amount=Decimal(2), country="France", category="cups"),
    line("1", "ann", "2024-03-02 08:00", "b ", 4, "5", country="France", category="cups"),
    line("1", "ann", "2024-03-02 08:00", "POST", 1, "3", country="France"),
    # Two orders of one Sunday, at 13 and at 17 o'clock by the shop's clock.
    line("2", "ann", "2024-05-05 11:00", "A", 1, "10", country="Spain", category="plates"),
    line("3", "ann", "2024-05-05 15:00", "c", 1, "30", country="Spain", category="cups"),
    # Taken back on a Monday, and a discount line on Friday, the day before the moment.
    line("C4", "ann", "2024-05-06 09:00", "c", -1, "30", country="Spain"),
    line("5", "ann", "2024-05-31 09:00", "D", -1, "6", country="Spain"),
    line("5", "ann", "2024-05-31 09:00", "e", 1, "40", country="France", category="plates"),
]
BOB = [line("6", "bob", "2024-05-30 10:00")]
CY = [line("C7", "cy", "2024-05-01 10:00", quantity=-1), line("C8", "cy", "2024-05-02 10:00", quantity=-1)]


def test_features_by_hand(features):
    """A customer with several orders, codes, a return and discounts: every feature as reckoned on paper."""
    gaps = [64, 26]  # 2 March → 5 May → 31 May
    months = [38, 0, 0, 44]  # of 30 days: 2 March lies 91 days before the moment, so in the fourth month back
    expected = {
        "n_orders": 4,
        "n_order_days": 3,
        "days_since_last_order": 1,
        "days_since_first_order": 91,
        "n_orders_30d": 3,
        "n_orders_90d": 3,
        "n_orders_365d": 4,
        "gross_sales": 120.0,
        "discounts": -8.0,
        "returns": -30.0,
        "net_sales": 82.0,
        "net_sales_30d": 44.0,
        "net_sales_90d": 44.0,
        "net_sales_365d": 82.0,
        "sales_per_order": 30.0,
        "sales_per_order_day": 40.0,
        "n_units": 9.0,
        "units_per_order": 9 / 4,
        "lines_per_order": 5 / 4,
        "n_products": 4,
        "n_categories": 2,
        "products_per_order": 1.0,
        "mean_days_between_orders": mean(gaps),
        "sd_days_between_orders": stdev(gaps),
        "weekday_share_1": 0.0,
        "weekday_share_2": 0.0,
        "weekday_share_3": 0.0,
        "weekday_share_4": 0.0,
        "weekday_share_5": 0.25,
        "weekday_share_6": 0.25,
        "weekday_share_7": 0.5,
        "share_morning": 0.5,
        "share_afternoon": 0.25,
        "share_evening": 0.25,
        "mean_order_hour": (9 + 13 + 17 + 11) / 4,
        "country": "Spain",
        "main_category": "cups",
        "main_category_share": 3 / 5,
        "n_cancellations": 1,
        "cancellation_rate": 1 / 5,
        "return_share": 0.25,
        "discount_share": 8 / 120,
        "month_sales_mean": 82 / 4,
        "month_sales_sd": stdev(months),
        "month_sales_trend": np.polyfit(range(4), months, 1)[0],
        "n_sessions": 0,
        "n_views": 0,
        "n_carts": 0,
        "n_purchase_events": 0,
        "n_sessions_30d": 0,
        "n_sessions_90d": 0,
        "n_sessions_365d": 0,
        "days_since_last_session": None,
        "session_conversion": None,
        "cart_rate": None,
        "bounce_rate": None,
        "seconds_per_session": None,
    }
    found = features(ANN + BOB + CY)["ann"]
    assert {key: found[key] for key in ("customer_id", "as_of")} == {"customer_id": "ann", "as_of": AS_OF}
    assert set(found) == {"customer_id", "as_of", *expected}
    assert {key: found[key] for key in expected} == pytest.approx(expected, abs=1e-9)


def test_who_ordered_once_is_not_dropped(features):
    """A single order gives a row; what needs two or three order days is null, not zero."""
    found = features(ANN + BOB)["bob"]
    assert (found["n_orders"], found["gross_sales"], found["days_since_last_order"]) == (1, 10.0, 2)
    assert (found["month_sales_mean"], found["month_sales_sd"], found["month_sales_trend"]) == (10.0, None, None)
    assert (found["mean_days_between_orders"], found["sd_days_between_orders"]) == (None, None)


def test_who_only_cancelled_has_a_row_and_a_rate_of_one(features):
    """Two cancellations without an order: counts are zero, shares of sales unknown, the rate is 1 and never above."""
    found = features(CY)["cy"]
    assert (found["n_orders"], found["n_cancellations"], found["cancellation_rate"]) == (0, 2, 1.0)
    assert (found["gross_sales"], found["returns"], found["net_sales"]) == (0.0, -20.0, -20.0)
    assert found["net_sales_30d"] == -10.0
    assert [found[name] for name in ("return_share", "days_since_last_order", "sales_per_order", "country")] == [
        None
    ] * 4


@pytest.mark.parametrize("days", [30, 90, 365])
def test_a_window_begins_so_many_days_before_the_moment(features, days):
    """An order on its first day is in, one of the day before is not, nor is one of the moment's own day."""
    first = AS_OF - timedelta(days=days)
    lines = [
        line("1", "ann", f"{first} 12:00", price="1"),
        line("2", "ann", f"{first - timedelta(days=1)} 12:00", price="2"),
        line("3", "ann", f"{AS_OF} 12:00", price="4"),
        line("4", "ann", f"{AS_OF - timedelta(days=1)} 12:00", price="8"),
    ]
    found = features(lines)["ann"]
    assert (found[f"n_orders_{days}d"], found[f"net_sales_{days}d"]) == (2, 9.0)
    assert (found["n_orders"], found["days_since_last_order"], found["days_since_first_order"]) == (3, 1, days + 1)


def test_days_are_the_shops(features):
    """Half past eleven in the evening UTC is the next day in Berlin: a day before the moment still, and one too late."""
    before, after = line("1", "ann", "2024-05-30 23:30"), line("2", "bob", "2024-05-31 22:30")
    found = features([before, after])
    assert set(found) == {"ann"}
    assert (found["ann"]["days_since_last_order"], found["ann"]["mean_order_hour"]) == (1, 1.0)
    assert found["ann"]["weekday_share_5"] == 1.0
    assert features([before, after], timezone="UTC")["bob"]["days_since_last_order"] == 1


def test_recency_is_not_the_gap_between_the_last_two_orders(features):
    """Two orders ten days apart, the last of them fifty days ago."""
    found = features([line("1", "ann", "2024-04-02 12:00"), line("2", "ann", "2024-04-12 12:00")])["ann"]
    assert (found["days_since_last_order"], found["mean_days_between_orders"]) == (50, 10.0)


def test_days_between_orders_are_not_averaged_over_lines(features):
    """Orders of nine lines and of one, two of them on one day: the days between are those between the days."""
    lines = [line("1", "ann", "2024-03-01 12:00", product) for product in "ABCEFGHIJ"]
    lines += [
        line("2", "ann", "2024-03-11 09:00"),
        line("3", "ann", "2024-03-11 10:00"),
        line("4", "ann", "2024-03-31 12:00"),
    ]
    found = features(lines)["ann"]
    assert (found["mean_days_between_orders"], found["sd_days_between_orders"]) == (
        15.0,
        pytest.approx(stdev([10, 20])),
    )


def test_a_cancellation_rate_is_never_above_one(features):
    """Three cancellations of one order, and returned lines within orders: cancelled are never more than there were."""
    lines = [line("1", "ann", "2024-03-01 12:00"), line("1", "ann", "2024-03-01 12:00", "B", -1)]
    lines += [line(f"C{n}", "ann", f"2024-03-0{n} 12:00", quantity=-1) for n in (2, 3, 4)]
    found = features(lines)["ann"]
    assert (found["n_orders"], found["n_cancellations"], found["cancellation_rate"]) == (1, 4, 1.0)


def test_who_appears_after_the_moment_is_absent(features):
    """No row for a customer of the moment's own day; nor one for guests."""
    assert set(features([line("1", "ann", f"{AS_OF} 12:00"), line("2", None, "2024-01-01 12:00"), *BOB])) == {"bob"}
    assert features([]) == {}


def test_an_order_that_goes_on_counts_once(features):
    """An order with lines on two days is one order of the first day, with two days of sales and one hour."""
    lines = [line("1", "ann", "2024-05-01 08:00"), line("1", "ann", "2024-05-20 18:00", "B")]
    found = features(lines)["ann"]
    assert [found[name] for name in ("n_orders", "n_order_days", "n_orders_30d", "net_sales_30d")] == [1, 2, 0, 10.0]
    assert (found["share_morning"], found["lines_per_order"]) == (1.0, 2.0)


def test_duplicates_count_as_the_settings_say(features):
    """Two equal lines are both sold, unless duplicates are excluded; what differs in one column is no duplicate."""
    lines = [
        line("1", "ann", "2024-05-01 12:00"),
        line("1", "ann", "2024-05-01 12:00"),
        line("1", "ann", "2024-05-01 12:01"),
    ]
    assert features(lines)["ann"]["gross_sales"] == 30.0
    assert features(lines, exclude_duplicates=True)["ann"]["gross_sales"] == 20.0


def test_profiles_make_prospects(features):
    """Who signed up before the moment is known without an order, who did so later is not; who is not dated always is."""
    profiles = pa.table(
        {
            "customer_id": ["dee", "eve", "fay", "gus"],
            "has_profile": [True, True, True, False],
            "signed_up_at": pa.array(
                [datetime(2024, 5, 31, 21), datetime(2024, 5, 31, 22, 30), None, None],  # noqa: DTZ001 - plain UTC
                pa.timestamp("us"),
            ),
        }
    )
    found = features(BOB, relations={"customers": profiles})
    assert set(found) == {"bob", "dee", "fay"}
    assert (found["dee"]["n_orders"], found["dee"]["net_sales"], found["dee"]["sales_per_order"]) == (0, 0.0, None)


def test_categories_come_from_the_catalogue_where_lines_have_none(features):
    """A line's own category wins; codes are compared upper-cased and trimmed."""
    catalogue = pa.table({"product_id": ["A"], "category": ["cups"]})
    lines = [line("1", "ann", "2024-05-01 12:00", code) for code in ("a", " A", "B")]
    own = line("1", "ann", "2024-05-01 12:00", "a", category="own")
    found = features([*lines, own], relations={"catalogue": catalogue})["ann"]
    assert (found["main_category"], found["main_category_share"], found["n_categories"]) == ("cups", 2 / 3, 2)


def test_ties_go_to_the_first_by_name(features):
    """One order each in two countries, one line each in two categories."""
    lines = [
        line("1", "ann", "2024-05-01 12:00", country="Spain", category="y"),
        line("2", "ann", "2024-05-02 12:00", country="France", category="x"),
    ]
    assert [features(lines)["ann"][name] for name in ("country", "main_category")] == ["France", "x"]


def test_a_bar_code_in_the_quantity_does_no_harm(features):
    """A line worth five quadrillions stops nothing, and a month without net sales has no spread."""
    lines = [
        line("1", "ann", "2024-04-01 12:00", quantity=5012345678900, price="999.99"),
        line("2", "ann", "2024-05-30 12:00"),
    ]
    zero = [line("1", "bob", "2024-04-01 12:00"), line("1", "bob", "2024-04-01 12:00", "B", -1)]
    found = features([*lines, *zero])
    assert math.isfinite(found["ann"]["month_sales_sd"])
    assert found["ann"]["month_sales_trend"] < 0
    assert [found["bob"][f"month_sales_{part}"] for part in ("mean", "sd", "trend")] == [0.0, 0.0, 0.0]


# ------------------------------------------------------------------ any lines

DAYS = st.integers(0, 80)
LINES = st.lists(
    st.tuples(
        st.sampled_from("123456"),
        st.sampled_from(["ann", "bob", "cy", None]),
        DAYS,
        st.integers(0, 23),
        st.sampled_from(["A", "b", "C ", "D", "POST"]),
        st.integers(-2, 3),
        st.sampled_from(["0", "0.3333", "1.1", "19.99"]),
        st.sampled_from(["x", "y", None]),
        st.booleans(),
    ),
    max_size=40,
)
START = datetime(2024, 1, 1, tzinfo=UTC)


def lines_of(drawn):
    return [
        line(
            f"C{order}" if is_cancelled else order,
            customer,
            (START + timedelta(days=day, hours=hour)).isoformat()[:19],
            product,
            quantity,
            price,
            country=category,
            category=category,
        )
        for order, customer, day, hour, product, quantity, price, category, is_cancelled in drawn
    ]


CHECKED = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@CHECKED
@given(drawn=LINES, day=DAYS)
@pytest.mark.parametrize("duplicates", [False, True])
def test_what_comes_after_the_moment_moves_nothing(features, duplicates, drawn, day):
    """Features of all lines are those of the lines before the moment, to the last digit."""
    as_of = date(2024, 1, 1) + timedelta(days=day)
    midnight = datetime.combine(as_of, datetime.min.time(), UTC)
    lines = lines_of(drawn)
    known = [each for each in lines if each["ordered_at"] < midnight]
    how = {"timezone": "UTC", "exclude_duplicates": duplicates}
    assert features(lines, as_of, **how) == features(known, as_of, **how)


@CHECKED
@given(drawn=LINES, seed=st.integers(0, 9))
def test_rows_may_come_in_any_order(features, drawn, seed):
    """Shuffled lines give the same features, to the last digit."""
    lines = lines_of(drawn)
    shuffled = random.Random(seed).sample(lines, len(lines))
    assert features(lines) == features(shuffled)


@CHECKED
@given(drawn=LINES)
def test_shares_are_shares_and_windows_are_nested(features, drawn):
    """Whatever the lines: weekdays add up to one, rates lie between 0 and 1, the last order is not before the first."""
    for found in features(lines_of(drawn), date(2024, 3, 1)).values():
        assert 0 <= (found["cancellation_rate"] or 0) <= 1
        assert found["n_orders_30d"] <= found["n_orders_90d"] <= found["n_orders_365d"] <= found["n_orders"]
        assert (found["n_orders"] == 0) == (found["days_since_last_order"] is None) == (found["n_order_days"] == 0)
        if found["n_orders"]:
            assert sum(found[f"weekday_share_{day}"] for day in range(1, 8)) == pytest.approx(1)
            assert sum(found[f"share_{part}"] for part in ("morning", "afternoon", "evening")) == pytest.approx(1)
            assert 1 <= found["days_since_last_order"] <= found["days_since_first_order"]


# --------------------------------------------------------------- how it is asked


def test_the_input_and_the_connection_are_unharmed(sql_of, connection):
    """The rows handed in are what they were; the connection has no view of them left."""
    lines = table(ANN + BOB)
    before = lines.to_pylist()
    features_of_lines(connection, sql_of(), lines, AS_OF)
    assert lines.to_pylist() == before
    assert connection.execute("select count(*) from duckdb_views() where not internal").fetchone() == (0,)
    with pytest.raises(ContractError):
        features_of_lines(connection, sql_of(), lines.drop_columns(["order_id"]), AS_OF)
    assert connection.execute("select count(*) from duckdb_views() where not internal").fetchone() == (0,)


def test_columns_that_are_not_required_may_be_absent(sql_of, connection):
    """Lines of five columns, with numbers as doubles and moments without a zone, are enough."""
    rows = pa.table(
        {
            "order_id": ["1"],
            "customer_id": ["ann"],
            "ordered_at": pa.array([datetime(2024, 5, 1, 12)], pa.timestamp("s")),  # noqa: DTZ001 - plain UTC
            "quantity": [2.0],
            "unit_price": [1.25],
        }
    )
    (found,) = features_of_lines(connection, sql_of(), rows, AS_OF).to_pylist()
    assert (found["gross_sales"], found["n_products"], found["country"]) == (2.5, 0, None)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("order_id", None, r"order lines must have a order_id \(the order.*missing.*Add it\."),
        ("quantity", [None], "order lines must have a quantity"),
        (
            "unit_price",
            ["cheap"],
            "order lines must have the types of their contract; got: .*cheap.* Correct the value",
        ),
    ],
    ids=["absent", "null", "no number"],
)
def test_lines_that_do_not_fit_are_told(sql_of, connection, column, values, said):
    """A required column that is absent or null, and a value of another type, are each a plain sentence."""
    rows = {"order_id": ["1"], "ordered_at": [datetime(2024, 5, 1, tzinfo=UTC)], "quantity": [1], "unit_price": [1]}
    rows.pop(column)
    if values:
        rows[column] = values
    with pytest.raises(ContractError, match=said):
        features_of_lines(connection, sql_of(), pa.table(rows), AS_OF)


def test_a_shop_of_clicks_scores_no_lines(sql_of, connection):
    """Where orders are purchase events, order lines cannot be scored, and the error says what can."""
    with pytest.raises(ModelError, match="orders_from = 'events'. Hand in events"):
        features_of_lines(connection, sql_of(orders_from="events"), table(BOB), AS_OF)


def test_a_warehouse_of_an_older_shopkeeper(connection):
    """Without definitions, the sentence says what to run."""
    with pytest.raises(ModelError, match=r"must hold features.feature_definitions .* Run `shopkeeper run`"):
        definitions(connection)

"""What must be true of the simulated world, and what a careful analyst gets back from its files."""

from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pytest

from shopkeeper.simulator import simulate
from shopkeeper.simulator.gift_wholesaler import RHYTHM
from shopkeeper.simulator.seasons import day_factors, easter, holidays, nth_weekday
from shopkeeper.simulator.stock import OPENING, SALE, Shelves


def table(shop, path, **types):
    """One clean file of a shop as a table; the columns in ``types`` as told, all others guessed."""
    file = next(file for file in shop.files(dirt=False) if file.path == path)
    options = pacsv.ConvertOptions(column_types=types, strings_can_be_null=False)
    return pacsv.read_csv(pa.BufferReader(b"".join(file.chunks)), convert_options=options)


def days(column, start):
    """Days since the start of dates or moments."""
    return (column.cast(pa.date32()).cast(pa.int32()).to_numpy()) - (start - date(1970, 1, 1)).days


@pytest.fixture(name="gifts", scope="module")
def _gifts():
    return simulate("uci_online_retail", customers=3000, days=374, seed=11)


@pytest.fixture(name="lines", scope="module")
def _lines(gifts):
    return table(gifts, "online_retail.csv", InvoiceNo=pa.string(), StockCode=pa.string(), CustomerID=pa.string())


@pytest.fixture(name="gift_truth", scope="module")
def _gift_truth(gifts):
    return gifts.truth(dirt=False)


@pytest.fixture(name="clicks", scope="module")
def _clicks():
    return simulate("rees46_events", customers=6000, days=70, seed=11)


@pytest.fixture(name="events", scope="module")
def _events(clicks):
    files = clicks.files(dirt=False)
    return pa.concat_tables(
        pacsv.read_csv(
            pa.BufferReader(b"".join(file.chunks).replace(b" UTC,", b",")),
            convert_options=pacsv.ConvertOptions(column_types={"user_id": pa.string()}),
        )
        for file in files
    )


@pytest.fixture(name="chain", scope="module")
def _chain():
    return simulate("us_retail", customers=2000, days=120, seed=11)


@pytest.fixture(name="client", scope="module")
def _client():
    return simulate("client_and_sales", customers=20_000, days=60, seed=11)


# The calendar


@pytest.mark.parametrize(
    ("year", "day"),
    [(2010, (4, 4)), (2011, (4, 24)), (2019, (4, 21)), (2024, (3, 31)), (2025, (4, 20)), (2038, (4, 25))],
)
def test_easter(year, day):
    """Easter falls where the church says."""
    assert easter(year) == date(year, *day)


def test_holidays_fall_on_their_days():
    """Movable holidays are computed: the fourth Thursday, the last Monday, the Friday before Easter."""
    assert holidays("US", 2024)[date(2024, 11, 28)] == "Thanksgiving"
    assert holidays("US", 2024)[date(2024, 5, 27)] == "Memorial Day"
    assert holidays("GB", 2011)[date(2011, 4, 22)] == "Good Friday"
    assert nth_weekday(2024, 12, 0, -1) == date(2024, 12, 30)
    assert holidays("FR", 2024) == {}


def test_factors_average_to_one_over_open_years():
    """A year's factors average to one but for the holidays, and are zero on Saturdays."""
    factors = day_factors(RHYTHM, date(2011, 1, 1), 365)
    assert 0.96 < factors.mean() <= 1.01
    saturdays = [(date(2011, 1, 1).toordinal() + day) % 7 == 6 for day in range(365)]
    assert not factors[np.array(saturdays)].any()


# Who buys, and until when


def test_nothing_is_sold_on_closed_days(lines):
    """No invoice is dated on a Saturday, Christmas Day or Good Friday."""
    sold_on = set(lines["InvoiceDate"].cast(pa.date32()).unique().to_pylist())
    assert not {day for day in sold_on if day.weekday() == 5}
    assert not sold_on & {date(2010, 12, 25), date(2011, 4, 22)}


def test_customers_buy_only_while_alive(gifts, lines, gift_truth):
    """Every sale lies between its customer's arrival and death, and new customers buy on arrival."""
    people = gift_truth["customers"]
    sales = lines.filter(pc.invert(pc.starts_with(lines["InvoiceNo"], "C")))
    bought = sales.group_by("CustomerID").aggregate([("InvoiceDate", "min"), ("InvoiceDate", "max")])
    both = bought.join(people, "CustomerID", "customer_id", join_type="inner")
    first, last = days(both["InvoiceDate_min"], gifts.start), days(both["InvoiceDate_max"], gifts.start)
    arrived, died = days(both["arrived_on"], gifts.start), days(both["died_on"], gifts.start)
    assert both.num_rows == bought.num_rows
    assert (last <= died).all()
    assert (first[arrived >= 0] == arrived[arrived >= 0]).all()


def test_visitors_come_only_while_alive(clicks, events):
    """Every visit begins between its visitor's arrival and death."""
    people = clicks.truth(dirt=False)["customers"]
    visits = events.group_by(["user_session", "user_id"]).aggregate([("event_time", "min")])
    both = visits.join(people, "user_id", "customer_id", join_type="inner")
    begun = days(both["event_time_min"], clicks.start)
    assert (begun >= days(both["arrived_on"], clicks.start)).all()
    assert (begun <= days(both["died_on"], clicks.start)).all()


def test_deaths_follow_their_hazards(gifts, gift_truth):
    """As many customers die within the period as their hazards expect, within four standard errors."""
    people = gift_truth["customers"]
    exposed = gifts.days - np.maximum(days(people["arrived_on"], gifts.start), 0)
    chance = 1 - np.exp(-people["death_hazard_per_day"].to_numpy() * exposed)
    died = days(people["died_on"], gifts.start) < gifts.days
    assert abs(died.sum() - chance.sum()) < 4 * np.sqrt((chance * (1 - chance)).sum())


def test_orders_follow_their_rates(gifts, lines, gift_truth):
    """As many orders are made as rates, days alive and the calendar expect, within four standard errors."""
    people, factors = gift_truth["customers"], gift_truth["calendar"]["demand_factor"].to_numpy()
    arrived, died = days(people["arrived_on"], gifts.start), days(people["died_on"], gifts.start)
    busy = np.concatenate(([0.0], np.cumsum(factors)))
    reach = busy[np.clip(died + 1, 0, gifts.days)] - busy[np.clip(arrived + 1, 0, gifts.days)]
    expected = people["orders_per_day"].to_numpy() * np.maximum(reach, 0)
    orders = lines.filter(pc.invert(pc.starts_with(lines["InvoiceNo"], "C")))["InvoiceNo"].unique()
    boosted = sum((row["uplift"] for row in gift_truth["campaigns"].to_pylist()), 0.0)
    again = len(orders) - (arrived >= 0).sum()
    assert expected.sum() - 4 * np.sqrt(expected.sum()) < again < expected.sum() * (1 + boosted / 10)


def test_a_campaign_raises_purchases_by_its_uplift(client):
    """Orders per treated customer exceed those per control by the known uplift, within four standard
    errors.
    """
    truth = client.truth(dirt=False)
    campaign = truth["campaigns"].to_pylist()[0]
    arms = dict(zip(truth["exposures"]["customer_id"].to_pylist(), truth["exposures"]["arm"].to_pylist(), strict=True))
    orders = {"email": 0, "control": 0}
    for file in client.files(dirt=False):
        if file.path.startswith("sales/"):
            day = date.fromisoformat(file.path[6:16])
            if campaign["works_from"] <= day <= campaign["works_until"]:
                for line in b"".join(file.chunks).decode().splitlines()[1:]:
                    arm = arms.get(line.split(",")[2])
                    if arm:
                        orders[arm] += 1
    ratio = orders["email"] / campaign["n_treated"] / (orders["control"] / campaign["n_control"])
    error = ratio * np.sqrt(1.6 / orders["email"] + 1.6 / orders["control"])
    assert abs(ratio - 1 - campaign["uplift"]) < 4 * error


def test_control_is_random(gift_truth):
    """Neither arm's customers buy more by nature."""
    both = gift_truth["exposures"].join(gift_truth["customers"], "customer_id")
    for campaign in gift_truth["campaigns"]["campaign_id"].to_pylist():
        own = both.filter(pc.equal(both["campaign_id"], campaign))
        rates = [own.filter(pc.equal(own["arm"], arm))["orders_per_day"].to_numpy() for arm in ("email", "control")]
        error = np.sqrt(sum(rate.var() / len(rate) for rate in rates))
        assert abs(rates[0].mean() - rates[1].mean()) < 4 * error


# What is bought


def test_a_cancellation_takes_back_an_earlier_line(lines, gift_truth):
    """Each cancelled line names an earlier invoice with that product, price and customer, and no more
    units.
    """
    rows = lines.select(["InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"])
    back = rows.filter(pc.and_(pc.starts_with(rows["InvoiceNo"], "C"), pc.less(rows["Quantity"], 0)))
    told = gift_truth["cancellations"]
    both = told.join(back, ["order_id", "product_id"], ["InvoiceNo", "StockCode"], join_type="inner").join(
        rows, ["cancelled_order_id", "product_id"], ["InvoiceNo", "StockCode"], right_suffix="_sold"
    )
    assert both.num_rows == told.num_rows == back.num_rows
    assert pc.all(pc.equal(both["quantity"], both["Quantity"])).as_py()
    assert pc.all(pc.equal(both["quantity_sold"], both["Quantity_sold"])).as_py()
    assert pc.all(pc.less_equal(pc.negate(both["Quantity"]), both["Quantity_sold"])).as_py()
    assert pc.all(pc.less(both["InvoiceDate_sold"], both["InvoiceDate"])).as_py()
    assert pc.all(pc.equal(both["UnitPrice_sold"], both["UnitPrice"])).as_py()
    assert pc.all(pc.equal(both["CustomerID_sold"], both["CustomerID"])).as_py()


def test_wholesale_buyers_take_more(lines, gift_truth):
    """A wholesale line has several times the units of a retail line."""
    both = lines.filter(pc.greater(lines["Quantity"], 0)).join(gift_truth["customers"], "CustomerID", "customer_id")
    means = dict(zip(*both.group_by("segment").aggregate([("Quantity", "mean")]).to_pydict().values(), strict=True))
    assert means["wholesale"] > 3 * means["retail"]


def test_prices_are_those_of_the_truth(gifts, lines, gift_truth):
    """Each sale is at the price that truth says for its product and day."""
    changes = gift_truth["prices"].sort_by([("product_id", "ascending"), ("valid_from", "ascending")])
    history = {}
    for row in changes.to_pylist():
        history.setdefault(row["product_id"], []).append((row["valid_from"], float(row["price"])))
    sample = lines.slice(0, 3000).to_pylist() + lines.slice(lines.num_rows - 3000).to_pylist()
    for row in sample:
        if row["StockCode"] in history and not row["InvoiceNo"].startswith("C"):
            valid = [price for since, price in history[row["StockCode"]] if since <= row["InvoiceDate"].date()]
            assert valid[-1] == row["UnitPrice"]


def test_demand_is_log_linear_in_price(gifts):
    """On the noiseless panel, demand over season and promotion is the price ratio to the elasticity,
    exactly.
    """
    ratio = np.log(gifts.prices.paid / gifts.goods.base_price[:, None])
    quiet = ~gifts.prices.on_promotion & (np.abs(ratio) > 0.05)
    base = gifts.demand / np.exp(gifts.goods.elasticity[:, None] * ratio)
    for product in np.flatnonzero(quiet.sum(axis=1) > 30)[:50]:
        category = gifts.goods.category[product]
        twin = np.flatnonzero(gifts.goods.category == category)[0]
        calm = quiet[product] & ~gifts.prices.on_promotion[twin]
        share = base[product, calm] / base[twin, calm]
        assert np.allclose(share, gifts.goods.weight[product] / gifts.goods.weight[twin])


def test_units_sold_follow_the_elasticities(gifts, lines):
    """From the file alone: units follow the true response to prices with a slope of one, within a tenth."""
    codes = {code: number for number, code in enumerate(gifts.goods.product_id)}
    sold = lines.filter(pc.greater(lines["Quantity"], 0))
    product = np.array([codes.get(code, -1) for code in sold["StockCode"].to_pylist()])
    day = days(sold["InvoiceDate"], gifts.start)
    counts = np.zeros(gifts.prices.paid.shape)
    np.add.at(counts, (product[product >= 0], day[product >= 0]), 1)
    response = gifts.goods.elasticity[:, None] * np.log(gifts.prices.paid / gifts.goods.base_price[:, None])
    moved = np.setdiff1d(np.arange(len(gifts.goods)), gifts.together.items.ravel())
    visits = np.bincount(gifts.sold.day, gifts.breadth, gifts.days)
    expected = (visits * gifts.demand * np.exp(-response))[moved]
    counts, response = counts[moved], response[moved]
    slope = 0.5
    for _ in range(30):
        # Newton's step of a Poisson regression with a constant for each product.
        rate = expected * np.exp(slope * response)
        rate *= (counts.sum(axis=1) / rate.sum(axis=1))[:, None]
        mean = (rate * response).sum(axis=1, keepdims=True) / np.maximum(rate.sum(axis=1, keepdims=True), 1e-12)
        slope += ((counts - rate) * response).sum() / (rate * (response - mean) ** 2).sum()
    assert slope == pytest.approx(1, abs=0.1)


def test_bundles_have_their_lift(lines, gift_truth):
    """Support and lift of each bundle, counted over the invoices, are near what truth expects."""
    sold = lines.filter(pc.invert(pc.starts_with(lines["InvoiceNo"], "C")))
    orders = sold["InvoiceNo"].unique()
    ratios, supports = [], []
    for bundle in gift_truth["bundles"].to_pylist():
        one, other = (
            set(sold.filter(pc.equal(sold["StockCode"], bundle[name]))["InvoiceNo"].to_pylist())
            for name in ("product_id", "other_product_id")
        )
        both = len(one & other)
        lift = both * len(orders) / (len(one) * len(other))
        ratios.append(lift / bundle["expected_lift"])
        supports.append(both / len(orders) / bundle["expected_support"])
        assert lift > 3
    assert np.allclose(ratios, 1, atol=0.3)
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)
    assert np.mean(supports) == pytest.approx(1, abs=0.05)


# The funnel


def test_the_funnel_has_its_rates(clicks, events):
    """Carts per view, removals and purchases per cart are near the truth."""
    rates = dict(zip(*clicks.world()["funnel"].to_pydict().values(), strict=True))
    kinds = {row["values"]: row["counts"] for row in events["event_type"].value_counts().to_pylist()}
    chance = np.average(clicks.cart_chance.mean(axis=1), weights=clicks.goods.weight)
    sessions = len(events["user_session"].unique())
    assert kinds["view"] / sessions == pytest.approx(rates["views_per_session"], rel=0.02)
    assert kinds["cart"] / kinds["view"] == pytest.approx(chance, rel=0.03)
    assert chance == pytest.approx(rates["cart_per_view_at_base_price"], rel=0.2)
    assert kinds["remove_from_cart"] / kinds["cart"] == pytest.approx(rates["remove_from_cart_per_cart"], rel=0.05)
    assert kinds["purchase"] / kinds["cart"] == pytest.approx(rates["purchase_per_cart"], rel=0.05)


def test_a_purchase_follows_its_cart_and_view(events):
    """In each session no product is in a cart before it is viewed, nor bought before it is in a cart."""
    keys = ["user_session", "product_id"]
    firsts = {
        kind: events.filter(pc.equal(events["event_type"], kind)).group_by(keys).aggregate([("event_time", "min")])
        for kind in ("view", "cart", "purchase")
    }
    for later, earlier in (("cart", "view"), ("purchase", "cart")):
        both = firsts[later].join(firsts[earlier], keys, right_suffix="_before", join_type="left outer")
        assert both["event_time_min_before"].null_count == 0
        assert pc.all(pc.less(both["event_time_min_before"], both["event_time_min"])).as_py()


def test_events_are_in_order_and_some_visits_span_midnight(clicks, events):
    """The files are in the order of time, from the first day to the last, and midnight cuts no visit."""
    moments = events["event_time"].to_numpy().astype("datetime64[s]")
    assert (np.diff(moments) >= np.timedelta64(0)).all()
    assert moments[0] >= np.datetime64(clicks.start)
    assert moments[-1] < np.datetime64(clicks.start) + clicks.days
    spans = events.group_by("user_session").aggregate([("event_time", "min"), ("event_time", "max")])
    nights = days(spans["event_time_max"], clicks.start) - days(spans["event_time_min"], clicks.start)
    assert set(nights) == {0, 1}


def test_most_events_have_no_brand_and_no_category_code(events):
    """Brand and category code are mostly missing, as in the real export."""
    for column in ("brand", "category_code"):
        assert pc.mean(pc.equal(events[column], "").cast(pa.float64())).as_py() > 0.5


# Stock


def test_stock_is_never_negative_and_equals_its_movements(chain):
    """In the order of the file no shelf falls below zero, and its movements end at what truth says stands
    there.
    """
    rows = table(chain, "inventory.csv")
    key = pc.binary_join_element_wise(rows["store_id"], rows["product_id"], " ").combine_chunks()
    shelf = key.dictionary_encode()
    order = np.argsort(shelf.indices.to_numpy(), kind="stable")
    running = np.cumsum(rows["quantity_change"].to_numpy()[order])
    ids = shelf.indices.to_numpy()[order]
    first = np.flatnonzero(np.diff(ids, prepend=-1))
    before = np.where(first > 0, running[first - 1], 0)
    level = running - np.repeat(before, np.diff(first, append=len(ids)))
    assert level.min() >= 0
    truth = chain.world()["shelves"]
    names = pc.binary_join_element_wise(truth["store_id"], truth["product_id"], " ").to_pylist()
    ends = dict(zip(shelf.dictionary.to_pylist(), level[np.append(first[1:], len(ids)) - 1].tolist(), strict=True))
    assert ends == dict(zip(names, truth["units_on_hand"].to_pylist(), strict=True))


def test_each_sale_lowers_stock_by_its_units(chain):
    """Transactions and movements for sales are the same units at the same shelf and second."""
    sold = table(chain, "transactions.csv")
    moved = table(chain, "inventory.csv")
    moved = moved.filter(pc.equal(moved["reason"], "sale"))
    assert sold.num_rows == moved.num_rows

    def rows(where, moment, units):
        columns = (where["store_id"], where["product_id"], where[moment], units)
        return sorted(zip(*(column.to_pylist() for column in columns), strict=True))

    assert rows(sold, "sold_at", sold["quantity"]) == rows(moved, "changed_at", pc.negate(moved["quantity_change"]))


def test_sales_and_losses_are_the_demand(chain):
    """What is sold and what is lost for want of stock are what demand expects, within four errors."""
    truth = chain.world()
    sold = table(chain, "transactions.csv").num_rows
    lost = pc.sum(truth["stock_outs"]["lost_transactions"]).as_py()
    carried = chain.assortment
    response = chain.response[carried.product] * carried.weight[:, None]
    expected = (response.sum(axis=0) * chain.factors).sum() * pc.sum(truth["shelves"]["transactions_per_day"]).as_py()
    assert lost > 0
    assert abs(sold + lost - expected) < 4 * np.sqrt(expected)


def test_a_shelf_sells_what_it_has():
    """Wishes are met in order as long as they fit; the rest are lost, and stock comes back once ordered."""
    stock = Shelves(np.array([5, 1]), np.array([1, 0]), np.array([6, 3]))
    shelf, units = np.array([0, 1, 0, 0, 1]), np.array([2, 1, 3, 1, 1])
    met = stock.sell(0, shelf, units, np.arange(5))
    assert met.tolist() == [True, True, True, False, False]
    assert stock.level.tolist() == [0, 0]
    assert [column.tolist() for column in stock.lost.columns()] == [[0, 1], [0, 0], [1, 1]]
    stock.close(0, np.random.default_rng(0))
    for day in range(1, 30):
        stock.receive(day)
    assert stock.level.tolist() == [6, 3]
    reasons = stock.movements.columns()[4]
    assert (reasons[:5] == [OPENING, OPENING, SALE, SALE, SALE]).all()


# Labels


def test_the_label_follows_its_model(client):
    """A logistic regression on the files gives the true coefficients back, and finds nothing in the noise
    label.
    """
    truth = client.truth(dirt=False)
    profiles = table(client, "customer_profiles/customer_profiles.csv")
    activity = table(client, "customer_activity/customer_activity.csv", valid_to=pa.string())
    latest = activity.filter(pc.equal(activity["valid_to"], ""))
    labels = table(client, "labels/labels.csv")
    assert latest["idx"].to_pylist() == profiles["idx"].to_pylist() == labels["idx"].to_pylist()
    letters = np.array(profiles["attr_b"].to_pylist())
    inputs = np.column_stack(
        [
            np.ones(labels.num_rows),
            profiles["attr_a"].to_numpy(),
            *(letters == letter for letter in "abd"),
            latest["scd_a"].to_numpy(),
            latest["scd_b"].to_numpy(),
        ]
    ).astype(float)
    model = dict(zip(*truth["label_model"].to_pydict().values(), strict=True))
    names = ("intercept", "attr_a", "attr_b=a", "attr_b=b", "attr_b=d", "latest scd_a", "latest scd_b")
    for target, expected in (
        (labels["label"].to_numpy(), np.array([model[name] for name in names])),
        (truth["labels"]["noise_label"].to_numpy(), np.array([np.log(0.091 / 0.909), *[0.0] * 6])),
    ):
        fitted, errors = logistic(inputs, target)
        assert (np.abs(fitted - expected) < 4 * errors).all()
        assert target.mean() == pytest.approx(0.091, abs=0.009)


def logistic(inputs, target):
    """Coefficients and their standard errors by Newton's method."""
    fitted = np.zeros(inputs.shape[1])
    for _ in range(12):
        chance = 1 / (1 + np.exp(-inputs @ fitted))
        information = (inputs * (chance * (1 - chance))[:, None]).T @ inputs
        fitted += np.linalg.solve(information, inputs.T @ (target - chance))
    return fitted, np.sqrt(np.diag(np.linalg.inv(information)))


def test_validity_intervals_touch(client):
    """A customer's intervals follow each other without gap or overlap, and the last one is open."""
    rows = table(client, "customer_activity/customer_activity.csv", valid_from=pa.string(), valid_to=pa.string())
    idx = rows["idx"].to_numpy()
    begins, ends = rows["valid_from"].to_pylist(), rows["valid_to"].to_pylist()
    for row in range(rows.num_rows):
        if row + 1 < rows.num_rows and idx[row + 1] == idx[row]:
            assert ends[row] == begins[row + 1]
            assert datetime.fromisoformat(begins[row]) < datetime.fromisoformat(ends[row])
        else:
            assert not ends[row]

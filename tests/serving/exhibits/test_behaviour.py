"""Behaviour as shown, of ten events that are added up by hand."""

import pytest

from shopkeeper.serving.exhibits import behaviour, filter_of

EVENTS = """event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session
2019-10-01 09:00:00 UTC,view,1,9,,acme,10.00,u1,s1
2019-10-01 09:01:00 UTC,cart,1,9,,acme,10.00,u1,s1
2019-10-01 09:03:00 UTC,purchase,1,9,,acme,10.00,u1,s1
2019-10-01 20:00:00 UTC,view,1,9,,acme,10.00,u2,s2
2019-10-08 09:00:00 UTC,view,2,9,,acme,4.00,u1,s3
2019-10-08 09:02:00 UTC,cart,2,9,,acme,4.00,u1,s3
2019-10-09 10:00:00 UTC,view,1,9,,acme,10.00,u3,s4
2019-10-09 10:01:00 UTC,view,2,9,,acme,4.00,u3,s4
2019-10-09 10:02:00 UTC,purchase,2,9,,acme,4.00,u3,s4
2019-11-02 10:00:00 UTC,view,2,9,,acme,4.00,u1,s5
"""
"""Five visits of three visitors; two buy, for 10 and 4. Only s1 goes from view by cart to purchase; s2 and s5 are one event."""


@pytest.fixture(scope="module")
def visit(tmp_path_factory, make_shop, run_shop):
    folder = tmp_path_factory.mktemp("events")
    (folder / "2019-10.csv").write_text(EVENTS, "utf-8")
    parts = make_shop(folder / "shop", "rees46_events", folder)
    run_shop(parts)
    return parts.gallery.visit(frozenset({"aggregates"}))


@pytest.fixture
def show(visit):
    def show(exhibit, *period):
        return visit.show(exhibit, filter_of({"period": period} if period else {}, visit.choices)).rows

    return show


def test_the_totals_of_visits(show):
    """Five visits, three visitors, two purchases, two bounces, 180 + 120 + 120 seconds, 14 of revenue."""
    (row,) = show(behaviour.TOTALS)
    assert (row["n_sessions"], row["n_visitors"], row["n_new_visitors"], row["n_sessions_with_purchase"]) == (
        5,
        3,
        3,
        2,
    )
    assert (row["conversion"], row["bounce_rate"]) == (0.4, 0.4)
    assert row["minutes_per_session"] == pytest.approx(420 / 5 / 60)
    assert (float(row["revenue"]), row["revenue_per_visitor"]) == (14, pytest.approx(14 / 3))


def test_the_totals_of_a_period(show):
    """From 8 October on, u1 is no longer new."""
    (row,) = show(behaviour.TOTALS, "2019-10-08", "2019-11-02")
    assert (row["n_sessions"], row["n_visitors"], row["n_new_visitors"], float(row["revenue"])) == (3, 2, 1, 4)


def test_the_funnel_never_grows(show):
    """All five view, two also put into the cart, one of them also buys."""
    assert [(row["step"], row["n_sessions"]) for row in show(behaviour.FUNNEL)] == [
        ("view", 5),
        ("cart", 2),
        ("purchase", 1),
    ]
    assert [row["share_of_step_before"] for row in show(behaviour.FUNNEL)] == [None, 0.4, 0.5]
    assert [row["share_of_views"] for row in show(behaviour.FUNNEL)] == [1.0, 0.4, 0.2]


def test_visitors_are_new_or_returning(show):
    """On the first day two are new; a week later u1 returns, and the day after u3 is new; in November u1 returns."""
    rows = show(behaviour.OVER_TIME)
    assert [(row["n_visitors"], row["n_new_visitors"], row["n_returning_visitors"]) for row in rows] == [
        (2, 2, 0),
        (1, 0, 1),
        (1, 1, 0),
        (1, 0, 1),
    ]


def test_hours_are_a_days_mean(show):
    """Of the Tuesdays 1 and 8 October at 9: five events, one purchase of 10, so 5 a day; 1 to 8 October holds two Tuesdays."""
    rows = show(behaviour.BY_HOUR, "2019-10-01", "2019-10-08")
    (nine,) = (row for row in rows if (row["iso_weekday"], row["hour"]) == (2, 9))
    assert (nine["n_events"], nine["n_purchases"], float(nine["revenue"]), float(nine["revenue_per_day"])) == (
        5,
        1,
        10,
        5,
    )


def test_what_precedes_a_purchase(show):
    """Once a cart, once a view, whether or not the product is looked at."""
    rows = {(row["scope"], row["previous_event_type"]): row["share"] for row in show(behaviour.BEFORE_PURCHASE)}
    assert rows == {
        ("session", "cart"): 0.5,
        ("session", "view"): 0.5,
        ("product", "cart"): 0.5,
        ("product", "view"): 0.5,
    }


def test_products_from_view_to_purchase(show):
    """Each is viewed thrice, put into a cart once, and bought once."""
    rows = {row["product_id"]: row for row in show(behaviour.PRODUCTS)}
    for code, revenue in (("1", 10), ("2", 4)):
        told = rows[code]
        assert (told["n_views"], told["n_carts"], told["n_purchases"], float(told["revenue"])) == (3, 1, 1, revenue)
        assert told["purchases_per_view"] == pytest.approx(1 / 3)


def test_active_visitors_and_who_comes_back(show):
    """On 9 October one is active, over the seven days before 1 + 1; of October's three, one comes in November."""
    days = {str(row["day"]): row for row in show(behaviour.ACTIVITY)}
    assert (days["2019-10-09"]["n_active"], days["2019-10-09"]["n_new_visitors"]) == (1, 1)
    (later,) = (row for row in show(behaviour.RETENTION) if row["months_since"] == 1)
    assert (later["n_customers"], later["n_active"], later["retention"]) == (3, 1, pytest.approx(1 / 3))

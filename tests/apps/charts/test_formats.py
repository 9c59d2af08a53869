"""Numbers, money and days read as the shop's country writes them, and places are found by what data call them."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from shopkeeper.apps.charts import DARK, LIGHT, Formats, figures, maps
from shopkeeper.apps.charts.formats import MINUS, NOTHING
from shopkeeper.serving.exhibits.exhibit import UNITS

POUNDS, DOLLARS = Formats("GBP", "Europe/London"), Formats("USD", "America/Chicago")


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (POUNDS.money(Decimal("9787012.663")), "£9,787,013"),
        (POUNDS.money(Decimal("-12.5")), f"{MINUS}£12.50"),
        (POUNDS.price(Decimal("1234.5")), "£1,234.50"),
        (POUNDS.gain(Decimal("133978.61")), "+£133,979"),
        (POUNDS.short_money(1_432_260), "£1.4M"),
        (POUNDS.count(19773), "19,773"),
        (POUNDS.share(0.1234), "12.3 %"),
        (POUNDS.change(-0.0184), f"{MINUS}1.8 %"),
        (POUNDS.points(0.023), "+2.3 points"),
        (POUNDS.date(date(2011, 11, 14)), "14 Nov 2011"),
        (DOLLARS.date(date(2011, 11, 14)), "Nov 14, 2011"),
        (POUNDS.month(date(2011, 11, 1)), "Nov 2011"),
        (POUNDS.moment(datetime(2011, 7, 1, 23, 30)), "2 Jul 2011, 00:30"),  # noqa: DTZ001 - moments of tables have no zone
        (DOLLARS.moment("2011-07-01T23:30:00Z"), "Jul 1, 2011, 6:30 PM"),
        (POUNDS.age(datetime(2011, 1, 1, tzinfo=UTC), datetime(2011, 1, 1, 3, tzinfo=UTC)), "3 hours ago"),
        (POUNDS.weekday(7), "Sun"),
        (POUNDS.number(float("nan")), NOTHING),
    ],
    ids=str,
)
def test_values_read_well(told, text):
    """In groups of three, with the currency's sign, percentages with one digit, moments on the shop's clock."""
    assert told.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ") == text


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_what_is_not_known_is_a_dash(unit):
    """In every unit."""
    assert POUNDS.of(unit)(None) == NOTHING


@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("EIRE", ["Ireland"]),
        ("RSA", ["South Africa"]),
        ("USA", ["United States of America"]),
        ("Czech Republic", ["Czechia"]),
        ("Channel Islands", ["Jersey", "Guernsey"]),
        ("Hong Kong", ["Hong Kong"]),
        ("united kingdom", ["United Kingdom"]),
        ("Unspecified", []),
        ("European Community", []),
    ],
)
def test_places_are_found_by_what_data_call_them(place, names):
    """Usual other names lead to the shape; what is no place has none."""
    assert [shape.name for shape in maps.found("country", place)] == names


def test_states_are_found_by_name_and_by_code():
    """All fifty and the district, by either."""
    assert len(maps.STATES) == 51
    assert all(maps.found("state", code) == maps.found("state", name) != () for code, name in maps.STATES.items())


def test_a_map_says_what_has_no_shape():
    """What is not on it is told; what is can be clicked."""
    drawn = maps.of_places(LIGHT, POUNDS, "country", ["France", "Unspecified"], [Decimal(5), Decimal(3)])
    assert drawn.missing == ("Unspecified",)
    assert list(drawn.figure.data[-1].customdata) == ["France"]


def test_the_shapes_are_small():
    """Both files together stay below 300 kB."""
    from importlib import resources

    folder = resources.files("shopkeeper.apps.charts").joinpath("shapes")
    assert sum(len(file.read_bytes()) for file in folder.iterdir()) < 300_000


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_text_can_be_read(theme):
    """Text and quiet text stand out from what is behind them as WCAG AA asks, series from it as graphics must."""

    def light(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    def contrast(one: str, other: str) -> float:
        high, low = sorted((light(one), light(other)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for ground in (theme.ground, theme.panel):
        assert contrast(theme.text, ground) >= 7
        assert contrast(theme.muted, ground) >= 4.5
        assert min(contrast(colour, ground) for colour in (theme.main, theme.above, theme.below)) >= 3


def test_steps_add_up():
    """A waterfall's end is where its parts lead to."""
    figure = figures.steps(LIGHT, POUNDS, ["new", "lost"], [5, -2], start=("before", 10), end=("now", 13))
    assert list(figure.data[0].x) == [10, 5, -2, 13]
    assert list(figure.data[0].measure) == ["absolute", "relative", "relative", "total"]


def test_a_line_is_dotted_where_a_period_is_not_whole():
    """The last point is open, and the line to it is dotted."""
    days = [date(2011, 1, 1), date(2011, 2, 1), date(2011, 3, 1)]
    figure = figures.lines(
        LIGHT, POUNDS, days, [figures.Series("net sales", [1, 2, 3])], is_whole=[True, True, False], is_filled=True
    )
    points, solid, dotted = figure.data
    assert list(points.marker.color) == [LIGHT.main, LIGHT.main, LIGHT.ground]
    assert (solid.line.dash, list(solid.y)) == ("solid", [1, 2, None])
    assert (dotted.line.dash, list(dotted.y)) == ("dot", [2, 3, None])


@pytest.mark.parametrize(
    ("unit", "value", "told"),
    [
        ("share", -0.0, "0.0 %"),
        ("share", -1e-6, "0.0 %"),
        ("share", -0.0004, f"{MINUS}0.04 %"),
        ("share", 0.1234, "12.3 %"),
        ("change", 1e-6, "0.0 %"),
        ("change", 0.348, "+34.8 %"),
        ("points", -0.00001, "0.0 points"),
        ("money", -0.001, "£0.00"),
        ("money", -12.5, f"{MINUS}£12.50"),
        ("gain", 0.001, "£0.00"),
        ("gain", 12.5, "+£12.50"),
        ("count", -0.2, "0"),
    ],
)
def test_nought_has_no_sign(unit, value, told):
    """Neither a minus nor a plus stands before what reads 0."""
    assert POUNDS.of(unit)(value) == told

"""What a cell may look like to become a value of the contract."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shopkeeper.errors import SettingsError

HEAD = "order;sku;qty;price;at\n"
EUROPE = {"decimal_mark": ",", "thousands_mark": "."}


def line(price: str = "1", quantity: str = "1", at: str = "2020-01-01") -> bytes:
    return f"{HEAD}o1;s1;{quantity};{price};{at}\n".encode()


@pytest.mark.parametrize(
    ("text", "settings_", "price"),
    [
        ("3.5", {}, "3.5"),
        ("-0.0001", {}, "-0.0001"),
        ("+7", {}, "7"),
        (" 12.50 ", {}, "12.5"),
        ("1.230000", {}, "1.23"),
        (".5", {}, "0.5"),
        ("1.234,56", EUROPE, "1234.56"),
        ("-1.234.567,8", EUROPE, "-1234567.8"),
        ("1,234.5", {"thousands_mark": ","}, "1234.5"),
        ("£3.50", {"currency_symbols": "£"}, "3.5"),
        ("3,50 €", {"currency_symbols": "€", "decimal_mark": ","}, "3.5"),
        ("$-1.5", {"currency_symbols": "$"}, "-1.5"),
    ],
)
def test_prices_are_read_as_the_mapping_says(read, text, settings_, price):
    """Marks and symbols are taken as declared, and the value is exact."""
    assert read(line(price=text), **settings_).column("unit_price") == [Decimal(price)]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("1.234,56", 'decimal_mark = "," and thousands_mark = "."'),
        ("£3.50", 'currency_symbols = "£"'),
        ("1,234.5", 'thousands_mark = ","'),
        ("3,5", 'decimal_mark = ","'),
        ("1.23456", ""),
        ("1_000", ""),
        ("1e3", ""),
        ("0x10", ""),
        ("nan", ""),
        ("Infinity", ""),
        ("--1", ""),
        ("1 2", ""),
        ("999999999999999", ""),
        (".", ""),
    ],
)
def test_other_prices_are_rejected_with_the_setting_that_would_accept_them(read, text, hint):
    """Nothing is guessed or rounded; the reason names the way out where there is one."""
    (reject,) = read(line(price=text)).rejects
    assert (reject["source_row"], reject["column_name"], reject["value"]) == (2, "price", text)
    assert reject["rule"].startswith("unit_price must be an amount with at most 4 decimals")
    assert hint in reject["rule"]


def test_an_empty_required_value_is_rejected_and_an_optional_one_is_null(read):
    """A blank order id breaks the contract; an empty product does not."""
    found = read(HEAD.encode() + b"   ;s;1;1;2020-01-01\no;;1;1;2020-01-01\n;s;1;;2020-01-01\n")
    assert [(row["order_id"], row["product_id"]) for row in found.rows] == [("o", None)]
    assert [reject["rule"] for reject in found.rejects] == [
        "order_id must not be empty",
        "order_id must not be empty; unit_price must not be empty",
    ]
    assert found.rejects[1]["raw_text"] == '{"order":null,"sku":"s","qty":"1","price":null,"at":"2020-01-01"}'


def test_text_is_kept_as_written(read):
    """Spaces, quotes, NUL and SQL are text."""
    sku = " a\x00b') drop table x --, "
    assert read(HEAD.encode() + f"o;{sku};1;1;2020-01-01\n".encode()).column("product_id") == [sku]


def test_a_minimum_is_kept(read, lines):
    """A negative discount is no discount."""
    columns = {**lines().columns, "discount_amount": ["less"]}
    content = b"order,sku,qty,price,at,less\no,s,1,1,2020-01-01,-1\no,s,1,1,2020-01-01,0\n"
    found = read(content, columns={name: list(names) for name, names in columns.items()})
    assert [reject["rule"] for reject in found.rejects] == ["discount_amount must be at least 0"]


@pytest.mark.parametrize(
    ("text", "zone", "formats", "moment"),
    [
        ("2020-07-01 12:00", "UTC", ["%Y-%m-%d %H:%M"], datetime(2020, 7, 1, 12, tzinfo=UTC)),
        ("2020-07-01 12:00", "Europe/London", ["%Y-%m-%d %H:%M"], datetime(2020, 7, 1, 11, tzinfo=UTC)),
        (
            "2020-07-01T12:00:00Z",
            "Europe/London",
            ["%Y-%m-%dT%H:%M:%SZ"],
            datetime(2020, 7, 1, 12, tzinfo=UTC),
        ),
        ("2020-07-01 12:00 UTC", "Asia/Tokyo", ["%Y-%m-%d %H:%M UTC"], datetime(2020, 7, 1, 12, tzinfo=UTC)),
        ("2020-07-01 12:00+02:00", "Asia/Tokyo", ["%Y-%m-%d %H:%M%z"], datetime(2020, 7, 1, 10, tzinfo=UTC)),
        (
            "2020-07-01 12:00+02:00",
            "UTC",
            ["%Y-%m-%d", "%Y-%m-%d %H:%M%z"],
            datetime(2020, 7, 1, 10, tzinfo=UTC),
        ),
        ("1/7/2020", "UTC", ["%Y-%m-%d", "%d/%m/%Y"], datetime(2020, 7, 1, tzinfo=UTC)),
    ],
)
def test_times_become_utc(read, text, zone, formats, moment):
    """A time is in the shop's zone unless its format says otherwise; formats are tried in order."""
    assert read(line(at=text), zone=zone, datetime_formats=formats).column("ordered_at") == [moment]


@pytest.mark.parametrize("text", ["2020-02-30", "2020-13-01", "01/02/2020", "20-01-01", "yesterday"])
def test_impossible_and_undeclared_dates_are_rejected(read, text):
    """A date that no declared format reads is not guessed."""
    (reject,) = read(line(at=text)).rejects
    assert reject["rule"].startswith("ordered_at must be a date and time in one of the declared formats")


def test_a_mapping_may_have_its_own_zone(read):
    """The table's zone goes before the shop's."""
    found = read(line(at="2020-01-01"), zone="Asia/Tokyo", timezone="America/New_York")
    assert found.column("ordered_at") == [datetime(2020, 1, 1, 5, tzinfo=UTC)]


def test_unknown_zones_and_formats_are_settings_errors(read):
    """A wrong word in the settings is told as one."""
    with pytest.raises(SettingsError, match="timezone must be"):
        read(line(), zone="Mars/Olympus")
    with pytest.raises(SettingsError, match="datetime_formats must be"):
        read(line(), datetime_formats=["%Q"])


def test_further_columns_are_gathered_as_json(read):
    """A JSON column holds several source columns in the declared order."""
    found = read(
        b"id,size,colour,x\ns1,3,red,\n",
        entity="stores",
        columns={"store_id": "id", "attributes": ["colour", "size"]},
    )
    assert found.rows[0]["attributes"] == '{"colour":"red","size":"3"}'
    assert found.notes == ["column 'x' of lines.csv is not mapped and was not loaded"]


def test_a_constant_fills_what_the_source_lacks(read, lines):
    """Sales without a quantity count as one."""
    columns = {name: list(names) for name, names in lines().columns.items() if name != "quantity"}
    found = read(b"order,sku,price,at\no,s,1,2020-01-01\n", columns=columns, constants={"quantity": "1"})
    assert found.column("quantity") == [Decimal(1)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.decimals(-(10**13), 10**13, places=4, allow_nan=False), min_size=1, max_size=20))
def test_every_decimal_comes_back_exactly(read, numbers):
    """Written with European marks, each amount is read to the last digit."""

    def european(number: Decimal) -> str:
        return f"{number:,.4f}".replace(",", "_").replace(".", ",").replace("_", ".")

    body = "".join(f"o;s;1;{european(number)};2020-01-01\n" for number in numbers)
    assert read((HEAD + body).encode(), **EUROPE).column("unit_price") == numbers


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example("- ")
@example("+ ")
@given(st.text("0123456789.,+-eE_£ ", min_size=1, max_size=12))
def test_a_number_is_read_exactly_or_rejected(read, text):
    """Whatever the text, the value is what Python's Decimal says of it, or there is a reject."""
    found = read(line(price=text))
    if found.rows:
        assert found.column("unit_price") == [Decimal(text.strip())]


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("31/12/2020", '"%d/%m/%Y" under datetime_formats would accept it'),
        ("2020-02-30", None),
        ("soon", None),
    ],
)
def test_a_date_that_no_format_reads(value, hint):
    """A format is offered only where one fits: an impossible date has none."""
    from shopkeeper.contracts import contract
    from shopkeeper.mappings import Mapping
    from shopkeeper.sources.conformity import broken_rule

    rule = broken_rule(contract("order_lines").column("ordered_at"), value, Mapping("order_lines", {}))
    assert rule.endswith(hint) if hint else "would accept" not in rule

"""The month in a few sentences, each computed; what no table says is not said."""

from datetime import date
from decimal import Decimal
from typing import Any

from shopkeeper.apps.documents.material import Material

STILL = 0.005
"""A change below half a per cent is told as none."""
LONGEST = 44
WHOSE = {
    "new": "new customers",
    "returning": "customers who came back after a month without",
    "staying": "customers who bought in both months",
    "lost": "customers who did not come back",
    "returns only": "customers who only gave back",
    "guests": "guests",
}


def story(told: Material) -> list[str]:
    """Return up to five sentences: what the month brought, by how many, from whom, with what, and what to do next."""
    sentences = [_money(told), _orders(told), _customers(told), _products(told)] if told.has_sales else [_visits(told)]
    sentences.append(_advice(told))
    return [sentence for sentence in sentences if sentence]


def _money(told: Material) -> str:
    row = told.of_month("months")
    formats = told.formats
    text = f"{told.month_name} brought {formats.money(row['net_sales'])} net sales"
    before, year = row["growth_on_month"], row["growth_on_year"]
    said = [_moved(told, before, _earlier(told.month, 1)), _moved(told, year, _earlier(told.month, 12))]
    known = [each for each in said if each]
    if known:
        text += ", " + " and ".join(known)
    if not row["is_complete"]:
        return f"{text}; the data do not cover the month whole, so it compares badly."
    best = max(told.rows_of("months"), key=lambda each: each["net_sales"])
    if best["month_start"] == told.month and len(told.rows_of("months")) > 2:
        text += f": the best of the last {len(told.rows_of('months'))} months"
    return f"{text}."


def _moved(told: Material, change: float | None, since: date) -> str:
    if change is None:
        return ""
    name = f"{since:%B}" if since.year == told.month.year or since.month != told.month.month else f"{since:%B %Y}"
    if abs(change) < STILL:
        return f"as much as {name}"
    share = told.formats.share(abs(change))
    return f"{share} {'more' if change > 0 else 'less'} than {name}"


def _earlier(month: date, by: int) -> date:
    place = month.year * 12 + month.month - 1 - by
    return date(place // 12, place % 12 + 1, 1)


def _orders(told: Material) -> str:
    row, formats = told.of_month("months"), told.formats
    text = _n(told, row["n_orders"], "order")
    if row["n_customers"]:
        text += f" by {_n(told, row['n_customers'], 'known customer')}"
    if row["net_sales_per_order"] is not None:
        text += f" came to {formats.money(row['net_sales_per_order'])} each"
    if row["return_rate"]:
        text += f"; returns took back {formats.share(row['return_rate'])} of what was sold"
    return f"{text}."


def _customers(told: Material) -> str:
    """Say where the change came from; the guests are told if they alone moved it."""
    rows = {row["kind"]: row for row in told.rows_of("month_customers")}
    known = [row for kind, row in rows.items() if kind != "guests" and row["n_customers"]]
    if not known or told.of_month("months").get("net_sales_month_before", 1) is None:
        return ""
    new, lost = rows.get("new"), rows.get("lost")
    text = ""
    if new:
        text = f"{_n(told, new['n_customers'], 'new customer')} brought {told.formats.money(new['net_sales'])}"
    if lost:
        part = f"the {told.formats.count(lost['n_customers'])} who bought in {_earlier(told.month, 1):%B} and not since had "
        part += f"brought {told.formats.money(lost['net_sales_month_before'])}"
        text = f"{text}, while {part}" if text else part[:1].upper() + part[1:]
    total = sum((row["change"] for row in rows.values()), Decimal(0))
    most = max(rows.values(), key=lambda row: row["change"] if total >= 0 else -row["change"])
    if total and most["change"] * total > 0:
        word = "growth" if total > 0 else "loss"
        text += f"; most of the {word} came from {WHOSE[most['kind']]} ({_signed(told, most['change'])})"
    return f"{text}." if text else ""


def _n(told: Material, n: int, thing: str) -> str:
    return f"{told.formats.count(n)} {thing}{'' if n == 1 else 's'}"


def _signed(told: Material, value: Any) -> str:
    text = told.formats.money(value)
    return f"+{text}" if value > 0 else text


def _products(told: Material) -> str:
    top, moved = told.first("month_products"), told.rows_of("month_movers")
    if not top:
        return ""
    text = f"{_name(top)} sold most ({told.formats.money(top['net_sales'])})"
    up, down = (moved[0], moved[-1]) if moved else ({}, {})
    if up and up["change"] > 0:
        rose = f"rose most ({_signed(told, up['change'])})"
        text += f" and {rose}" if up["product_id"] == top["product_id"] else f"; {_name(up)} {rose}"
    if down and down["change"] < 0:
        text += f"; {_name(down)} fell most ({_signed(told, down['change'])})"
    place = told.first("month_by_country")
    if place and place["n_members"] > 1 and place["country"] != "unknown":
        text += f"; {told.formats.share(place['share'])} of it all went to {place['country']}"
    return f"{text}."


def _name(row: dict[str, Any]) -> str:
    text = str(row["description"]).strip()
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1].rstrip()}…"


def _visits(told: Material) -> str:
    row, formats = told.of_month("traffic_months"), told.formats
    if not row:
        return ""
    text = f"{told.month_name} saw {_n(told, row['n_sessions'], 'visit')} by {_n(told, row['n_customers'], 'visitor')}"
    text += (
        f", of whom {formats.count(row['n_new_customers'])} were new; {formats.share(row['conversion'])} of the visits "
    )
    return f"{text}ended with a purchase, and brought {formats.money(row['revenue'])}."


def _advice(told: Material) -> str:
    """Say what to do next, of what the models advise as of the version."""
    formats, said = told.formats, []
    stock = told.first("reorder_advice_totals")
    if stock and stock["n_to_reorder"]:
        said.append(f"order {_n(told, stock['n_to_reorder'], 'product')} anew")
    prices = told.first("price_totals")
    if prices and (n := prices["n_to_raise"] + prices["n_to_lower"]):
        gain = f" (about {formats.money(prices['gain_per_day'])} a day)" if prices["gain_per_day"] else ""
        said.append(f"change {_n(told, n, 'price')}{gain}")
    likely = [row for row in told.rows_of("churn_bands") if row["is_likely"]]
    if likely:
        risk = sum((row["value_at_risk"] or 0 for row in likely), 0)
        n = sum(row["n_customers"] for row in likely)
        text = f"write to the {_n(told, n, 'customer')} who {'is' if n == 1 else 'are'} likelier than not to stay away for "
        text += f"{formats.count(likely[0]['horizon_days'])} days"
        said.append(text + (f", with whom {formats.money(risk)} is at risk" if risk else ""))
    if not said:
        return ""
    return f"Next: {'; '.join(said)}."

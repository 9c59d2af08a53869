"""Demand: what will be sold, how far that can be trusted, how it goes through the week and the year, and what to reorder."""

from shopkeeper.serving.exhibits.exhibit import Exhibit
from shopkeeper.serving.exhibits.products import CHOSEN, PLACES

FORECASTS, STOCK, PROMOTIONS = "predictions.demand_forecasts", "predictions.stock_advice", "core.promotions"
SALES, PURCHASES = "metrics.daily_sales", "core.events"
ADVICE = (
    "Reorder point: what must be in stock when an order is placed, to last until it arrives and to the next review, at the "
    "service level of the settings."
)
WEEKS_BEFORE, DAYS_BEFORE, LAGS = 26, 56, 28
_STORES = "Countries and categories keep products that were ever sold there; stores keep their own stock."

TO_ORDER = Exhibit(
    "reorder_totals",
    "Stock in figures",
    f"{ADVICE} Order value counts the units to order at their unit cost, where that is known. {_STORES}",
    """
    select count(*) as n_items, count(on_hand) as n_with_stock, count(*) filter (reorder_now) as n_to_reorder,
        count(*) filter (on_hand <= 0 and daily_demand > 0) as n_out_of_stock,
        count(*) filter (days_of_stock_left < 7 and on_hand > 0) as n_less_than_a_week,
        sum(order_quantity) filter (reorder_now) as units_to_order, sum(order_quantity) as units_of_a_period,
        sum(order_quantity * cast(p.unit_cost as double)) filter (reorder_now) as order_value, max(service_level) as service_level
    from (select * from predictions.stock_advice where {product_fits} and {store_fits}) as a
    left join core.products as p on p.product_id = a.product_id
    """,
    "n_items:count n_with_stock:count n_to_reorder:count n_out_of_stock:count n_less_than_a_week:count units_to_order:count "
    "units_of_a_period:count order_value:money service_level:share",
    (STOCK,),
    PLACES,
    headings={
        "n_to_reorder": "To reorder now",
        "n_out_of_stock": "Out of stock",
        "n_less_than_a_week": "Less than a week left",
        "units_to_order": "Units to order",
        "order_value": "Order value",
        "n_items": "Products",
        "units_of_a_period": "Units a review period sells",
    },
)

REORDER = Exhibit(
    "reorder_list",
    "What to reorder",
    f"What is at or below its reorder point first, then what lasts least. {ADVICE} Where nobody tells what is in "
    f"stock, the order is "
    f"what a review period sells. {_STORES}",
    """
    select a.product_id, coalesce(p.description, a.product_id) as description, a.store_id, a.reorder_now, a.order_quantity,
        a.on_hand, a.days_of_stock_left, a.daily_demand, a.reorder_point, a.order_up_to, a.lead_time_demand,
        a.order_quantity * cast(p.unit_cost as double) as order_value, a.service_level, a.model
    from predictions.stock_advice as a
    left join core.products as p on p.product_id = a.product_id
    where a.product_id in (select product_id from predictions.stock_advice where {product_fits}) and {store_fits}
        and (a.order_quantity > 0 or a.reorder_now or a.on_hand is not null)
    order by a.reorder_now desc nulls last, a.days_of_stock_left nulls last, a.daily_demand desc, a.product_id, a.store_id
    """,
    "product_id:product description:text store_id:store reorder_now:flag order_quantity:count on_hand:count "
    "days_of_stock_left:days daily_demand:number reorder_point:count order_up_to:count lead_time_demand:number "
    "order_value:money service_level:share model:text",
    (STOCK,),
    PLACES,
    headings={
        "product_id": "Code",
        "description": "Product",
        "store_id": "Store",
        "reorder_now": "Reorder now",
        "order_quantity": "Order",
        "on_hand": "On hand",
        "days_of_stock_left": "Days left",
        "daily_demand": "Units a day",
        "lead_time_demand": "Sold until it arrives",
        "order_value": "At cost",
        "model": "Method",
    },
)

SERIES = Exhibit(
    "forecast_series",
    "What is forecast",
    "The series of a level that have a forecast, those that sell most first; at most 2,000.",
    """
    select f.series, coalesce(p.description, f.series) as name, sum(f.units) as units
    from predictions.demand_forecasts as f
    left join core.products as p on p.product_id = f.series and f.level = 'product'
    where f.level = {level} and f.frequency = 'weekly'
    group by all
    order by units desc, f.series
    limit 2000
    """,
    "series:text name:text units:count",
    (FORECASTS,),
    (),
)

AHEAD = Exhibit(
    "forecast_totals",
    "The weeks ahead in figures",
    "Units expected in the weeks ahead, the method that forecasts them, and what planned promotions add on the mean week.",
    """
    select count(*) as n_weeks, sum(units) as units, min(day) as first_day, max(day) + 6 as last_day, max(model) as model,
        avg(lift) - 1 as mean_lift
    from predictions.demand_forecasts
    where level = {level} and series = {series} and frequency = 'weekly'
    """,
    "n_weeks:count units:count first_day:date last_day:date model:text mean_lift:change",
    (FORECASTS,),
    (),
)

_UNITS = {
    "total": "true",
    "country": "coalesce(country, 'unknown') = {series}",
    "store": "coalesce(store_id, 'unknown') = {series}",
    "category": "coalesce(category, 'unknown') = {series}",
    "product": "product_id = {series}",
}

_UNITS_OF_EVENTS = {
    "total": "true",
    "category": "coalesce(category_code, 'unknown') = {series}",
    "product": "product_id = {series}",
}


def course_of(level: str, frequency: str, *, has_lines: bool) -> Exhibit:
    """Return the exhibit of a series' units sold and expected.

    ``frequency``: daily or weekly; ``has_lines``: whether sold units stand in order lines, else in purchase events.
    """
    if has_lines:
        day, units, source, of = (
            "ordered_on",
            "quantity",
            "{all_lines} as lines where line_kind = 'sale'",
            _UNITS[level],
        )
    else:
        day, units, of = "occurred_on", "coalesce(quantity, 1)", _UNITS_OF_EVENTS.get(level, "false")
        source = "core.events where event_type = 'purchase' and not is_duplicate"
    is_weekly = frequency == "weekly"
    # Weeks are counted back from the first day forecast, as they are counted on from it.
    when = "a.as_of - 7 * cast(ceil((a.as_of - s.day) / 7.0) as integer)" if is_weekly else "s.day"
    return Exhibit(
        f"forecast_{level}_{frequency}",
        "Sold, and expected",
        "Units sold, and units expected with the interval that holds them with 90 %. Days on which the shop sold nothing have "
        "no point. Sold units are as they were; the model leaves out one-off orders and days out of stock.",
        f"""
    with sold as (
        select {day} as day, sum({units}) filter ({of}) as units
        from {source}
        group by {day}
    ),
    ahead as (
        select day, units, units_low, units_high, lift, model, as_of
        from predictions.demand_forecasts
        where level = {{level}} and series = {{series}} and frequency = '{frequency}'
    ),
    asked as (select max(as_of) as as_of from ahead),
    before as (
        select cast({when} as date) as day, sum(coalesce(s.units, 0)) as sold
        from sold as s, asked as a
        where s.day < a.as_of and s.day >= a.as_of - {7 * WEEKS_BEFORE if is_weekly else DAYS_BEFORE}
            and {when} >= (select min(day) from sold where units > 0)
        group by 1
    )
    select day, sold, cast(null as double) as units, cast(null as double) as units_low, cast(null as double) as units_high,
        cast(null as double) as lift, cast(null as varchar) as model
    from before
    union all
    select day, null, units, units_low, units_high, lift, model
    from ahead
    order by day
    """,
        "day:date sold:count units:count units_low:count units_high:count lift:number model:text",
        (FORECASTS,),
        (),
        headings={"units": "Expected", "units_low": "Low", "units_high": "High", "model": "Method"},
    )


ALL_AHEAD = Exhibit(
    "forecast_list",
    "The weeks ahead, series by series",
    "Units expected in the weeks ahead; what promotions known ahead multiply them by; and the method. Parts add up to "
    "what they are "
    "parts of.",
    """
    select f.series, coalesce(p.description, f.series) as name, sum(f.units) as units, sum(f.units) / count(*) as units_per_week,
        max(f.lift) as lift, max(f.model) as model
    from predictions.demand_forecasts as f
    left join core.products as p on p.product_id = f.series and f.level = 'product'
    where f.level = {level} and f.frequency = 'weekly'
    group by all
    order by units desc, f.series
    limit 2000
    """,
    "series:text name:text units:count units_per_week:number lift:number model:text",
    (FORECASTS,),
    (),
    headings={"units": "Units in all", "units_per_week": "Units a week", "lift": "Promotions", "model": "Method"},
)

WEEKDAYS = Exhibit(
    "demand_by_weekday",
    "By weekday",
    "Units of goods sold on the mean day of each weekday, returns taken off, as a share of the mean day; over days "
    "with a sale in "
    "the period and selection.",
    """
    with told as (
        select day, isodow(day) as weekday, cast(n_units as double) as n_units
        from {days} as days
        where gross_sales > 0
    )
    select weekday, avg(n_units) as units_per_day, avg(n_units) / (select avg(n_units) from told) as of_mean_day,
        count(*) as n_days
    from told
    group by weekday
    order by weekday
    """,
    "weekday:weekday units_per_day:number of_mean_day:share n_days:count",
    (SALES,),
    ("period", *PLACES),
    headings={"units_per_day": "Units a day", "of_mean_day": "Of the mean day"},
)

MONTHS = Exhibit(
    "demand_by_month",
    "By month",
    "Units of goods sold a day in each month, returns taken off; over days with a sale in the period and selection. "
    "One year shows a "
    "season only if it comes again.",
    """
    with told as (select day, cast(n_units as double) as n_units from {days} as days where gross_sales > 0)
    select cast(date_trunc('month', day) as date) as month_start, avg(n_units) as units_per_day,
        avg(n_units) / (select avg(n_units) from told) as of_mean_day, count(*) as n_days
    from told
    group by 1
    order by 1
    """,
    "month_start:month units_per_day:number of_mean_day:share n_days:count",
    (SALES,),
    ("period", *PLACES),
    headings={"month_start": "Month", "units_per_day": "Units a day", "of_mean_day": "Of the mean day"},
)

AUTOCORRELATION = Exhibit(
    "autocorrelation",
    "How a day resembles the days before",
    f"The correlation of units sold on a day with those so many open days before, up to {LAGS}; days without a sale "
    f"are left out. "
    f"Beyond the dotted bounds it is more than chance (95 %). A peak at 6 or 7 is a weekly rhythm.",
    f"""
    with told as (
        select row_number() over (order by day) as place, cast(n_units as double) as n_units
        from {{days}} as days
        where gross_sales > 0
    ),
    whole as (select avg(n_units) as middle, var_pop(n_units) as variance, count(*) as n from told),
    lags as (select unnest(range(1, {LAGS + 1})) as lag)
    select lags.lag, sum((now.n_units - middle) * (before.n_units - middle)) / (max(n) * max(variance)) as correlation,
        1.96 / sqrt(max(n)) as bound
    from lags, whole, told as now
    inner join told as before on before.place = now.place - lags.lag
    where variance > 0
    group by lags.lag
    order by lags.lag
    """,
    "lag:count correlation:number bound:number",
    (SALES,),
    ("period", *PLACES),
    headings={"lag": "Open days before"},
)

PLANNED = Exhibit(
    "promotions_ahead",
    "Planned promotions, and their lift",
    "Promotions that end after the last day of the data. The lift is what the model expects them to multiply units by: "
    "the most of "
    f"the days that are forecast; 1 is none. {CHOSEN}",
    """
    with asked as (select max(as_of) as as_of from predictions.demand_forecasts),
    planned as (
        select p.*, asked.as_of
        from core.promotions as p, asked
        where p.is_usable and p.ends_on >= asked.as_of
    )
    select p.starts_on, p.ends_on, p.level, coalesce(g.description, p.member) as name, p.member, p.store_id, p.discount_share,
        p.unit_price, max(f.lift) as lift, sum(f.units) as units, p.promotion_id
    from planned as p
    left join core.products as g on g.product_id = p.member and p.level = 'product'
    left join predictions.demand_forecasts as f on f.frequency = 'daily' and f.day between p.starts_on and p.ends_on
        and f.level = case p.level when 'shop' then 'total' else p.level end and f.series = p.member
    group by all
    order by p.starts_on, p.promotion_id, p.member, p.store_id
    """,
    "starts_on:date ends_on:date level:text name:text member:text store_id:text discount_share:share unit_price:price "
    "lift:number "
    "units:count promotion_id:text",
    (PROMOTIONS, FORECASTS),
    (),
    headings={
        "starts_on": "From",
        "ends_on": "To",
        "level": "For a",
        "name": "What",
        "member": "Code",
        "store_id": "Store",
        "discount_share": "Off",
        "unit_price": "Price",
        "units": "Units expected then",
        "promotion_id": "Promotion",
    },
)

PAST = Exhibit(
    "past_promotions",
    "Earlier promotions",
    "Promotions that have ended, of single products: units a day while they lasted against the 28 days before, plainly counted.",
    """
    with asked as (select max(ordered_on) as last_day from core.orders),
    ended as (
        select p.*
        from core.promotions as p, asked
        where p.is_usable and p.level = 'product' and p.ends_on <= asked.last_day and p.ends_on between {first_day} and {last_day}
    ),
    told as (
        select p.promotion_id, p.member, p.store_id, p.starts_on, p.ends_on, p.discount_share, p.unit_price,
            coalesce(sum(l.quantity) filter (l.ordered_on >= p.starts_on), 0) as sold_then,
            coalesce(sum(l.quantity) filter (l.ordered_on < p.starts_on), 0) as sold_before
        from ended as p
        left join {all_lines} as l on l.product_id = p.member and l.line_kind = 'sale'
            and l.ordered_on between p.starts_on - 28 and p.ends_on and (p.store_id = 'all' or l.store_id = p.store_id)
        group by p.promotion_id, p.member, p.store_id, p.starts_on, p.ends_on, p.discount_share, p.unit_price
    ),
    daily as (
        select *, cast(sold_then as double) / (ends_on - starts_on + 1) as units_then,
            cast(sold_before as double) / 28 as units_before
        from told
    )
    select t.starts_on, t.ends_on, t.member, coalesce(g.description, t.member) as name, t.store_id, t.discount_share,
        t.unit_price,
        t.units_before, t.units_then, t.units_then / nullif(t.units_before, 0) as lift
    from daily as t
    left join core.products as g on g.product_id = t.member
    order by t.starts_on desc, t.member, t.store_id
    """,
    "starts_on:date ends_on:date member:product name:text store_id:text discount_share:share unit_price:price "
    "units_before:number "
    "units_then:number lift:number",
    (PROMOTIONS, "core.order_lines"),
    ("period",),
    headings={
        "starts_on": "From",
        "ends_on": "To",
        "member": "Code",
        "name": "Product",
        "store_id": "Store",
        "discount_share": "Off",
        "unit_price": "Price",
        "units_before": "Units a day before",
        "units_then": "Units a day then",
        "lift": "Times",
    },
)

BACKTEST = Exhibit(
    "backtest",
    "Forecasts made before, against what was sold",
    "Units of the whole shop on days that the model had not seen, forecast from several moments before them, with the "
    "interval that "
    "was to hold them with 90 %; and what the seasonal naive forecast (the same day a week before) said.",
    "",
    "day:date actual:count units:count low:count high:count naive:count",
    (),
    (),
    headings={"actual": "Sold", "units": "Forecast", "naive": "A week before"},
)

JUDGED = Exhibit(
    "demand_candidates",
    "How good the forecasts are",
    "On days that no model had seen. WRMSSE: the error against that of the seasonal naive forecast on past data, "
    "weighted by sales, "
    "over all levels; below 1 is better. WAPE and MAPE: the error as a share of sold units. Coverage: how often the "
    "interval held, "
    "which should be 0.9. With 95 % intervals.",
    "",
    "candidate:text is_chosen:flag is_baseline:flag figure:text value:number low:number high:number",
    (),
    (),
    headings={"is_chosen": "Serves", "is_baseline": "Baseline"},
)

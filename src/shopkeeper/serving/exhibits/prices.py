"""Prices: how buyers answer to them, which to change, and what earlier changes did."""

from dataclasses import replace

from shopkeeper.serving.exhibits.exhibit import Exhibit
from shopkeeper.serving.exhibits.products import CHOSEN, PLACES

ADVISED, ELASTIC, CHANGED = "predictions.price_advice", "predictions.price_elasticities", "predictions.price_changes"
DAYS = 30
LEAST_DAYS = 7
GAIN = (
    "Gain is what the advised price is expected to bring more than the price now, in 30 days: profit where the unit cost is "
    "known, else revenue. It is sure where it is above nought over the whole 95 % interval of the elasticity."
)
_ADVICE = f"""
    advised as (
        select *, {DAYS} * coalesce(profit_per_day * profit_change, revenue_per_day * revenue_change) as gain,
            {DAYS} * coalesce(profit_per_day * profit_change_low, revenue_per_day * revenue_change_low) as gain_low,
            {DAYS} * coalesce(profit_per_day * profit_change_high, revenue_per_day * revenue_change_high) as gain_high
        from predictions.price_advice
        where currency = {{currency}} and {{product_fits}}
    )"""

TOTALS = Exhibit(
    "price_advice_totals",
    "Prices in figures",
    f"{GAIN} A product may have several prices, one for each channel. {CHOSEN}",
    f"""
    with {_ADVICE}
    select count(*) filter (action in ('raise', 'lower') and is_sure) as n_sure,
        count(*) filter (action = 'raise' and is_sure) as n_to_raise, count(*) filter (action = 'lower'
        and is_sure) as n_to_lower,
        sum(gain) filter (action in ('raise', 'lower') and is_sure) as gain_of_sure,
        count(*) filter (action in ('raise', 'lower') and not is_sure) as n_perhaps,
        sum(gain) filter (action in ('raise', 'lower') and not is_sure) as gain_of_perhaps,
        count(*) filter (action = 'keep') as n_to_keep, count(*) filter (action = 'none') as n_unknown, count(*) as n_prices
    from advised
    """,
    "n_sure:count n_to_raise:count n_to_lower:count gain_of_sure:money n_perhaps:count gain_of_perhaps:money n_to_keep:count "
    "n_unknown:count n_prices:count",
    (ADVISED,),
    PLACES,
    headings={
        "n_sure": "Prices to change",
        "gain_of_sure": "Gain in 30 days",
        "n_perhaps": "Perhaps to change",
        "n_to_keep": "Prices to keep",
        "n_unknown": "Without advice",
    },
)

TO_CHANGE = Exhibit(
    "prices_to_change",
    "Which prices to change",
    f"Prices to raise or to lower, the sure ones first, by gain. {GAIN} {CHOSEN}",
    f"""
    with {_ADVICE}
    select a.product_id, coalesce(p.description, a.product_id) as description, a.action, a.price, a.advised_price,
        a.advised_price / nullif(a.price, 0) - 1 as price_change, a.gain, a.gain_low, a.gain_high, a.is_sure, a.units_change,
        a.units_per_day, e.elasticity, e.elasticity_low, e.elasticity_high, a.reason, a.objective, a.unit_cost, a.channel
    from advised as a
    left join core.products as p on p.product_id = a.product_id
    left join predictions.price_elasticities as e
        on e.product_id = a.product_id and e.channel = a.channel and e.currency = a.currency
    where a.action in ('raise', 'lower')
    order by a.is_sure desc, a.gain desc nulls last, a.product_id, a.channel
    """,
    "product_id:product description:text action:text price:price advised_price:price price_change:change gain:gain gain_low:gain "
    "gain_high:gain is_sure:flag units_change:change units_per_day:number elasticity:number elasticity_low:number "
    "elasticity_high:number reason:text objective:text unit_cost:price channel:text",
    (ADVISED,),
    PLACES,
    headings={
        "product_id": "Code",
        "description": "Product",
        "action": "Advice",
        "price": "Price now",
        "advised_price": "Advised",
        "price_change": "Change",
        "gain": "Gain in 30 days",
        "gain_low": "Gain, low",
        "gain_high": "Gain, high",
        "is_sure": "Sure",
        "units_change": "Units then",
        "units_per_day": "Units a day",
        "reason": "What holds it",
        "objective": "Judged by",
        "channel": "Price list",
    },
)

TO_CHANGE_FOR_SURE = replace(
    TO_CHANGE,
    name="prices_to_change_for_sure",
    title="Which prices to change for sure",
    sql=TO_CHANGE.sql.replace(
        "where a.action in ('raise', 'lower')", "where a.action in ('raise', 'lower') and a.is_sure"
    ),
)

ELASTICITIES = Exhibit(
    "elasticities",
    "How buyers answer to the price",
    f"Elasticity: by how many per cent units change if the price rises by one per cent; below -1 a lower price brings "
    f"more revenue. "
    f"The line is the 95 % interval. Measured: from the product's own weeks above all; pooled: drawn to products like it. Those "
    f"that sell most stand first. {CHOSEN}",
    """
    select e.product_id, coalesce(p.description, e.product_id) as description, e.channel, e.status, e.elasticity,
        e.elasticity_low, e.elasticity_high, e.own_share, e.price_group, e.n_prices, e.lowest_price, e.highest_price, e.n_units,
        a.revenue_per_day, e.reason
    from predictions.price_elasticities as e
    left join core.products as p on p.product_id = e.product_id
    left join predictions.price_advice as a on a.product_id = e.product_id and a.channel = e.channel and a.currency = e.currency
    where e.currency = {currency} and e.elasticity is not null and e.status in ('measured', 'pooled')
        and e.product_id in (select product_id from predictions.price_elasticities where {product_fits})
    order by e.status <> 'measured', a.revenue_per_day desc nulls last, e.product_id, e.channel
    """,
    "product_id:product description:text channel:text status:text elasticity:number elasticity_low:number elasticity_high:number "
    "own_share:share price_group:text n_prices:count lowest_price:price highest_price:price n_units:count revenue_per_day:money "
    "reason:text",
    (ELASTIC,),
    PLACES,
    headings={
        "product_id": "Code",
        "description": "Product",
        "elasticity_low": "Low",
        "elasticity_high": "High",
        "own_share": "Its own share",
        "channel": "Price list",
    },
)

CHANGES = Exhibit(
    "price_changes",
    "Price changes, and what they did",
    f"Units a day before and after each change of a posted price, of up to 28 days of one price, plainly counted: seasons and "
    f"promotions are in them, so a single change proves little. {CHOSEN}",
    """
    select c.changed_on, c.product_id, coalesce(p.description, c.product_id) as description, c.old_price, c.new_price,
        c.new_price / nullif(c.old_price, 0) - 1 as price_change, c.units_before, c.units_after,
        c.units_after / nullif(c.units_before, 0) - 1 as units_change,
        c.units_after * c.new_price - c.units_before * c.old_price as revenue_a_day,
        c.units_after_high < c.units_before_low or c.units_after_low > c.units_before_high as is_beyond_chance, c.is_promotion,
        c.days_before, c.days_after, c.channel
    from predictions.price_changes as c
    left join core.products as p on p.product_id = c.product_id
    where c.currency = {currency} and c.changed_on between {first_day} and {last_day}
        and c.product_id in (select product_id from predictions.price_changes where {product_fits})
    order by c.changed_on desc, c.product_id, c.channel
    """,
    "changed_on:date product_id:product description:text old_price:price new_price:price price_change:change units_before:number "
    "units_after:number units_change:change revenue_a_day:gain is_beyond_chance:flag is_promotion:flag days_before:count "
    "days_after:count channel:text",
    (CHANGED,),
    ("period", *PLACES),
    headings={
        "changed_on": "Changed on",
        "product_id": "Code",
        "description": "Product",
        "price_change": "Price",
        "units_before": "Units a day before",
        "units_after": "Units a day after",
        "units_change": "Units",
        "revenue_a_day": "Revenue a day",
        "is_beyond_chance": "Beyond chance",
        "is_promotion": "Promotion",
        "channel": "Price list",
    },
)

ANSWERS = Exhibit(
    "answers_to_prices",
    "How units answered to price changes",
    f"Of price changes with at least {LEAST_DAYS} days on either side and units sold on both: how much the price and "
    f"the units a day "
    f"changed. At most 500, those that sold most. {CHOSEN}",
    f"""
    select c.product_id, coalesce(p.description, c.product_id) as description, c.changed_on,
        c.new_price / c.old_price - 1 as price_change, c.units_after / c.units_before - 1 as units_change, c.units_before,
        c.units_after, c.is_promotion
    from predictions.price_changes as c
    left join core.products as p on p.product_id = c.product_id
    where c.currency = {{currency}} and c.changed_on between {{first_day}} and {{last_day}} and c.days_before >= {LEAST_DAYS}
        and c.days_after >= {LEAST_DAYS} and c.units_before > 0 and c.units_after > 0 and c.old_price > 0 and c.new_price > 0
        and c.product_id in (select product_id from predictions.price_changes where {{product_fits}})
    order by c.units_before + c.units_after desc, c.product_id, c.changed_on
    limit 500
    """,
    "product_id:product description:text changed_on:date price_change:change units_change:change units_before:number "
    "units_after:number is_promotion:flag",
    (CHANGED,),
    ("period", *PLACES),
)

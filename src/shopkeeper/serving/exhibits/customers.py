"""Who the customers are: what they are worth and why, who is about to leave, how they score by recency, frequency and money."""

from shopkeeper.engine import literal
from shopkeeper.models.rfm import RULES
from shopkeeper.serving.exhibits.exhibit import Exhibit

PLACES = ("country", "store", "category")
CHOSEN = "Countries, stores and categories chosen in the sidebar keep who ever bought there."
VALUES, CHURN = "predictions.customer_lifetime_values", "predictions.churn_scores"
SEGMENTS, FEATURES = "predictions.customer_segments", "features.customer_features"
MOST, BEST_FEW = 5000, 500
_RULES = "\n        ".join(f"when {literal(name)} then {literal(words)}" for name, _, words in RULES)

WORTH = Exhibit(
    "customer_worth",
    "What customers are worth",
    f"Lifetime value is the money that a customer is expected to bring within the horizon. The best tenth are the tenth of the "
    f"customers with most of it. {CHOSEN}",
    """
    with valued as (
        select lifetime_value, horizon_days, ntile(10) over (order by lifetime_value desc, customer_id) as tenth
        from predictions.customer_lifetime_values
        where {customer_fits}
    )
    select count(*) as n_customers, sum(lifetime_value) as lifetime_value, max(horizon_days) as horizon_days,
        count(*) filter (tenth = 1) as n_best, sum(lifetime_value) filter (tenth = 1) as value_of_best,
        sum(lifetime_value) filter (tenth = 1) / nullif(sum(lifetime_value), 0) as share_of_best
    from valued
    """,
    "n_customers:count lifetime_value:money horizon_days:days n_best:count value_of_best:money share_of_best:share",
    (VALUES,),
    PLACES,
    headings={"share_of_best": "Best tenth's share", "value_of_best": "Value of the best tenth"},
)

BEST = Exhibit(
    "best_customers",
    "The best customers, and why",
    f"Customers by lifetime value: days with an order expected within the horizon, times what one brings. 90 % of such "
    f"customers will bring between low and high. Beside it stand the rule that puts them into their segment and what speaks "
    f"most for staying or leaving. The first {BEST_FEW} are listed. {CHOSEN}",
    f"""
    with best as (
        select *
        from predictions.customer_lifetime_values
        where {{customer_fits}}
        order by lifetime_value desc, customer_id
        limit {BEST_FEW}
    )
    select row_number() over (order by best.lifetime_value desc, best.customer_id) as place, best.customer_id,
        best.lifetime_value, round(best.expected_order_days, 1) as expected_order_days,
        best.lifetime_value / nullif(best.expected_order_days, 0) as value_per_order_day, ch.reasons, c.segment_name,
        s.rule_words, ch.churn_probability, best.value_low, best.value_high, f.net_sales, f.n_orders, f.days_since_last_order,
        f.country
    from best
    left join features.customer_features as f on f.customer_id = best.customer_id
    left join predictions.customer_segments as c on c.customer_id = best.customer_id
    left join predictions.segments as s on s.segment = c.segment and s.as_of = c.as_of
    left join predictions.churn_scores as ch on ch.customer_id = best.customer_id
    order by place
    """,
    "place:count customer_id:customer lifetime_value:money expected_order_days:number value_per_order_day:money reasons:text "
    "segment_name:text rule_words:text churn_probability:share value_low:money value_high:money net_sales:money n_orders:count "
    "days_since_last_order:days country:text",
    (VALUES,),
    PLACES,
    headings={
        "customer_id": "Customer",
        "place": "#",
        "value_low": "Value, low",
        "value_high": "Value, high",
        "expected_order_days": "Orders expected",
        "value_per_order_day": "Worth each",
        "net_sales": "Net sales so far",
        "n_orders": "Orders so far",
        "days_since_last_order": "Days since last",
        "segment_name": "Segment",
        "rule_words": "Why in this segment",
        "churn_probability": "Chance to leave",
        "reasons": "What speaks most",
    },
)

LEAVING = Exhibit(
    "churn_totals",
    "Who may leave",
    f"Leaving is no order within the horizon. Likely to leave are customers with a chance of one half or more; value at risk is "
    f"lifetime value times that chance, summed. {CHOSEN}",
    """
    select count(*) as n_customers, count(*) filter (churn_probability >= 0.5) as n_likely_to_leave,
        avg(churn_probability) as mean_churn_probability, sum(value_at_risk) as value_at_risk, max(horizon_days) as horizon_days,
        sum(value_at_risk) filter (churn_probability >= 0.5) as value_at_risk_of_likely
    from predictions.churn_scores
    where {customer_fits}
    """,
    "n_customers:count n_likely_to_leave:count mean_churn_probability:share value_at_risk:money horizon_days:days "
    "value_at_risk_of_likely:money",
    (CHURN,),
    PLACES,
    headings={"n_likely_to_leave": "Likely to leave", "mean_churn_probability": "Mean chance to leave"},
)

BY_CHANCE = Exhibit(
    "customers_by_churn",
    "Customers by their chance to leave",
    f"How many customers have which chance of no order within the horizon, and the lifetime value that is at risk with them. "
    f"{CHOSEN}",
    """
    with tenths as (
        select cast(least(floor(churn_probability * 10), 9) as integer) as tenth, value_at_risk
        from predictions.churn_scores
        where {customer_fits}
    )
    select 10 * tenth || ' to ' || (10 * tenth + 10) || ' %' as chance, count(*) as n_customers,
        sum(value_at_risk) as value_at_risk
    from tenths
    group by tenth
    order by tenth
    """,
    "chance:text n_customers:count value_at_risk:money",
    (CHURN,),
    PLACES,
    headings={"chance": "Chance to leave"},
)

AT_RISK = Exhibit(
    "customers_at_risk",
    "About to leave, by what is at stake",
    f"Customers by value at risk: lifetime value times the chance of no order within the horizon. The next order is expected by "
    f"the day on which one is as likely as not. At most {MOST:,} are listed. {CHOSEN}",
    f"""
    select ch.customer_id, ch.value_at_risk, ch.churn_probability, ch.probability_low, ch.probability_high, v.lifetime_value,
        ch.expected_next_order_on, ch.reasons, c.segment_name, f.days_since_last_order, f.n_orders, f.net_sales
    from predictions.churn_scores as ch
    left join predictions.customer_lifetime_values as v on v.customer_id = ch.customer_id
    left join features.customer_features as f on f.customer_id = ch.customer_id
    left join predictions.customer_segments as c on c.customer_id = ch.customer_id
    where ch.customer_id in (select customer_id from predictions.churn_scores where {{customer_fits}})
        and ch.churn_probability >= {{least}}
    order by ch.value_at_risk desc nulls last, ch.churn_probability desc, ch.customer_id
    limit {MOST}
    """,
    "customer_id:customer value_at_risk:money churn_probability:share probability_low:share probability_high:share "
    "lifetime_value:money expected_next_order_on:date reasons:text segment_name:text days_since_last_order:days n_orders:count "
    "net_sales:money",
    (CHURN,),
    PLACES,
    headings={
        "customer_id": "Customer",
        "churn_probability": "Chance to leave",
        "probability_low": "Low",
        "probability_high": "High",
        "expected_next_order_on": "Next order by",
        "reasons": "Why",
        "segment_name": "Segment",
        "days_since_last_order": "Days since last",
        "n_orders": "Orders so far",
        "net_sales": "Net sales so far",
    },
)

RFM_GRID = Exhibit(
    "rfm_grid",
    "Customers by recency and frequency",
    f"Each customer scores 1 to 5 for recency (5: ordered last), for frequency (5: most orders) and for money, a fifth of the "
    f"customers in each where they can be told apart. {CHOSEN}",
    """
    with scored as (select * from predictions.customer_segments where {customer_fits})
    select c.r_score, c.f_score, count(*) as n_customers, sum(f.net_sales) as net_sales,
        sum(f.net_sales) / count(*) as net_sales_per_customer, median(f.days_since_last_order) as median_days_since_last_order,
        median(f.n_orders) as median_n_orders
    from scored as c
    inner join features.customer_features as f on f.customer_id = c.customer_id
    where c.r_score is not null
    group by all
    order by c.r_score desc, c.f_score
    """,
    "r_score:count f_score:count n_customers:count net_sales:money net_sales_per_customer:money "
    "median_days_since_last_order:days median_n_orders:number",
    (SEGMENTS, FEATURES),
    PLACES,
    headings={"r_score": "Recency", "f_score": "Frequency"},
)

RFM_GROUPS = Exhibit(
    "rfm_groups",
    "Named groups",
    f"Customers by their scores of recency (R), frequency (F) and money (M); V is the mean of F and M. {CHOSEN}",
    f"""
    with scored as (select * from predictions.customer_segments where {{customer_fits}})
    select c.rfm_group,
        case c.rfm_group
        {_RULES}
        end as rule,
        count(*) as n_customers, count(*) / sum(count(*)) over () as share, sum(f.net_sales) as net_sales,
        cast(sum(f.net_sales) as double) / nullif(cast(sum(sum(f.net_sales)) over () as double), 0) as share_of_sales,
        median(f.days_since_last_order) as median_days_since_last_order, median(f.n_orders) as median_n_orders,
        sum(v.lifetime_value) as lifetime_value, avg(ch.churn_probability) as mean_churn_probability
    from scored as c
    inner join features.customer_features as f on f.customer_id = c.customer_id
    left join predictions.customer_lifetime_values as v on v.customer_id = c.customer_id
    left join predictions.churn_scores as ch on ch.customer_id = c.customer_id
    group by c.rfm_group
    order by net_sales desc, c.rfm_group
    """,
    "rfm_group:text rule:text n_customers:count share:share net_sales:money share_of_sales:share "
    "median_days_since_last_order:days median_n_orders:number lifetime_value:money mean_churn_probability:share",
    (SEGMENTS, FEATURES),
    PLACES,
    headings={
        "rfm_group": "Group",
        "share": "Of customers",
        "share_of_sales": "Of net sales",
        "median_days_since_last_order": "Days since last (median)",
        "median_n_orders": "Orders (median)",
        "mean_churn_probability": "Chance to leave (mean)",
    },
)

COHORTS = Exhibit(
    "cohort_retention",
    "Who came back",
    "Customers by the month of their first order with a sale: how many of them ordered again so many months later, and what they "
    "brought then. Cohorts that began in the chosen period are shown; guests belong to none. The last month may not be whole.",
    """
    select c.cohort_month, c.months_since, c.month_start, c.n_customers, c.n_active, c.retention, c.net_sales,
        c.month_start in (select month_start from metrics.monthly_sales where dimension = 'all' and is_complete) as is_whole
    from metrics.cohort_retention as c
    where c.cohort_month between date_trunc('month', {first_day}) and {last_day}
    order by c.cohort_month, c.months_since
    """,
    "cohort_month:month months_since:count month_start:month n_customers:count n_active:count retention:share net_sales:money "
    "is_whole:flag",
    ("metrics.cohort_retention",),
    ("period",),
    headings={"cohort_month": "First order in", "n_active": "Came back", "is_whole": "Whole month"},
)

RETURNING = Exhibit(
    "retention_by_age",
    "Share who order again, by months since the first order",
    "Over all cohorts of the period that are old enough, weighted by their customers; months that the data do not cover whole "
    "are left out.",
    """
    select c.months_since, cast(sum(c.n_customers) as bigint) as n_customers, cast(sum(c.n_active) as bigint) as n_active,
        sum(c.n_active) / sum(c.n_customers) as retention, count(*) as n_cohorts
    from metrics.cohort_retention as c
    where c.months_since > 0 and c.cohort_month between date_trunc('month', {first_day}) and {last_day}
        and c.month_start in (select month_start from metrics.monthly_sales where dimension = 'all' and is_complete)
    group by c.months_since
    order by c.months_since
    """,
    "months_since:count n_customers:count n_active:count retention:share n_cohorts:count",
    ("metrics.cohort_retention",),
    ("period",),
)

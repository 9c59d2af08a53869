"""How fast frequent itemsets are found, against mlxtend's fpgrowth in the same process, equal sets asserted.

The baskets are those of the published recipe on Online Retail (15,660, of 3,565 products), and simulated ones of the shape
of the `retail` set of FIMI (88,162 baskets of 16,470 products, 10 each), with one basket of 1,000 products among them.
"""

import math
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from shopkeeper.models.basket_completion import PairRules
from shopkeeper.models.basket_log import listed
from shopkeeper.models.itemsets import Baskets, frequent_itemsets

RECIPE = """
with sheet as (
    select InvoiceNo as basket, upper(trim(StockCode)) as code, Description as description, CustomerID as customer,
        Quantity::bigint as quantity, UnitPrice::double as price
    from read_csv('{path}', all_varchar = true)
),
fenced as (select * from sheet where not (quantity < 0 and price = 0) and quantity > -12.5 and quantity < 23.5),
usual as (select avg(price) as mean, stddev_samp(price) as sd from fenced),
goods as (
    select fenced.* from fenced, usual where abs(price - mean) < 3 * sd and customer is not null
        and quantity * price >= 0 and code not in ('DOT', 'POST', 'M', 'BANK CHARGES', 'D', 'CRUK', 'B', 'S')
),
counted as (select code, description, count(*) as n from sheet where description is not null group by all),
named as (select code, trim(arg_max(description, n)) as item from counted group by code),
items as (select distinct basket, item from goods join named using (code)),
kept as (select * from items qualify count(*) over (partition by basket) > 1)
select dense_rank() over (order by basket) - 1 as basket, dense_rank() over (order by item) - 1 as number, item from kept
"""


def recipe_baskets(packed: Path) -> tuple[Baskets, list[str]]:
    """Return the published recipe's baskets of Online Retail, from the zipped CSV file, and the items' names."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(packed) as file:
        path = Path(folder) / "lines.csv"
        path.write_bytes(file.read("data.csv").decode("latin-1").encode())
        found = duckdb.sql(RECIPE.format(path=path)).to_arrow_table()
    names = dict(zip(found["number"].to_pylist(), found["item"].to_pylist(), strict=True))
    return Baskets.of(found["basket"].to_numpy(), found["number"].to_numpy()), [names[n] for n in sorted(names)]


def wide_baskets(n_baskets: int = 88_162, n_items: int = 16_470, seed: int = 1) -> Baskets:
    """Return baskets of about ten of many products, some far more popular than others, and one of 1,000 products."""
    rng = np.random.default_rng(seed)
    size = rng.geometric(1 / 10.3, n_baskets)
    weight = 1 / np.arange(1, n_items + 1)
    item = rng.choice(n_items, int(size.sum()), p=weight / weight.sum())
    basket = np.append(np.repeat(np.arange(n_baskets), size), np.full(1000, n_baskets))
    return Baskets.of(basket, np.append(item, np.arange(1000)), n_items=n_items)


def _best(run, times: int = 5) -> float:
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def measured(packed: Path) -> Iterator[tuple[str, float, str, float, str]]:
    """Yield what was measured, our seconds, the peer, its seconds, and the target."""
    import pandas as pd
    from mlxtend.frequent_patterns import fpgrowth

    if packed.exists():
        baskets, _ = recipe_baskets(packed)
        least = math.ceil(0.005 * baskets.n_baskets)
        flags = np.zeros((baskets.n_baskets, baskets.n_items), bool)
        flags[baskets.basket, baskets.item] = True
        frame = pd.DataFrame(flags)
        ours = _best(lambda: frequent_itemsets(baskets, least))
        theirs = _best(lambda: fpgrowth(frame, min_support=0.005), times=2)
        wanted = {tuple(sorted(items)) for items in fpgrowth(frame, min_support=0.005)["itemsets"]}
        found = {tuple(row) for rows in frequent_itemsets(baskets, least).sets for row in rows.tolist()}
        assert found == wanted, (len(found), len(wanted))
        what = f"{len(found):,} itemsets of {baskets.n_baskets:,} baskets at support .005"
        yield what, ours, "mlxtend's fpgrowth", theirs, "≤ .05 ×"
    else:
        print(f"baskets: the recipe is skipped, there is no {packed}", file=sys.stderr)
    wide = wide_baskets()
    seconds = _best(lambda: frequent_itemsets(wide, math.ceil(0.001 * wide.n_baskets)), times=3)
    yield f"{wide.n_baskets:,} baskets of {wide.n_items:,} products at support .001", seconds, "", 0.0, "≤ 10 s"
    products = pa.array([f"p{item:05}" for item in range(wide.n_items)])
    rows = pa.table({"products": listed(wide, products)})
    model = PairRules().fit(rows)
    one = rows.slice(17, 1)
    seconds = _best(lambda: [model.score(one) for _ in range(100)])
    yield "what else belongs to one basket, a hundred times, in process", seconds, "", 0.0, "≤ .5 s"

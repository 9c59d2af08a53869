"""Writes into docs/models.md how near the models come to the truth of simulated shops: `make truth`. Takes two minutes."""

import importlib.util
import math
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "models.md"
sys.path.insert(0, str(ROOT / "benchmarks"))
PARTS = ("truth", "truth_of_labels", "truth_of_baskets", "truth_of_bundles", "truth_of_demand", "truth_of_prices")
BLOCK = re.compile(r"(<!-- truth -->\n).*?(<!-- /truth -->)", re.DOTALL)


def _module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def render() -> str:
    """Return the table: what is measured, ours, the truth's own, the baseline's."""
    customers, labels, baskets, lists, demand, prices = map(_module, PARTS)
    told = [*customers.churn_truth(), *customers.lifetime_truth()]
    told += [(f"labels: {measure}", *values) for measure, *values in labels.labels_truth()]
    told += baskets.baskets_truth() + lists.bundles_truth()
    told += [(f"demand: {measure}", *values) for measure, *values in demand.demand_truth()]
    told += prices.prices_truth()
    lines = ["| measure | ours | truth's own | baseline |", "|---|---|---|---|"]
    for measure, *values in told:
        lines.append(f"| {measure} | {' | '.join('·' if math.isnan(value) else f'{value:.4g}' for value in values)} |")
    wholesaler = f"{customers.CUSTOMERS:,} customers and {customers.DAYS} days, seed {customers.SEED}"
    labelled = f"{labels.CUSTOMERS:,} customers and {labels.DAYS} days, seed {labels.SEED}"
    chain = f"{demand.CUSTOMERS:,} customers and {demand.DAYS} days, seed {demand.SEED}"
    told_of = (
        f"Churn, lifetime and bundles: `uci_online_retail`, {wholesaler}. Labels: `client_and_sales`, {labelled}. "
    )
    lines += ["", told_of + f"Demand: `us_retail`, {chain}."]
    shops = "; ".join(
        f"`{preset}`, {n:,} customers and {days} days, seed {seed}" for preset, n, days, seed in prices.SHOPS
    )
    lines.append(f"Elasticities, with the files' dirt: {shops}; the baseline is one elasticity for all products.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    table = render()
    PAGE.write_text(BLOCK.sub(lambda found: found[1] + table + found[2], PAGE.read_text("utf-8")), "utf-8")

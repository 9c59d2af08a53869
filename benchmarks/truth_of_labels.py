"""How near label scores come to the simulated shop's own truth.

    python benchmarks/truth_of_labels.py [--customers N] [--days N] [--seed N]

*Truth's own* score is the probability that the simulator drew each label from: no score can be expected to order the
held-out customers better. The baseline is the share of positives.
"""

import argparse
import sys

from simulated import built

from shopkeeper.evaluation import METRICS, coverage
from shopkeeper.models.labelled_rows import labelled_rows
from shopkeeper.models.labels import Labels, split_of
from shopkeeper.simulator import simulate

CUSTOMERS, DAYS, SEED = 8000, 120, 11
Row = tuple[str, float, float, float]
"""A measure, ours, truth's own, the baseline's."""


def labels_truth(customers: int = CUSTOMERS, days: int = DAYS, seed: int = SEED) -> list[Row]:
    """Return metrics on the held-out customers: ours, those of the true probability, the prior's; and the coverage."""
    shop = simulate("client_and_sales", customers=customers, days=days, seed=seed)
    with built(shop, dirt=True) as history:
        trained = Labels().train(history, tell=lambda *_: None)
        held_out = split_of(labelled_rows(history)[0], 0).held_out
    known = shop.truth()["labels"]
    chance = dict(zip(map(str, known["customer_id"].to_pylist()), known["label_probability"].to_pylist(), strict=True))
    true = [chance[one] for one in held_out["customer_id"].to_pylist()]
    label, ours = held_out["label"].to_numpy(), trained.evaluated.score(held_out)
    prior = next(one for one in trained.report.candidates if one.is_baseline)
    rows = [
        (
            name,
            METRICS[name].compute(label, ours["score"]),
            METRICS[name].compute(label, true),
            prior.figures[name].value,
        )
        for name in ("roc_auc", "pr_auc", "brier", "log_loss", "calibration_error")
    ]
    within = coverage(ours["score_low"], ours["score_high"], true).value
    return [*rows, ("true probability within the 95 % interval", within, 1.0, float("nan"))]


def main() -> None:
    """Print the comparison as a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("customers", CUSTOMERS), ("days", DAYS), ("seed", SEED)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    sys.stdout.write("| measure | ours | truth's own | prior |\n|---|---|---|---|\n")
    for measure, *figures in labels_truth(asked.customers, asked.days, asked.seed):
        sys.stdout.write(f"| {measure} | {' | '.join(f'{figure:.4f}' for figure in figures)} |\n")


if __name__ == "__main__":
    main()

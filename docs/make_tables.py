"""Writes docs/tables.md from the YAML beside the warehouse's models, and from what the subjects declare: `make docs`."""

from pathlib import Path

import yaml

from shopkeeper.assembly import SUBJECT_CLASSES
from shopkeeper.models.model import PredictionTable
from shopkeeper.vocabulary import PREDICTIONS, PUBLISHED_SCHEMAS, SUBJECTS
from shopkeeper.warehouse import PROJECT

PAGE = Path(__file__).parent / "tables.md"
HEAD = """\
# Tables

Every table of a published version. Written by `make docs` from the YAML beside the SQL, and for predictions from what the
models declare; do not edit it here.
Types follow from names ([naming.md](naming.md)); definitions of figures are in [metrics.md](metrics.md).
"""
ABOUT = {
    "core": "What the shop is: lines, orders, customers, events, stock.",
    "metrics": "What the shop asks.",
    "features": "What is known of each customer as of a moment, and the SQL that says so.",
    "predictions": "What the models say, each row with the version of the model that said it.",
}


def render() -> str:
    """Return the page."""
    parts = [HEAD]
    for schema in PUBLISHED_SCHEMAS:
        parts.append(f"\n## {schema}\n\n{ABOUT[schema]}\n")
        parts += [_table(path) for path in sorted((PROJECT / "models" / schema).glob("*.yml"))]
    parts += [_prediction(table) for name in SUBJECTS for table in SUBJECT_CLASSES[name]().tables]
    return "".join(parts)


def _prediction(table: PredictionTable) -> str:
    lines = [f"\n### {PREDICTIONS}.{table.name}\n", f"Grain: {table.grain}. Key: {', '.join(table.key)}.", ""]
    lines += ["| column | meaning |", "|---|---|"]
    lines += [f"| `{column.name}` | {_cell(column.meaning)} |" for column in table.columns]
    return "\n".join(lines) + "\n"


def _table(path: Path) -> str:
    (model,) = yaml.safe_load(path.read_text("utf-8"))["models"]
    lines = [f"\n### {schema_of(path)}.{model['name']}\n", " ".join(model["description"].split()), ""]
    lines += ["| column | meaning |", "|---|---|"]
    lines += [f"| `{column['name']}` | {_cell(column['description'])} |" for column in model["columns"]]
    return "\n".join(lines) + "\n"


def schema_of(path: Path) -> str:
    """Return the schema that a model's folder names."""
    return path.parent.name


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")

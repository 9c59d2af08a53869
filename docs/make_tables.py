"""Writes docs/tables.md from the YAML beside the warehouse's models: `make docs`."""

from pathlib import Path

import yaml

from shopkeeper.vocabulary import PUBLISHED_SCHEMAS
from shopkeeper.warehouse import PROJECT

PAGE = Path(__file__).parent / "tables.md"
HEAD = """\
# Tables

Every table of a published version. Written by `make docs` from the YAML beside the models; do not edit it here.
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
    return "".join(parts)


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

"""The shop of docs/quickstart.md, run once: its tables are what names and documents are held against."""

import re
from pathlib import Path

import pytest

from shopkeeper.assembly import assemble

DOCS = Path(__file__).parents[2] / "docs"


def files_of(page: str) -> dict[str, str]:
    """The files that a page shows: blocks whose info string is a language and a file name."""
    return dict(re.findall(r"^```\w+ ([\w.]+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory, run_shop):
    """The parts of the quickstart's own-columns project after a run, and what the run did."""
    folder = tmp_path_factory.mktemp("mugs")
    for name, text in files_of((DOCS / "quickstart.md").read_text("utf-8")).items():
        (folder / name).write_text(text, "utf-8")
    parts = assemble(folder)
    return parts, run_shop(parts, models=True)

"""How known exports map to contracts, one TOML file each; a project may override any key."""

import tomllib
from importlib import resources
from typing import Any

from shopkeeper.errors import UsageError


def names() -> tuple[str, ...]:
    """Return the names of all presets, sorted."""
    files = resources.files(__name__).iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def load(name: str) -> dict[str, Any]:
    """Return a preset as it stands in its file.

    Raises UsageError if there is none of that name.
    """
    if name not in names():
        raise UsageError(f"preset must be one of {', '.join(names())}; got {name!r}. See `shopkeeper presets`.")
    return tomllib.loads(resources.files(__name__).joinpath(f"{name}.toml").read_text("utf-8"))

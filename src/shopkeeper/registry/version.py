"""What is said of a version of a model: its place in line, its figures and recipe, and the digest of its files."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from shopkeeper.evaluation import Figure

State = Literal["champion", "challenger", "archived"]
MANIFEST = "version.json"


class Try(Protocol):
    """One try of a search over parameters, as ``models.model.Trial`` is."""

    @property
    def candidate(self) -> str: ...  # noqa: D102 - read where Trial says it
    @property
    def parameters(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def metric(self) -> str: ...  # noqa: D102
    @property
    def value(self) -> float: ...  # noqa: D102
    @property
    def seconds(self) -> float: ...  # noqa: D102


@dataclass(frozen=True)
class ModelVersion:
    """One trained and registered version of a subject's model.

    ``is_baseline``: what serves is the baseline, as no model beat it; ``trained_at``: when it was registered, ISO 8601 in
    UTC; ``figures``: metric → value with its 95 % interval on the held-out period; ``parameters``: the recipe to refit by;
    ``tags``: what the caller said of it (data versions, code version, candidate, …); ``digest``: of its files.
    """

    subject: str
    number: int
    state: State
    is_baseline: bool
    trained_at: str
    figures: Mapping[str, Figure]
    parameters: Mapping[str, Any]
    tags: Mapping[str, str]
    run_id: str
    digest: str

    @property
    def name(self) -> str:
        """Its name in published tables, such as ``churn/3``."""
        return f"{self.subject}/{self.number}"


@dataclass(frozen=True)
class Served:
    """The champion as it serves: what it is, and the folder with its files."""

    version: ModelVersion
    folder: Path

    @property
    def number(self) -> int:
        """Its number in the registry."""
        return self.version.number


@dataclass(frozen=True)
class Difference:
    """Two versions beside each other: every metric, and the parameters (dotted names) and tags that differ."""

    first: ModelVersion
    second: ModelVersion
    figures: Mapping[str, tuple[Figure | None, Figure | None]]
    parameters: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    tags: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)


def difference(first: ModelVersion, second: ModelVersion) -> Difference:
    """Return two versions beside each other."""
    parameters = flat(first.parameters), flat(second.parameters)
    return Difference(
        first,
        second,
        {
            name: (first.figures.get(name), second.figures.get(name))
            for name in sorted({*first.figures, *second.figures})
        },
        {
            name: (parameters[0].get(name), parameters[1].get(name))
            for name in sorted({*parameters[0], *parameters[1]})
            if parameters[0].get(name) != parameters[1].get(name)
        },
        {
            name: (first.tags.get(name), second.tags.get(name))
            for name in sorted({*first.tags, *second.tags})
            if first.tags.get(name) != second.tags.get(name)
        },
    )


def digest_of(folder: Path) -> str:
    """Return one SHA-256 of all files in a folder, by relative path and content; the manifest of an export is left out."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        if name != MANIFEST:
            digest.update(f"{name}\0{file.stat().st_size}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def flat(parameters: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested parameters as dotted names → values."""
    found: dict[str, Any] = {}
    for key, value in parameters.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{above}{key}."))
        else:
            found[f"{above}{key}"] = value
    return found


def triple(figure: Figure) -> tuple[float, float, float]:
    """Return a figure's value and interval as JSON can hold them."""
    return (figure.value, figure.low, figure.high)

"""What serves: an export of each champion's files, and a pointer that is replaced atomically. Knows nothing of MLflow.

Layout: ``serving/<subject>/<number>/`` with ``version.json`` beside the version's own files, and
``serving/<subject>/current``, which names the number that serves.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from shopkeeper.errors import StorageError, UsageError
from shopkeeper.evaluation import Figure
from shopkeeper.registry.version import MANIFEST, ModelVersion, Served, digest_of, triple


class Shelf:
    """The champions that serve, in one folder. Writing wants the project's lock; reading does not."""

    def __init__(self, root: Path) -> None:
        """Use the folder ``root``."""
        self.root = root

    def subjects(self) -> list[str]:
        """Return the subjects that have a champion that serves."""
        return sorted(path.parent.name for path in self.root.glob("*/current"))

    def serving(self, subject: str) -> Served | None:
        """Return the champion that serves; None before the first promotion. Needs neither MLflow nor the registry.

        Raises StorageError if the pointer names a version whose files are gone.
        """
        number = self.pointed(subject)
        if number is None:
            return None
        folder = self.place(subject) / str(number)
        try:
            return Served(_of_manifest(json.loads((folder / MANIFEST).read_text("utf-8"))), folder)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StorageError(
                f"the files of the champion {subject}/{number} must be readable; got: {error}. Export them again with "
                f"`shopkeeper models promote {subject}/{number}`."
            ) from error

    def place(self, subject: str) -> Path:
        """Return the folder of a subject. Raises UsageError if its name is no plain word."""
        if not re.fullmatch(r"[a-z][a-z0-9_]*", subject):
            raise UsageError(
                f"a subject must be a plain lower-case word; got {subject!r}. See `shopkeeper models list`."
            )
        return self.root / subject

    def pointed(self, subject: str) -> int | None:
        """Return the number of the version that serves. Raises StorageError if the pointer names none."""
        pointer = self.place(subject) / "current"
        try:
            return int(pointer.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StorageError(
                f"the pointer to the champion must hold a version's number; {pointer} does not: {error}. Remove that "
                f"file, then promote a version of {subject} with `shopkeeper models promote`."
            ) from error

    def point(self, subject: str, number: int) -> None:
        """Make a version serve: the moment from which on a promotion counts."""
        pointer = self.place(subject) / "current"
        draft = pointer.with_name("current.draft")
        draft.write_text(str(number), "utf-8")
        sync(draft)
        draft.replace(pointer)
        sync(pointer.parent)

    def export(self, version: ModelVersion, source: Callable[[], Path]) -> None:
        """Copy a version's files to where they serve from, whole or not at all; ``source`` is asked if they are not there."""
        target = self.place(version.subject) / str(version.number)
        if target.is_dir() and digest_of(target) == version.digest:
            return
        draft = target.with_name(f"{version.number}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(source(), draft)
        (draft / MANIFEST).write_text(_manifest(version), "utf-8")
        sync_all(draft)
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)

    def prune(self, subject: str, kept: Sequence[int]) -> None:
        """Remove exports nobody needs; those kept are the champion's and the one before, which a scoring may still read."""
        for folder in self.place(subject).iterdir():
            if folder.is_dir() and folder.name not in {str(number) for number in kept}:
                shutil.rmtree(folder, ignore_errors=True)


def _manifest(version: ModelVersion) -> str:
    figures = {name: triple(figure) for name, figure in version.figures.items()}
    return json.dumps({**vars(version), "state": "champion", "figures": figures}, indent=1, sort_keys=True)


def version_in(folder: Path) -> ModelVersion:
    """Return which version the exported files in a folder are of. Raises StorageError if they do not say."""
    try:
        return _of_manifest(json.loads((folder / MANIFEST).read_text("utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StorageError(
            f"{MANIFEST} must say which version the files beside it are of; got: {error}. Train and publish anew."
        ) from error


def _of_manifest(told: dict[str, Any]) -> ModelVersion:
    return ModelVersion(**{**told, "figures": {name: Figure(*each) for name, each in told["figures"].items()}})


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(folder: Path) -> None:
    """Wait until all that is in a folder is on the disk."""
    for path in [*folder.rglob("*"), folder]:
        sync(path)

"""Trouble with the machine around a source, told as our errors, and folders that do not outlive their use."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shopkeeper.errors import OutsideError, StorageError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def scratch_folder(scratch: Path) -> Iterator[Path]:
    """Give a new folder inside of ``scratch`` and remove it with all it holds afterwards.

    Raises StorageError if it cannot be made.
    """
    with disk_trouble(scratch):
        scratch.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=scratch, prefix="source-", ignore_cleanup_errors=True)
    with folder as name:
        yield Path(name)


@contextmanager
def disk_trouble(scratch: Path) -> Iterator[None]:
    """Turn what the operating system says about writing to ``scratch`` into StorageError."""
    try:
        yield
    except OSError as error:
        what = "free space" if error.errno in FULL else "a folder we may write to"
        raise StorageError(
            f"the scratch folder must have {what}; got {error.strerror or error} in {scratch}. "
            f"Free some space or name another folder."
        ) from error


@contextmanager
def read_trouble(where: str) -> Iterator[None]:
    """Turn what the operating system says about reading ``where`` into OutsideError or StorageError."""
    try:
        yield
    except FileNotFoundError:
        raise OutsideError(f"{where} must exist; got no such file or folder. Check the path.") from None
    except PermissionError:
        raise StorageError(
            f"{where} must be readable; got no permission. Give this user the right to read it."
        ) from None
    except OSError as error:
        raise StorageError(f"{where} must be readable; got {error.strerror or error}. Try again.") from error

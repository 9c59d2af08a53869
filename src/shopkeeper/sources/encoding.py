"""Which encoding a text file is in, and a copy of it in UTF-8 where it is another."""

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

from shopkeeper.errors import SettingsError

CHUNK = 4 * 1024 * 1024
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
WINDOWS = "windows-1252"


@dataclass(frozen=True)
class Encoding:
    """What a file is written in: Python's name of it, the bytes of its mark, and what to tell about it."""

    name: str
    mark: int = 0
    note: str | None = None

    @property
    def is_utf8(self) -> bool:
        """Whether the file can be read as it is."""
        return self.name == "utf-8"


def check_encoding(name: str) -> str:
    """Return Python's name of an encoding.

    Raises SettingsError if there is none of that name, or it is no text encoding.
    """
    try:
        "".encode(name)
        return codecs.lookup(name).name
    except (LookupError, UnicodeError):
        raise SettingsError(
            f"encoding must be one that Python knows, such as utf-8 or windows-1252; got {name!r}. "
            f"Remove it to let the reader find out."
        ) from None


def find_encoding(path: Path, declared: str | None, where: str) -> Encoding:
    """Return what a file is encoded in.

    The declared encoding counts; else the file's mark; else UTF-8 if it is valid or has at least one valid
    multi-byte character (then the lines that are not are rejected); else Windows-1252. Raises SettingsError
    for an unknown encoding.
    """
    with path.open("rb") as file:
        head = file.read(4)
    mark, marked = next(((len(bom), name) for bom, name in MARKS if head.startswith(bom)), (0, None))
    if declared is not None:
        name = check_encoding(declared)
        return Encoding(marked or name, mark) if _same_family(name, marked) else Encoding(name)
    if marked:
        return Encoding(marked, mark, None if marked == "utf-8" else f"{where} was read as {marked}")
    if len(head) == 4 and 0 in head:
        zeros = [place for place in range(4) if not head[place]]
        guess = "utf-16-le" if zeros == [1, 3] else "utf-16-be" if zeros == [0, 2] else None
        if guess:
            return Encoding(guess, 0, f"{where} was read as {guess}; it has no byte order mark")
    if _looks_like_utf8(path):
        return Encoding("utf-8")
    return Encoding(WINDOWS, 0, f"{where} is not UTF-8 and was read as {WINDOWS}; set encoding if that is wrong")


def transcode(path: Path, encoding: Encoding, target: Path) -> None:
    """Write ``path`` to ``target`` in UTF-8.

    Bytes that the encoding does not know become bytes that are no UTF-8 either, so that their line is
    rejected by the same rule as any other. Raises OSError if the disk does not allow it.
    """
    decoder = codecs.getincrementaldecoder(encoding.name)(errors=_handler(encoding.name))
    with path.open("rb") as source, target.open("wb") as sink:
        source.seek(encoding.mark)
        while chunk := source.read(CHUNK):
            sink.write(decoder.decode(chunk).encode("utf-8", "surrogatepass"))
        sink.write(decoder.decode(b"", final=True).encode("utf-8", "surrogatepass"))


def _same_family(name: str, marked: str | None) -> bool:
    return marked is not None and marked.split("-")[:2] == name.split("-")[:2]


def _looks_like_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    is_valid, tail = True, b""
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            if is_valid and not (chunk.isascii() and decoder.getstate()[0] == b""):
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError:
                    is_valid = False
            if not chunk.isascii() and MULTIBYTE.search(tail + chunk):
                return True
            tail = chunk[-3:]
    return is_valid and decoder.getstate()[0] == b""


def _handler(name: str) -> str:
    if name in {"cp1252", WINDOWS}:
        # As browsers do: the five bytes that Windows-1252 leaves open are control characters.
        codecs.register_error("shopkeeper-windows", _as_control)
        return "shopkeeper-windows"
    codecs.register_error("shopkeeper-mark", _as_surrogate)
    return "shopkeeper-mark"


def _as_control(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


def _as_surrogate(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udcff", error.end

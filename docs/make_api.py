"""Writes the answers into docs/api.md: each `curl` of the page is asked of a small simulated shop, for real.

    python docs/make_api.py        takes two minutes: it simulates the shop, trains its models, publishes and serves it

Long answers are shortened by one rule: of a list the first entry is shown, of a text the first 70 letters; … stands for the rest.
"""

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("api.md")
BLOCK = re.compile(r"^```console\n(\$ curl .*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN_AT = "http://127.0.0.1:8080"
LETTERS, WIDTH = 70, 150


def ask(client: Any, command: str) -> str:
    """Return what a curl line gets from a server, as the page shows it."""
    words = shlex.split(command)[1:]
    headers: dict[str, str] = {}
    data, address, method, shows_head = None, "", "GET", False
    while words:
        word = words.pop(0)
        if word == "-H":
            name, _, value = words.pop(0).partition(":")
            headers[name] = value.strip()
        elif word in {"-d", "--data"}:
            data, method = words.pop(0), "POST"
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        elif word == "-X":
            method = words.pop(0)
        elif word == "-I":
            method, shows_head = "HEAD", True
        elif not word.startswith("-"):
            address = word
    answer = client.request(
        method, address.replace(SHOWN_AT, str(client.base_url).rstrip("/")), headers=headers, content=data
    )
    if shows_head or not answer.content:
        shown = ("x-shopkeeper-version", "etag", "cache-control")
        head = [f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}"]
        return "\n".join([*head, *(f"{name}: {answer.headers[name]}" for name in shown if name in answer.headers)])
    if not answer.headers["content-type"].startswith("application/json"):
        return "\n".join([*answer.text.splitlines()[:4], "…"])
    return shown_json(shortened(answer.json()))


def shortened(value: Any) -> Any:
    """Return a value by the rule of the page."""
    if isinstance(value, dict):
        return {name: shortened(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shortened(each) for each in value[:1]] + (["…"] if len(value) > 1 else [])
    if isinstance(value, str) and len(value) > LETTERS:
        return value[:LETTERS] + "…"
    return value


def shown_json(value: Any, level: int = 0) -> str:
    """Return JSON with one member a line where a line would be too long."""
    plain = json.dumps(value, ensure_ascii=False)
    if len(plain) + 2 * level <= WIDTH or not isinstance(value, dict | list) or not value:
        return plain
    pad, end = "  " * (level + 1), "  " * level
    if isinstance(value, dict):
        rows = [
            f"{pad}{json.dumps(name, ensure_ascii=False)}: {shown_json(each, level + 1)}"
            for name, each in value.items()
        ]
        return "{\n" + ",\n".join(rows) + f"\n{end}}}"
    return "[" + ", ".join(shown_json(each, level) for each in value) + "]"


def render(client: Any, text: str) -> str:
    """Return the page with the answers that a server gives."""

    def one(found: re.Match[str]) -> str:
        lines = found.group(1).splitlines()
        n = next(at for at, line in enumerate(lines) if not line.endswith("\\")) + 1
        command = "\n".join(lines[:n])
        return f"```console\n{command}\n{ask(client, command.removeprefix('$ ').replace(chr(92) + chr(10), ' '))}\n```"

    return BLOCK.sub(one, text)


def curls(text: str) -> list[str]:
    """Return the addresses that the page asks, with their methods."""
    return [found.group(1).splitlines()[0] for found in BLOCK.finditer(text)]


def main() -> None:
    """Simulate, run, serve, and write the page."""
    import importlib.util
    import tempfile

    root = Path(__file__).parents[1]
    spec = importlib.util.spec_from_file_location("conftest", root / "tests" / "apps" / "api" / "conftest.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="shopkeeper-docs-"))
    parts = made.gift_shop(folder)
    with made.serve_parts(parts) as client:
        PAGE.write_text(render(client, PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()

"""The one shape of every error answer: ``{"error": {"code", "message", "status", "details"}}``, as JSON.

``code`` is for programs and never changes; ``message`` is a sentence for people; ``details`` lists each thing that is wrong,
where there are several.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from starlette.responses import Response

JSON = "application/json"


class RefusalError(Exception):
    """A request that is answered with an error; raised anywhere below a route, turned into a response at its rim."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Iterable[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Say the status, the code, the sentence, what else is to be told, and headers such as Retry-After."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = list(details)
        self.headers = headers

    def response(self) -> Response:
        """Return it as an answer."""
        return problem(self.status, self.code, str(self), self.details, self.headers)


def problem(
    status: int,
    code: str,
    message: str,
    details: Iterable[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an error as a response.

    ``details``: one object per thing that is wrong, such as ``{"field": …, "message": …}``. Text that is no valid Unicode
    is shown with its escapes.
    """
    told = {"code": code, "message": _shown(message), "status": status, "details": [_clean(each) for each in details]}
    return Response(orjson.dumps({"error": told}), status, dict(headers or {}), JSON)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _shown(value)
    if isinstance(value, Mapping):
        return {_shown(str(key)): _clean(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(each) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _shown(str(value))


def _shown(text: str) -> str:
    """Return a text without lone surrogates, which JSON cannot carry."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")

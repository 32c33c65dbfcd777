"""Shared by all routes: JSON in both directions, and errors as one sentence."""

from __future__ import annotations

from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bridge.client.request import job_id
from presets.errors import AirbandError, EngineError, InputError, OutputError, UsageError
from presets.printable import is_utf8, printable

BODY_BYTES = 1024 * 1024
"""The largest request body, except for a file's."""
STATUS: tuple[tuple[type[AirbandError], int], ...] = (
    (UsageError, 400),
    (InputError, 422),
    (OutputError, 409),
    (EngineError, 503),
    (AirbandError, 500),
)

T = TypeVar("T")


def answer(value: Any = None, status: int = 200) -> Response:
    """A JSON response; structs become maps."""
    return Response(encoded({} if value is None else value), status, media_type="application/json")


def encoded(value: Any) -> bytes:
    """A value as JSON; file names in it that are not UTF-8 are made readable."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_readable(msgspec.to_builtins(value)))


def _readable(value: Any) -> Any:
    if isinstance(value, str):
        return value if is_utf8(value) else printable(value)
    if isinstance(value, dict):
        return {name: _readable(each) for name, each in value.items()}
    return [_readable(each) for each in value] if isinstance(value, list | tuple) else value


async def refusal(request: Request, error: Exception) -> Response:
    """The response to a request that cannot be honoured."""
    assert isinstance(error, AirbandError)
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    refused = answer({"code": error.code, "message": error.message, "field": error.field}, status)
    refused.headers["connection"] = "close"  # do not read the rest of the body
    return refused


async def body(request: Request, kind: type[T]) -> T:
    """A request's body as `kind`; raises UsageError if it is not one."""
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > BODY_BYTES:
            raise UsageError(f"a request's body holds at most {BODY_BYTES} bytes", "body")
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"the request's body is not valid: {error}", "body") from None


def job_of(request: Request) -> str:
    """The job in a request's path; raises UsageError if it is not a ULID."""
    return job_id(request.path_params["job"])


def attachment(name: str) -> dict[str, str]:
    """The header that has a browser save a response under `name`."""
    return {"content-disposition": f"attachment; filename*=UTF-8''{quote(name)}"}

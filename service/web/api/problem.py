"""What goes wrong, told to programs: problem details (RFC 9457), each with a name that stays."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from service import settings

MEDIA_TYPE = "application/problem+json"
BASE = "/api/v1"


@dataclass(frozen=True)
class Kind:
    """A kind of problem: its status, its title, and what a caller does about it."""

    status: int
    title: str
    help: str


KINDS = {
    "unreadable": Kind(400, "The body is not JSON", "Send one JSON document, in UTF-8."),
    "no-key": Kind(401, "A key is needed", "Send `Authorization: Bearer KEY`; `utskick staff key` makes one."),
    "unknown-key": Kind(401, "The key opens nothing", "It is misspelt or revoked. Have a new one made."),
    "role": Kind(403, "The key may not do that", "Use a key of a higher role."),
    "not-found": Kind(404, "There is nothing here", "A key sees its own newsroom and nothing else."),
    "method": Kind(405, "This cannot be done here", "`Allow` says what can."),
    "slug-taken": Kind(409, "Another release has this slug", "Read it at `release`, or choose another slug."),
    "changed": Kind(409, "The draft has changed", "Read it again, then publish the revision that you have seen."),
    "withdrawn": Kind(409, "The release was withdrawn", "Create a new one under another slug."),
    "empty": Kind(409, "There is nothing to publish", "It has neither lead nor body. Finish it at the desk."),
    "unmailable": Kind(409, "No mail can be made of the release", "Shorten what stands around the body."),
    "too-large": Kind(413, "The body is too large", "At most 3,000,000 octets."),
    "not-json": Kind(415, "The body must be JSON", "Send `Content-Type: application/json`."),
    "invalid": Kind(422, "The request does not fit", "`errors` names each field or parameter, and what is wrong."),
    "key-reused": Kind(422, "The Idempotency-Key was another request's", "Use a new key for each new request."),
    "too-many": Kind(429, "Too many requests", "Wait as long as `Retry-After` says."),
    "broken": Kind(500, "Something broke", "The operator's log says what. It may have been done all the same."),
    "away": Kind(
        503, "The database is away", "It may have been done all the same: send it again, with its Idempotency-Key."
    ),
}

BY_STATUS = {400: "unreadable", 404: "not-found", 405: "method", 413: "too-large", 503: "away"}


class Problem(HTTPException):
    """Ends a request with problem details: the name of its kind, and what more there is to say."""

    def __init__(self, name: str, detail: str = "", headers: dict[str, str] | None = None, **members: Any) -> None:
        super().__init__(KINDS[name].status, detail=detail, headers=headers)
        self.name, self.members = name, members


def is_api(request: Request) -> bool:
    """Tell whether a request comes from a program."""
    return request.url.path == "/api" or request.url.path.startswith("/api/")


def answer(
    name: str, detail: str = "", headers: dict[str, str] | None = None, members: dict[str, Any] | None = None
) -> JSONResponse:
    """Return problem details as a response."""
    kind = KINDS[name]
    told = {
        "type": f"{settings.current().site}{BASE}/problems#{name}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail or kind.help,
        **(members or {}),
    }
    sent = {"Cache-Control": "no-store", **(headers or {})}
    return JSONResponse(told, kind.status, sent, MEDIA_TYPE)


def of_status(status: int, headers: dict[str, str]) -> JSONResponse:
    """Return the problem details of an error that the site raised for any visitor."""
    return answer(BY_STATUS.get(status, "broken" if status >= 500 else "unreadable"), headers=headers)


def told(request: Request, error: Exception) -> JSONResponse:  # noqa: ARG001 - the signature of a handler
    """Answer a Problem."""
    assert isinstance(error, Problem)  # noqa: S101 - it is registered for nothing else
    return answer(error.name, str(error.detail or ""), dict(error.headers or {}), error.members)


SAID = {
    "missing": "it is missing",
    "extra_forbidden": "there is no such field",
    "string_type": "it must be a string",
    "string_unicode": "it holds half a character (a lone surrogate)",
    "bool_type": "it must be true or false",
    "int_type": "it must be a whole number",
    "int_parsing": "it must be a whole number",
    "int_parsing_size": "it must be a whole number, and not that large",
    "list_type": "it must be an array",
    "model_type": "it must be an object",
    "model_attributes_type": "it must be an object",
    "string_too_short": "it must not be empty",
    "string_too_long": "it is too long: at most {max_length} characters",
    "string_pattern_mismatch": "it must match {pattern}",
    "too_long": "there are too many: at most {max_length}",
    "greater_than_equal": "it must be at least {ge}",
    "less_than_equal": "it must be at most {le}",
}
"""What pydantic finds, in the words of somebody who writes JSON."""


def invalid(request: Request, error: Exception) -> JSONResponse:  # noqa: ARG001 - the signature of a handler
    """Answer a request that does not fit the document: each field or parameter, and what is wrong with it."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - it is registered for nothing else
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        one = found[0]
        return answer("unreadable", f"{one['ctx']['error']} at character {one['loc'][-1]}")
    if any(one["loc"][0] == "path" for one in found):
        return answer("not-found")
    listed = [_place(one["loc"]) | {"detail": _say(one)} for one in found]
    return answer(
        "invalid",
        f"{len(listed)} things do not fit; `errors` names them." if len(listed) > 1 else "",
        members={"errors": listed},
    )


def _place(loc: tuple[Any, ...]) -> dict[str, str]:
    """Return where in a request something is: a JSON pointer as a URI fragment (RFC 6901 §6), or a parameter."""
    if loc[0] != "body":
        return {"parameter": str(loc[-1])}
    parts = (quote(str(part).replace("~", "~0").replace("/", "~1")) for part in loc[1:])  # "/" is ~1 by now
    return {"pointer": "#" + "".join(f"/{part}" for part in parts)}


def _say(one: dict[str, Any]) -> str:
    kind, given = one["type"], one.get("ctx", {})
    if kind == "too_long" and given.get("field_type") != "List":
        kind = "string_too_long"  # a text whose length is looked at after it was cleaned
    if kind == "too_short":
        kind = "string_too_short"
    return SAID[kind].format(**given) if kind in SAID else str(one["msg"]).removeprefix("Value error, ")

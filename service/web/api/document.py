"""The OpenAPI document, made from the routes themselves, and what they have in common."""

from collections import defaultdict
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from service.web.api.problem import KINDS, MEDIA_TYPE
from service.web.api.shapes import ProblemShown

EVERYWHERE = ("no-key", "unknown-key", "role", "not-found", "method", "too-many", "broken", "away")
WITH_BODY = ("unreadable", "too-large", "not-json", "invalid")

ABOUT = """Press releases from a CMS: create and publish them, follow their books, let people follow a newsroom.

A key belongs to one newsroom and one role; whatever is another newsroom's is 404. Errors are problem details
(RFC 9457): `type` ends in a name that stays, listed at `/api/v1/problems`. Moments are UTC.
"""

_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_LIMITS = {
    "RateLimit-Policy": {"description": "Requests (q) a window of seconds (w).", "schema": {"type": "string"}},
    "RateLimit": {"description": "Requests left (r), seconds until all are (t).", "schema": {"type": "string"}},
}
_RETRY = {"Retry-After": {"description": "Seconds.", "schema": {"type": "string"}}}
_KEY = {"WWW-Authenticate": {"description": "RFC 6750 §3", "schema": {"type": "string"}}}
_ALLOW = {"Allow": {"description": "What can be done here.", "schema": {"type": "string"}}}
HEADERS = {401: _KEY, 403: _KEY | _LIMITS, 405: _ALLOW, 429: _RETRY | _LIMITS, 503: _RETRY}
"""What comes with an answer, by its status; `_LIMITS` with whatever was counted."""


def answers(*names: str, body: bool = False) -> dict[int | str, dict[str, Any]]:
    """Return, for a route's document, the problems that any route (or any that takes a body) may have, and these."""
    by_status: defaultdict[int, list[str]] = defaultdict(list)
    for name in dict.fromkeys((*EVERYWHERE, *(WITH_BODY if body else ()), *names)):
        by_status[KINDS[name].status].append(name)
    return {status: _answer(status, by_status[status]) for status in sorted(by_status)}


def _answer(status: int, names: list[str]) -> dict[str, Any]:
    said = "; ".join(f"{KINDS[name].title} (`{name}`)" for name in names)
    headers = HEADERS.get(status, _LIMITS if status in (404, 409, 422) else {})
    answer = {"description": f"{HTTPStatus(status).phrase}: {said}", "content": _PROBLEM}
    return answer | ({"headers": headers} if headers else {})


def document(routes: list[BaseRoute], site: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of these routes at a site's address."""
    made = get_openapi(
        title="Utskick",
        version=version("utskick"),
        openapi_version="3.1.0",
        description=ABOUT,
        routes=routes,
        servers=[{"url": site}],
    )
    schemas = made["components"]["schemas"]
    schemas["Problem"] = ProblemShown.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):  # the framework's own, which we never answer with
        schemas.pop(unused, None)
    for operation in (one for path in made["paths"].values() for one in path.values()):
        if "HTTPValidationError" in str(operation["responses"].get("422")):
            del operation["responses"]["422"]
        for status, answer in operation["responses"].items():
            if status[0] == "2" and operation.get("security"):
                answer["headers"] = answer.get("headers", {}) | _LIMITS
    return made

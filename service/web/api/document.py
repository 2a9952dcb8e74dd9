"""The OpenAPI document, made from the routes themselves, and what they have in common."""

from collections import defaultdict
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from service import settings
from service.web.api.problem import KINDS, MEDIA_TYPE
from service.web.api.shapes import ProblemShown

EVERYWHERE = ("unreadable", "no-key", "unknown-key", "role", "not-found", "method", "too-many", "broken", "away")
WITH_BODY = ("too-large", "not-json", "invalid")

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


def answers(*names: str) -> dict[int | str, dict[str, Any]]:
    """Return, for a route's document, the problems that any route may have and these."""
    by_status: defaultdict[int, list[str]] = defaultdict(list)
    for name in dict.fromkeys((*EVERYWHERE, *WITH_BODY, *names)):
        by_status[KINDS[name].status].append(name)
    return {status: _answer(status, by_status[status]) for status in sorted(by_status)}


def _answer(status: int, names: list[str]) -> dict[str, Any]:
    said = "; ".join(f"{KINDS[name].title} (`{name}`)" for name in names)
    answer = {"description": f"{HTTPStatus(status).phrase}: {said}", "content": _PROBLEM}
    return answer | ({"headers": _RETRY} if status in (429, 503) else {})


def document(routes: list[BaseRoute]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of these routes."""
    made = get_openapi(
        title="Utskick",
        version=version("utskick"),
        openapi_version="3.1.0",
        description=ABOUT,
        routes=routes,
        servers=[{"url": settings.current().site}],
    )
    schemas = made["components"]["schemas"]
    schemas["Problem"] = ProblemShown.model_json_schema()
    for operation in (one for path in made["paths"].values() for one in path.values()):
        for status, answer in operation["responses"].items():
            if status[0] == "2" and operation.get("security"):
                answer["headers"] = answer.get("headers", {}) | _LIMITS
    return made

"""The API's door: whose key it is, what it may do, and how much of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service import audit, database, keys, limits
from service.models import ApiKey, Newsroom
from service.states import Role
from service.web.api.problem import Problem

BEARER = HTTPBearer(
    scheme_name="key",
    description="A key to one newsroom in one role, made by `utskick staff key` or at the desk.",
    auto_error=False,
)


@dataclass(frozen=True)
class Caller:
    """A program with its key."""

    key: ApiKey

    @property
    def newsroom(self) -> Newsroom:
        """The newsroom that the key opens."""
        return self.key.newsroom

    @property
    def actor(self) -> audit.Actor:
        """Who acts, for the audit."""
        return audit.program(self.key)

    def need(self, role: Role) -> None:
        """Raise Problem unless the key's role includes another."""
        if not self.key.role.may(role):
            said = f"It is a key of the role {self.key.role}; this takes the role {role}."
            scope = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{role}"'}
            raise Problem("role", said, scope)

    def enter(self, slug: str) -> Newsroom:
        """Return the newsroom that a path names, if the key opens it: another is as good as none."""
        if slug != self.newsroom.slug:
            raise Problem("not-found")
        return self.newsroom


def at(needed: Role) -> Callable[..., Caller]:
    """Return a dependency: a program whose key has this role in its newsroom. It is counted here."""

    def caller(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]) -> Caller:
        if given is None:
            raise Problem("no-key", headers={"WWW-Authenticate": "Bearer"})
        with database.reading() as session:
            key = keys.find(session, given.credentials)
        if key is None:
            raise Problem("unknown-key", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        _count(request, key)
        found = Caller(key)
        found.need(needed)
        _json_only(request)
        return found

    return caller


Editor = Annotated[Caller, Depends(at(Role.EDITOR))]
Publisher = Annotated[Caller, Depends(at(Role.PUBLISHER))]


def _count(request: Request, key: ApiKey) -> None:
    """Count a request, and tell so in the headers of draft-ietf-httpapi-ratelimit-headers-10."""
    found = limits.api_key(key.id)
    request.state.headers = {
        "Cache-Control": "no-store",
        "RateLimit-Policy": f'"key";q={found.limit};w=60',
        "RateLimit": f'"key";r={found.remaining};t={found.reset}',
    }
    if found.wait:
        said = f"A key may send {found.limit} requests a minute; wait {found.wait} s."
        raise Problem("too-many", said, {"Retry-After": str(found.wait)})


def _json_only(request: Request) -> None:
    sent = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    kind = request.headers.get("content-type", "").partition(";")[0].strip().casefold()
    if sent and request.method == "POST" and kind != "application/json":
        raise Problem("not-json")

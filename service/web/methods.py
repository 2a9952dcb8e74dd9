"""HTTP methods: HEAD answers as GET wherever GET exists, OPTIONS names the methods and changes nothing."""

from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def allowed(scope: Scope) -> str:
    """Return the Allow header of a path; empty where there is nothing."""
    known: set[str] = set()
    for route in scope["app"].state.known_routes:
        if route.matches(scope)[0] is not Match.NONE:
            known |= getattr(route, "methods", None) or set()
    if "GET" in known:
        known.add("HEAD")
    return ", ".join(sorted(known | {"OPTIONS"})) if known else ""


class Methods:
    """Answers HEAD and OPTIONS, so that no endpoint has to."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope["method"] = "GET"
            return await self.app(scope, receive, _without_body(send))
        if scope["type"] == "http" and scope["method"] == "OPTIONS" and (allow := allowed(scope)):
            return await Response(status_code=204, headers={"Allow": allow})(scope, receive, send)
        return await self.app(scope, receive, send)


def _without_body(send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return sender

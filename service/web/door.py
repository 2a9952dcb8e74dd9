"""The door: headers on every answer, a line in the log for each, no traceback out, no body too large in."""

import time

import structlog
from fastapi import HTTPException, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import logs
from service.web import errors

log = structlog.get_logger()

LARGEST = 1_000_000
"""Octets in a request's body."""
LARGEST_AT_DESK = 3_000_000
"""At the desk and in the API: the longest text fits, also where each letter is sent as twelve (`%F0%9F%98%80`)."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "browsing-topics=(), camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
HSTS = "max-age=31536000"


class SecurityHeaders:
    """Puts the security headers on every answer, errors included, and those that the request's state asks for."""

    def __init__(self, app: ASGIApp, https: bool) -> None:
        self.app = app
        self.headers = HEADERS | ({"Strict-Transport-Security": HSTS} if https else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and look at what goes by."""

        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in (self.headers | scope.get("state", {}).get("headers", {})).items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, sender)


class AccessLog:
    """Writes the route, never the path (it may hold a token), and answers what nobody caught."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and look at what goes by."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, method, status = time.perf_counter(), scope["method"], 0
        scope.setdefault("state", {})

        async def sender(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, sender)
        except Exception as error:  # a visitor sees a page, the log the reason
            log.error("failed", route=_route(scope), error=type(error).__name__, trace=logs.trace(error))
            if status:
                raise ConnectionAbortedError("failed after the answer had begun") from None
            await errors.show(Request(scope), 500)(scope, receive, sender)
        took = round((time.perf_counter() - began) * 1000)
        log.info("answered", method=method, route=_route(scope), status=status, ms=took)


class BodyLimit:
    """Refuses a body over 1 MB (at the desk and in the API 3) when it is read, declared or not."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and look at what goes by."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        largest = LARGEST_AT_DESK if scope["path"].startswith(("/desk/", "/api/")) else LARGEST
        declared = Headers(scope=scope).get("content-length", "")
        read = int(declared) if declared.isdecimal() and int(declared) > largest else 0

        async def receiver() -> Message:
            nonlocal read
            message = await receive() if read <= largest else {}
            read += len(message.get("body", b""))
            if read > largest:
                raise HTTPException(413)
            return message

        await self.app(scope, receiver, send)


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "-")

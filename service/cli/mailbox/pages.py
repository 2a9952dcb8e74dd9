"""The web side of the mailbox: for this machine only, and careful with what stands in a mail."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from service import i18n, settings
from service.cli.mailbox.message import Readable
from service.cli.mailbox.store import Mail, Store

PAGE = 50
READ = ("GET", "HEAD")
FONT = Path(__file__).parents[2] / "web/static/fonts/source-sans-3-latin-wght-normal.woff2"
CAREFUL = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; font-src 'self'; img-src data:; frame-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
}
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
"""A mail's HTML loads nothing and runs nothing; its links open in a window of their own."""


def make_app(store: Store) -> FastAPI:
    """Return the mailbox's site."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    # A foreign page must not read the mails through a name of its own (DNS rebinding).
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"], www_redirect=False)
    app.middleware("http")(_careful)
    app.exception_handler(StarletteHTTPException)(_error)
    app.exception_handler(RequestValidationError)(_error)
    _add_lists(app, store)
    _add_mails(app, store)
    return app


async def _careful(request: Request, call_next: Any) -> Response:
    answer: Response = await call_next(request)
    for name, value in CAREFUL.items():
        answer.headers.setdefault(name, value)
    return answer


async def _error(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, StarletteHTTPException) else 404
    return _page("gone.html", status, status=status)


def _page(name: str, status_code: int = 200, /, **values: object) -> HTMLResponse:
    template = i18n.environment("en").get_template(f"mailbox/{name}")
    return HTMLResponse(template.render(**values), status_code)


def _add_lists(app: FastAPI, store: Store) -> None:
    @app.api_route("/", methods=list(READ))
    def mails(before: int | None = None) -> Response:
        """Show the newest mails."""
        found = store.newest(PAGE + 1, before)
        more = found[PAGE - 1].id if len(found) > PAGE else None
        numbers = {"kept": len(store.mails), "keep": store.keep, "more": more, "before": before}
        return _page("list.html", mails=found[:PAGE], **numbers)

    @app.api_route("/messages.json", methods=list(READ))
    def messages() -> Response:
        """List the mails for a script, newest first."""
        found = store.newest(store.keep)
        told = [
            {"id": m.id, "from": m.sender, "to": m.to, "subject": m.subject, "received": m.received.isoformat()}
            for m in found
        ]
        return JSONResponse(told)

    @app.api_route("/healthz", methods=list(READ))
    def alive() -> Response:
        """Say that it is alive."""
        return PlainTextResponse("ok\n")

    @app.api_route("/style.css", methods=list(READ))
    def style() -> Response:
        """Give the style sheet."""
        return Response((settings.ROOT / "templates/mailbox/style.css").read_bytes(), media_type="text/css")

    @app.api_route("/font.woff2", methods=list(READ))
    def font() -> Response:
        """Give the letters that the public pages have too."""
        return Response(FONT.read_bytes(), media_type="font/woff2", headers={"Cache-Control": "max-age=3600"})


def _add_mails(app: FastAPI, store: Store) -> None:
    @app.api_route("/messages/{number}.eml", methods=list(READ))
    def download(number: int) -> Response:
        """Give a mail's very bytes."""
        headers = {"Content-Disposition": f'attachment; filename="{number}.eml"'}
        return Response(_find(store, number)[1], media_type="message/rfc822", headers=headers)

    @app.api_route("/messages/{number}", methods=list(READ))
    def mail(number: int) -> Response:
        """Show one mail."""
        found, content = _find(store, number)
        return _page("mail.html", mail=found, readable=Readable(content))

    @app.api_route("/messages/{number}/html", methods=list(READ))
    def html(number: int) -> Response:
        """Give a mail's HTML for the frame, where it can neither load nor run anything."""
        shown = Readable(_find(store, number)[1]).html
        if shown is None:
            raise HTTPException(404)
        return HTMLResponse(shown, headers={"Content-Security-Policy": MAIL_POLICY})


def _find(store: Store, number: int) -> tuple[Mail, bytes]:
    found = store.get(number)
    try:
        if found is not None:
            return found, found.content()
    except OSError:
        pass
    raise HTTPException(404)

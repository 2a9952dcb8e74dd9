"""The desk's pages: a template of templates/desk/ with what each of them needs."""

from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse

from service import settings
from service.i18n import translate
from service.web.desk.door import Desk, Visit
from service.web.pages import page

CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; font-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PRIVATE = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex", "Content-Security-Policy": CSP}


def show(
    request: Request,
    template: str,
    who: Visit | None,
    status: int = 200,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> HTMLResponse:
    """Return a page of the desk for whoever is there (None: nobody is logged in).

    Templates have `who` (Visit or None), `desk` (Desk or None), `csrf`, `note` (a `?note=` of the address), `mailbox`
    (mail stays on this machine) and what every page has.
    """
    usual = {
        "who": who,
        "desk": who if isinstance(who, Desk) else None,
        "csrf": who.csrf if who else "",
        "note": request.query_params.get("note", ""),
        "mailbox": not settings.current().smtp_url,
    }
    return page(request, f"desk/{template}", status, {**PRIVATE, **(headers or {})}, **usual | more)


def go(path: str, note: str = "") -> RedirectResponse:
    """Lead on to a page after a POST; `note` is a code that the page puts into words."""
    mark = "&" if "?" in path else "?"
    return RedirectResponse(f"{path}{mark}note={note}" if note else path, 303, {"Cache-Control": "no-store"})


def say(desk: Desk, message: str, **values: object) -> str:
    """Return a message in the newsroom's language."""
    return translate(desk.newsroom.language, message, **values)

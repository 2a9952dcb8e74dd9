"""Pages: a template in a language, with what every page needs."""

import re
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import object_session

from service import settings
from service.i18n import environment, negotiate
from service.mail import prose
from service.models import Contact, Newsroom
from service.subscriptions import CONSENT_MONTHS, PENDING_DAYS
from service.web import assets, look

FRESH = {"Cache-Control": "no-cache"}
SECRET = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}
"""For pages whose address holds a token."""


@dataclass(frozen=True)
class Person:
    """A contact, ready to be called and written to."""

    name: str
    role: str
    phone: str
    email: str

    @property
    def tel(self) -> str:
        """The number as a `tel:` link wants it."""
        return tel(self.phone)


def tel(phone: str) -> str:
    """Return a phone number without what only eyes need (RFC 3966 §5.1.1)."""
    return re.sub(r"[^0-9+]", "", phone.replace("(0)", ""))


def people(contacts: list[Contact] | list[dict[str, Any]]) -> list[Person]:
    """Return contacts of a newsroom or of a release as people."""
    every = [one if isinstance(one, dict) else vars(one) for one in contacts]
    keys = ("name", "role", "phone", "email")
    return [Person(**{key: str(one.get(key) or "") for key in keys}) for one in every]


EVERYWHERE = {
    "asset": assets.address,
    "look": look.address,
    "prose": prose.to_html,
    "tel": tel,
    "pending_days": PENDING_DAYS,
    "consent_months": CONSENT_MONTHS,
    "keep_days": lambda: settings.current().keep_deliveries,
}
"""What every page's template may use."""


def speak(request: Request, newsroom: Newsroom | None, language: str) -> None:
    """Remember whose page this is and its language, for an error page too."""
    session = object_session(newsroom) if newsroom else None
    if session is not None:
        session.expunge(newsroom)  # a rollback would empty it, and the error page still needs it
    request.state.newsroom, request.state.language = newsroom, language


def voice(request: Request) -> tuple[Newsroom | None, str]:
    """Return whose page this is and its language: the browser's where nothing else is known."""
    language = getattr(request.state, "language", "") or negotiate(request.headers.get("accept-language", ""))
    return getattr(request.state, "newsroom", None), language


def page(
    request: Request, template: str, status: int = 200, headers: dict[str, str] | None = None, **context: Any
) -> HTMLResponse:
    """Return a page in the voice of the request."""
    newsroom, language = voice(request)
    usual = {"newsroom": newsroom, "site": settings.current().site, **EVERYWHERE}
    name = template if "/" in template else f"pages/{template}"
    html = environment(language).get_template(name).render({**usual, **context})
    sent = {"Content-Language": language, **FRESH, **(headers or {})}
    if not getattr(request.state, "language", ""):
        sent["Vary"] = "Accept-Language"
    return HTMLResponse(html, status, sent)

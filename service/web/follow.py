"""POST of the follow box: parse, count, subscribe, and the same answer for everyone."""

import re
from dataclasses import dataclass, fields, replace
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException as StarletteHTTPException

from service import address, broker, database, limits, newsrooms, releases, subscriptions
from service.i18n import LANGUAGES
from service.models import Newsroom
from service.web.consent import FollowBox, shown_by
from service.web.errors import Refusal
from service.web.pages import page, speak
from service.web.public import press_room_of

KEPT = 400
"""Characters of what was typed that the form shows again."""

TOKEN_PAGES = ("/confirm", "/unsubscribe")
"""Pages whose box names them without their token."""

router = APIRouter()


@dataclass(frozen=True)
class Typed:
    """The fields of the form, as they came; the address alone is enough."""

    email: str = ""
    page: str = ""
    language: str = ""
    shown: str = ""


async def typed_in(request: Request) -> Typed:
    """Return the form's fields; one that cannot be read counts as empty."""
    try:
        form = await request.form(max_files=0, max_fields=20)
        found = {field.name: value for field in fields(Typed) if isinstance(value := form.get(field.name), str)}
        "".join(found.values()).encode()  # half a surrogate pair is no text
    except StarletteHTTPException as refused:
        if refused.status_code != 400:
            raise
        return Typed()
    except (ValueError, LookupError):  # a charset that Python knows but that is no text encoding, or yields no text
        return Typed()
    return Typed(**found)


@router.post("/{slug}/subscribe")
def follow(request: Request, slug: str, typed: Annotated[Typed, Depends(typed_in)]) -> HTMLResponse:
    """Take an address: 202 for any good one."""
    box = _box(request, slug, typed)
    try:
        good = address.parse(typed.email)
    except address.BadAddress as bad:
        kept = "".join(char for char in typed.email if char.isprintable())[:KEPT]
        return page(request, "follow.html", 422, box=replace(box, typed=kept, problem=bad.code))
    _count(request, slug)
    with database.transaction() as session:
        newsroom = newsrooms.get(session, slug)
        if newsroom is None:
            raise HTTPException(404)
        shown = shown_by(slug, typed.shown) or box.shown
        subscriptions.subscribe(session, newsroom, good, shown, database.now(session))
    broker.ring(broker.CONFIRM)
    return page(request, "check_mail.html", 202, {"Cache-Control": "no-store"})


def _box(request: Request, slug: str, typed: Typed) -> FollowBox:
    with database.reading() as session:
        newsroom = press_room_of(request, session, slug)
        shown_on = typed.page if _is_page(session, newsroom, typed.page) else f"/{slug}"
    language = typed.language if typed.language in LANGUAGES else newsroom.language
    speak(request, newsroom, language)
    return FollowBox(newsroom, language, shown_on)


def _is_page(session: Session, newsroom: Newsroom, path: str) -> bool:
    if path in TOKEN_PAGES:
        return True
    found = re.fullmatch(rf"/{re.escape(newsroom.slug)}/releases/([a-z0-9-]{{1,120}})", path)
    return found is not None and releases.find(session, newsroom.id, found[1]) is not None


def _count(request: Request, slug: str) -> None:
    client = request.client.host if request.client else ""
    if wait := limits.visitor(client):
        raise Refusal(429, "overdone", {"Retry-After": str(wait)})
    if wait := limits.newsroom(slug):
        raise Refusal(503, "crowded", {"Retry-After": str(wait)})

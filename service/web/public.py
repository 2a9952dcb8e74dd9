"""The public pages of a newsroom: press room, releases, a release, the privacy notice, its colours."""

import re

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from service import database, newsrooms, releases
from service.mail import prose
from service.models import Newsroom, Release, Version
from service.states import ReleaseState
from service.web import look
from service.web.assets import FOR_EVER
from service.web.consent import FollowBox
from service.web.errors import SLUG, Refusal
from service.web.pages import page, people, speak

LATEST = 10
BESIDE = 3
PAGE = 20
router = APIRouter()


def press_room_of(request: Request, session: Session, slug: str) -> Newsroom:
    """Return the newsroom of a page and speak its language; 404 for an unknown one."""
    found = newsrooms.get(session, slug) if SLUG.fullmatch(slug) else None
    if found is None:
        raise HTTPException(404)
    speak(request, found, found.language)
    return found


@router.get("/")
def home(request: Request) -> Response:
    """List the newsrooms, or go straight to the only one."""
    with database.reading() as session:
        found = newsrooms.every(session)
        if len(found) == 1:
            return RedirectResponse(f"/{found[0].slug}", 303, {"Cache-Control": "no-cache"})
        return page(request, "home.html", newsrooms=found)


@router.get("/{slug}")
def press_room(request: Request, slug: str) -> HTMLResponse:
    """Show a press room."""
    with database.reading() as session:
        newsroom = press_room_of(request, session, slug)
        return page(
            request,
            "press_room.html",
            latest=releases.latest(session, newsroom.id, LATEST),
            more=releases.count(session, newsroom.id) > LATEST,
            people=people(newsroom.contacts),
            box=FollowBox(newsroom, newsroom.language, f"/{slug}"),
        )


@router.get("/{slug}/")
def press_room_with_slash(request: Request, slug: str) -> RedirectResponse:
    """Lead to the press room somebody who typed a slash behind it."""
    with database.reading() as session:
        return RedirectResponse(f"/{press_room_of(request, session, slug).slug}", 308)


@router.get("/{slug}/releases")
def all_releases(request: Request, slug: str) -> HTMLResponse:
    """Show a page of all releases, newest first."""
    with database.reading() as session:
        newsroom = press_room_of(request, session, slug)
        total = releases.count(session, newsroom.id)
        last = max(1, -(-total // PAGE))
        number = _page_number(request.query_params.get("page", "1"), last)
        shown = releases.latest(session, newsroom.id, PAGE, (number - 1) * PAGE)
        return page(request, "releases.html", latest=shown, total=total, number=number, last=last)


def _page_number(typed: str, last: int) -> int:
    number = int(typed) if re.fullmatch(r"[0-9]{1,6}", typed) else 0
    if not 1 <= number <= last:
        raise HTTPException(404)
    return number


@router.get("/{slug}/releases/{name}")
def release(request: Request, slug: str, name: str) -> HTMLResponse:
    """Show a release; a withdrawn one is gone."""
    with database.reading() as session:
        newsroom = press_room_of(request, session, slug)
        found = releases.find(session, newsroom.id, name) if SLUG.fullmatch(name) else None
        if found is None:
            raise HTTPException(404)
        speak(request, newsroom, found.version.language)
        if found.release.state is ReleaseState.WITHDRAWN:
            raise Refusal(410, "withdrawn")
        return release_page(request, session, newsroom, found.release, found.version)


def release_page(
    request: Request,
    session: Session,
    newsroom: Newsroom,
    release: Release,
    version: Version,
    headers: dict[str, str] | None = None,
) -> HTMLResponse:
    """Return the page of a release as it is, or (at the desk) as it would be."""
    beside = releases.latest(session, newsroom.id, BESIDE + 1)
    return page(
        request,
        "release.html",
        headers=headers,
        release=release,
        version=version,
        body=prose.to_html(version.body),
        people=people(version.contacts or newsroom.contacts),
        latest=[one for one in beside if one.release.id != release.id][:BESIDE],
        box=FollowBox(newsroom, version.language, f"/{newsroom.slug}/releases/{release.slug}"),
    )


@router.get("/{slug}/privacy")
def privacy(request: Request, slug: str) -> HTMLResponse:
    """Show the privacy notice."""
    with database.reading() as session:
        press_room_of(request, session, slug)
        return page(request, "privacy.html")


@router.get("/{slug}/look.css")
def look_css(request: Request, slug: str) -> Response:
    """Answer with the newsroom's colours."""
    with database.reading() as session:
        accent = press_room_of(request, session, slug).accent
    keep = FOR_EVER if request.query_params.get("v") == look.version(accent) else "public, max-age=300"
    return Response(look.stylesheet(accent), media_type="text/css", headers={"Cache-Control": keep})

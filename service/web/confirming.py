"""The confirm link: a page with one button; only its POST confirms."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from service import database, subscriptions
from service.web.consent import FollowBox
from service.web.errors import Refusal
from service.web.pages import SECRET, page, speak

router = APIRouter()


@router.get("/confirm/{token}")
def ask(request: Request, token: str) -> HTMLResponse:
    """Show the button, or what has become of the link; change nothing."""
    with database.reading() as session:
        found = subscriptions.look_up(session, token, database.now(session))
    return _answer(request, token, found)


@router.post("/confirm/{token}")
def confirm(request: Request, token: str) -> HTMLResponse:
    """Confirm; again and again does no harm."""
    with database.transaction() as session:
        found = subscriptions.confirm(session, token, database.now(session))
    return _answer(request, token, found)


def _answer(request: Request, token: str, found: subscriptions.Confirmation) -> HTMLResponse:
    if found.subscription is None or found.status == "bad":
        raise Refusal(404, "link", SECRET)
    newsroom, language = found.subscription.newsroom, found.subscription.language
    speak(request, newsroom, language)
    if found.status == "expired":
        return page(request, "expired.html", 410, SECRET, box=FollowBox(newsroom, language, "/confirm"))
    name = "confirm.html" if found.status == "pending" else "following.html"
    return page(request, name, headers=SECRET, token=token)

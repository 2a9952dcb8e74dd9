"""The leave link: one click by RFC 8058, and the page with its button."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from service import database, subscriptions
from service.models import Subscription
from service.states import SubscriptionState
from service.tokens import TEST_LEAVE_TOKEN, is_leave_token
from service.web.consent import FollowBox
from service.web.errors import Refusal
from service.web.pages import SECRET, page, speak

router = APIRouter()


@router.get("/unsubscribe/{token}")
def ask(request: Request, token: str) -> HTMLResponse:
    """Show the button, or the goodbye to one who has left; change nothing."""
    if token == TEST_LEAVE_TOKEN:
        return page(request, "only_a_test.html", headers=SECRET)
    with database.reading() as session:
        found = subscriptions.by_leave_token(session, _checked(token))
    if found is None or found.state is SubscriptionState.ENDED:
        return _goodbye(request, found)
    speak(request, found.newsroom, found.language)
    return page(request, "leave.html", headers=SECRET, token=token)


@router.post("/unsubscribe/{token}")
def leave(request: Request, token: str) -> HTMLResponse:
    """End the subscription: 200, again and again. The body is never read (RFC 8058 §3.2)."""
    if token == TEST_LEAVE_TOKEN:
        return page(request, "only_a_test.html", headers=SECRET)
    with database.transaction() as session:
        left = subscriptions.leave(session, _checked(token), database.now(session))
        newsroom = left.newsroom if left else None  # loaded while the session is open
    return _goodbye(request, left if newsroom else None)


def _checked(token: str) -> str:
    if not is_leave_token(token):
        raise Refusal(404, "link", SECRET)
    return token


def _goodbye(request: Request, left: Subscription | None) -> HTMLResponse:
    if left is None:
        raise Refusal(404, "link", SECRET)
    speak(request, left.newsroom, left.language)
    box = FollowBox(left.newsroom, left.language, "/unsubscribe")
    return page(request, "goodbye.html", headers=SECRET, box=box)

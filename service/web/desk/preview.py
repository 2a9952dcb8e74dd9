"""A release before it is sent: as page, as mail, as text, and as a test to oneself."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from service import audit, broker, database, ledger, limits, mail
from service.web.desk.door import Editor
from service.web.desk.drafting import ONE, found, place
from service.web.desk.frame import PRIVATE, go, show
from service.web.errors import Refusal
from service.web.public import release_page

FRAMED = "default-src 'none'; {}; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
PAGE_CSP = FRAMED.format("style-src 'self'; img-src 'self'; font-src 'self'; sandbox allow-same-origin")
MAIL_CSP = FRAMED.format("style-src 'unsafe-inline'; sandbox")
"""A mail carries its style within; nothing of it may run or reach out."""

router = APIRouter()


@router.get(ONE + "/preview")
def preview(request: Request, desk: Editor, number: str) -> Response:
    """Show what followers would get, by the code that publishes and sends."""
    release, version = found(desk, number)
    with database.reading() as session:
        now = database.now(session)
        tests = ledger.tests_of(session, desk.staff.id, version.id)
    try:
        opened = mail.preview(desk.newsroom, release, version, now, address=desk.staff.address)
    except ValueError:
        opened = None
    return show(request, "preview.html", desk, release=release, version=version, opened=opened, tests=tests)


@router.get(ONE + "/preview/page")
def as_page(request: Request, desk: Editor, number: str) -> Response:
    """Show the page, for a frame."""
    release, version = found(desk, number)
    with database.reading() as session:
        shown = mail.as_published(release, database.now(session))
        headers = {**PRIVATE, "Content-Security-Policy": PAGE_CSP}
        request.state.language = version.language
        return release_page(request, session, desk.newsroom, shown, version, headers)


@router.get(ONE + "/preview/mail")
def as_mail(desk: Editor, number: str) -> Response:
    """Show the mail's HTML, for a frame."""
    release, version = found(desk, number)
    with database.reading() as session:
        now = database.now(session)
    try:
        opened = mail.preview(desk.newsroom, release, version, now, address=desk.staff.address)
    except ValueError:
        raise Refusal(404, "not_found") from None
    return HTMLResponse(opened.html, headers={**PRIVATE, "Content-Security-Policy": MAIL_CSP})


@router.post(ONE + "/test")
def test(desk: Editor, number: str) -> Response:
    """Send a test to whoever asks, and to nobody else."""
    release, version = found(desk, number)
    if wait := limits.test_mail(desk.staff.id):
        raise Refusal(429, "tests", {"Retry-After": str(wait)})
    with database.transaction() as session:
        now = database.now(session)
        if ledger.enter_test(session, desk.staff.id, version.id, now):
            audit.note(session, desk.actor, "release.test", now, desk.newsroom.id, version.headline, release=release.id)
    broker.ring(broker.CONFIRM)
    return go(f"{place(desk, release.id)}/preview", "test")

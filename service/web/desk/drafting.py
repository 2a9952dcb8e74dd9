"""Releases at the desk: the list, and the form in which one is written."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from service import audit, books, database, drafts, releases
from service.models import Release, Version
from service.states import ReleaseState
from service.web.desk import writing
from service.web.desk.door import Desk, Editor, Sent
from service.web.desk.frame import go, show
from service.web.desk.home import number_of, page_number
from service.web.desk.problems import Problems
from service.web.errors import Refusal

PAGE = 50

router = APIRouter()

ROOM = "/desk/{newsroom}"
ONE = ROOM + "/releases/{number}"


def place(desk: Desk, number: int) -> str:
    """Return the path of a release at the desk."""
    return f"/desk/{desk.newsroom.slug}/releases/{number}"


def found(desk: Desk, number: str) -> tuple[Release, Version]:
    """Return a release of this newsroom; 404 for none, or somebody else's."""
    try:
        with database.reading() as session:
            return drafts.read(session, desk.newsroom.id, number_of(number))
    except LookupError:
        raise Refusal(404, "not_found") from None


@router.get(ROOM)
def listed(request: Request, desk: Editor) -> Response:
    """List the releases, the latest changed first."""
    number = page_number(request.query_params.get("page", "1"))
    with database.reading() as session:
        rows = drafts.listed(session, desk.newsroom.id, PAGE + 1, (number - 1) * PAGE)
        mailings = books.of_releases(session, [one.release.id for one in rows])
    if number > 1 and not rows:
        raise Refusal(404, "not_found")
    shown, more = rows[:PAGE], len(rows) > PAGE
    return show(request, "releases.html", desk, rows=shown, mailings=mailings, number=number, more=more)


@router.get(ROOM + "/releases/new")
def begin(request: Request, desk: Editor) -> Response:
    """Show an empty form."""
    return _form(request, desk, writing.empty(desk.newsroom))


@router.post(ROOM + "/releases")
def create(request: Request, desk: Editor, form: Sent) -> Response:
    """Keep a new draft."""
    typed = writing.typed(form, desk.newsroom)
    content, problems = writing.checked(typed, desk.newsroom.language)
    if content is None:
        return _form(request, desk, typed, 422, problems=problems)
    try:
        with database.transaction() as session:
            now = database.now(session)
            made = drafts.create(session, desk.newsroom, content, now)
            audit.note(session, desk.actor, "draft.create", now, desk.newsroom.id, content.headline, release=made.id)
    except drafts.SlugTaken:
        return _form(request, desk, typed, 422, problems=writing.slug_taken(desk.newsroom.language))
    return _onward(desk, made.id, form.get("next"))


@router.get(ONE)
def edit(request: Request, desk: Editor, number: str) -> Response:
    """Show a draft's form, or what became of it."""
    release, version = found(desk, number)
    if release.state is not ReleaseState.DRAFT:
        return _as_it_is(request, desk, release, version)
    return _form(request, desk, writing.written(release, version), release=release)


@router.post(ONE)
def save(request: Request, desk: Editor, number: str, form: Sent) -> Response:
    """Change a draft; on any trouble the form comes back with what was typed."""
    typed = writing.typed(form, desk.newsroom)
    try:
        release, _ = found(desk, number)
    except Refusal:
        if not form.get("keep"):
            raise
        return _form(request, desk, typed, 409, deleted=True)
    content, problems = writing.checked(typed, desk.newsroom.language)
    if content is None:
        return _form(request, desk, typed, 422, release=release, problems=problems)
    try:
        with database.transaction() as session:
            now = database.now(session)
            drafts.save(session, desk.newsroom, release.id, content, writing.revision(form), now)
            audit.note(session, desk.actor, "draft.save", now, desk.newsroom.id, content.headline, release=release.id)
    except drafts.SlugTaken:
        return _form(request, desk, typed, 422, release=release, problems=writing.slug_taken(desk.newsroom.language))
    except drafts.Stale as stale:
        there = writing.written(stale.release, stale.version)
        again = typed | {"revision": there["revision"]}  # sent once more, it replaces what is there knowingly
        return _form(request, desk, again, 409, release=release, meanwhile=writing.differences(typed, there))
    except drafts.NotADraft as gone:
        return _form(request, desk, typed, 409, release=gone.release, gone=True)
    except LookupError:  # deleted this very moment
        return _form(request, desk, typed, 409, deleted=True)
    return _onward(desk, release.id, form.get("next"))


def _onward(desk: Desk, number: int, wanted: str) -> Response:
    return go(f"{place(desk, number)}/preview" if wanted == "preview" else place(desk, number), "saved")


@router.get(ONE + "/delete")
def ask_to_delete(request: Request, desk: Editor, number: str) -> Response:
    """Ask whether a draft is to go for good."""
    release, version = found(desk, number)
    if release.state is not ReleaseState.DRAFT:
        return go(place(desk, release.id))
    return show(request, "delete.html", desk, release=release, version=version)


@router.post(ONE + "/delete")
def delete(desk: Editor, number: str) -> Response:
    """Delete a draft, which nobody outside has seen."""
    release, version = found(desk, number)
    with database.transaction() as session:
        gone = drafts.delete_draft(session, desk.newsroom.id, release.id)
        if gone:
            now = database.now(session)
            audit.note(session, desk.actor, "draft.delete", now, desk.newsroom.id, version.headline)
    return go(f"/desk/{desk.newsroom.slug}", "deleted") if gone else go(place(desk, release.id))


def _form(request: Request, desk: Desk, typed: dict[str, Any], status: int = 200, **more: Any) -> Response:
    usual: dict[str, Any] = {"release": None, "problems": Problems()}
    usual |= {"meanwhile": None, "gone": False, "deleted": False}
    choices = writing.contact_choices(typed, desk.newsroom)
    warned = writing.lost_in_mail(str(typed["body"]))
    return show(request, "draft.html", desk, status, typed=typed, choices=choices, warned=warned, **usual | more)


def _as_it_is(request: Request, desk: Desk, release: Release, version: Version) -> Response:
    with database.reading() as session:
        dispatch = releases.dispatch_of(session, release)
    return show(request, "release.html", desk, release=release, version=version, dispatch=dispatch)

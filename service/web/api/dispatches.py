"""Mailings: their books."""

from fastapi import APIRouter

from service import books, database, relay
from service.web.api.document import answers
from service.web.api.door import Editor
from service.web.api.problem import BASE, Problem
from service.web.api.shapes import BooksShown, Number, Relay

router = APIRouter(prefix=BASE, tags=["dispatches"])


@router.get(
    "/dispatches/{dispatch}", operation_id="readDispatch", summary="Read a mailing's books", responses=answers()
)
def read(caller: Editor, dispatch: Number) -> BooksShown:
    """Return the books of a mailing: who got it, who did not, who is still to come."""
    with database.reading() as session:
        found = books.of(session, dispatch, caller.newsroom.id)
        away = relay.state(session)
    if found is None:
        raise Problem("not-found")
    trouble = Relay(unreachable_since=away.unreachable_since, last_words=away.last_words) if away else None
    return BooksShown(**books.told(found), relay=trouble)

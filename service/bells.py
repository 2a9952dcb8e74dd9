"""The bell of a dispatch. At most one that counts is on its way at any time, or bells would multiply.

A bell has a number. Who hears it takes it, and at once rings the next, so that an idle worker joins in while more is
due: as many rounds of a dispatch run as there are workers, and each dispatch waits behind one bell of every other. To
ring twice does no harm: who hears a number for the second time lets it go. So whoever fears that a bell was lost rings
it again. Ring after the commit of what is to be seen; these open transactions of their own.
"""

from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from service import books, broker, database, ledger
from service.ledger import TURN
from service.models import Dispatch
from service.settlement import touched
from service.states import DispatchState


def ring_for(dispatch_id: int) -> None:
    """Ring for a dispatch's sending; where the broker is away the sweep tries again."""
    with database.transaction() as session:
        bell = _number(session, dispatch_id, database.now(session))
    _ring(dispatch_id, bell)


def ring_if_lost(dispatch_id: int) -> None:
    """Ring for a dispatch that goes on: to send it, or first to expand it; not where it was rung for a moment ago."""
    with database.transaction() as session:
        state = ledger.state_of(session, dispatch_id)
        now = database.now(session)
        going = state in (DispatchState.EXPANDING, DispatchState.SENDING)
        if not going or not _lost(session, dispatch_id, now):
            return
        bell = _number(session, dispatch_id, now)
    _ring(dispatch_id, None if state is DispatchState.EXPANDING else bell)


def _number(session: Session, dispatch_id: int, now: datetime) -> int:
    """Return the number of a dispatch's bell, and note that it is being rung."""
    its = update(Dispatch).where(Dispatch.id == dispatch_id).values(rung_at=now).returning(Dispatch.bell)
    return session.scalars(its.execution_options(synchronize_session=False)).one()


def _lost(session: Session, dispatch_id: int, now: datetime) -> bool:
    """Tell whether a dispatch has no bell on its way, or one so old that it may be lost."""
    lost = or_(Dispatch.rung_at.is_(None), Dispatch.rung_at < now - 2 * TURN)
    return session.scalar(select(Dispatch.id).where(Dispatch.id == dispatch_id, lost)) is not None


def _ring(dispatch_id: int, bell: int | None) -> None:
    """Ring to send, or without a number to expand: that does no harm when it is done twice."""
    rung = broker.ring(broker.EXPAND, dispatch_id) if bell is None else broker.ring(broker.DELIVER, dispatch_id, bell)
    if not rung:
        with database.transaction() as session:
            touched(session, update(Dispatch).where(Dispatch.id == dispatch_id).values(rung_at=None))


def taken(dispatch_id: int, bell: int) -> bool:
    """Take a bell; False where it does not count: there is nothing to do."""
    with database.transaction() as session:
        its = update(Dispatch).where(Dispatch.id == dispatch_id, Dispatch.bell == bell)
        return touched(session, its.values(bell=bell + 1, rung_at=None)) == 1


def ring_if_due(dispatch_id: int) -> None:
    """Ring for a dispatch where mail is due."""
    with database.reading() as session:
        more = books.due_now(session, dispatch_id, database.now(session))
    if more:
        ring_for(dispatch_id)

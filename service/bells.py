"""The bell of a dispatch. At most one that counts is on its way at any time, or bells would multiply.

A bell has a number. Who hears it takes it, and at once rings the next, so that an idle worker joins in while more is
due: as many rounds of a dispatch run as there are workers, and each dispatch waits behind one bell of every other. To
ring twice does no harm: who hears a number for the second time lets it go. So whoever fears that a bell was lost rings
it again. Ring after the commit of what is to be seen; these open transactions of their own.
"""

from service import books, broker, database, ledger
from service.states import DispatchState


def ring_for(dispatch_id: int) -> None:
    """Ring for a dispatch's sending; where the broker is away the sweep tries again."""
    with database.transaction() as session:
        bell = ledger.bell_to_ring(session, dispatch_id, database.now(session))
    _ring(dispatch_id, bell)


def ring_if_lost(dispatch_id: int) -> None:
    """Ring for a dispatch that goes on: to send it, or first to expand it; not where it was rung for a moment ago."""
    with database.transaction() as session:
        state = ledger.state_of(session, dispatch_id)
        now = database.now(session)
        going = state in (DispatchState.EXPANDING, DispatchState.SENDING)
        if not going or not ledger.unheard(session, dispatch_id, now):
            return
        bell = ledger.bell_to_ring(session, dispatch_id, now)
    _ring(dispatch_id, None if state is DispatchState.EXPANDING else bell)


def _ring(dispatch_id: int, bell: int | None) -> None:
    """Ring to send, or without a number to expand: that does no harm when it is done twice."""
    rung = broker.ring(broker.EXPAND, dispatch_id) if bell is None else broker.ring(broker.DELIVER, dispatch_id, bell)
    if not rung:
        with database.transaction() as session:
            ledger.not_rung(session, dispatch_id)


def taken(dispatch_id: int, bell: int) -> bool:
    """Take a bell; False where it does not count: there is nothing to do."""
    with database.transaction() as session:
        return ledger.bell_heard(session, dispatch_id, bell)


def ring_if_due(dispatch_id: int) -> None:
    """Ring for a dispatch where mail is due."""
    with database.reading() as session:
        more = books.due_now(session, dispatch_id, database.now(session))
    if more:
        ring_for(dispatch_id)

"""The bell of a dispatch: one at a time, or they would multiply and crowd out the other dispatches.

Ring after the commit of what is to be seen; these open transactions of their own.
"""

from service import books, broker, database, ledger
from service.states import DispatchState


def ring_for(dispatch_id: int, task: str = broker.DELIVER) -> None:
    """Ring for a dispatch unless its bell is on its way; where the broker is away the sweep tries again."""
    with database.transaction() as session:
        due = ledger.may_ring(session, dispatch_id, database.now(session))
    if due and not broker.ring(task, dispatch_id):
        quiet(dispatch_id)


def ring_again(dispatch_id: int) -> None:
    """Ring for a dispatch that goes on after a pause or a decision: to expand it where that was not done yet."""
    with database.reading() as session:
        state = ledger.state_of(session, dispatch_id)
    if state is DispatchState.EXPANDING:
        broker.ring(broker.EXPAND, dispatch_id)
    elif state is DispatchState.SENDING:
        ring_for(dispatch_id)


def heard(dispatch_id: int, *, again: bool) -> None:
    """Note that a dispatch's bell was heard, and ring for the next round where more is due.

    Mail may be due again though the round found none: resumed after the round had looked, and before this.
    """
    with database.transaction() as session:
        ledger.no_bell(session, dispatch_id)
        again = again or books.due_now(session, dispatch_id, database.now(session))
    if again:
        ring_for(dispatch_id)


def quiet(dispatch_id: int) -> None:
    """Note that a dispatch has no bell on its way."""
    with database.transaction() as session:
        ledger.no_bell(session, dispatch_id)

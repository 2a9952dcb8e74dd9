"""The bell of a dispatch: one at a time, or they would multiply and crowd out the other dispatches."""

from service import broker, database, ledger


def ring_for(dispatch_id: int) -> None:
    """Ring for a dispatch's sending unless its bell is on its way; where the broker is away the sweep tries again."""
    with database.transaction() as session:
        due = ledger.may_ring(session, dispatch_id, database.now(session))
    if due and not broker.ring(broker.DELIVER, dispatch_id):
        quiet(dispatch_id)


def quiet(dispatch_id: int) -> None:
    """Note that a dispatch has no bell on its way."""
    with database.transaction() as session:
        ledger.no_bell(session, dispatch_id)

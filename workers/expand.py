"""The task that enters a dispatch's mails."""

from service import broker, database, ledger
from service.bells import ring_for
from workers.app import app
from workers.quiet import quietly


@app.task(name=broker.EXPAND)  # type: ignore[untyped-decorator]
def expand(dispatch_id: int) -> None:
    """Enter a mail for everyone who followed, then ring for the sending."""
    with quietly(broker.EXPAND):
        with database.transaction() as session:
            ledger.expand(session, dispatch_id, database.now(session))
        ring_for(dispatch_id)

"""The task that enters a dispatch's mails."""

from service import bells, broker, expanding, sending
from service.expanding import Progress
from workers.app import app
from workers.quiet import quietly


@app.task(name=broker.EXPAND)  # type: ignore[untyped-decorator]
def expand(dispatch_id: int) -> None:
    """Enter a mail for everyone who followed, for a turn, then ring for the next one or for the sending."""
    with quietly(broker.EXPAND):
        progress = expanding.expand(dispatch_id, sending.stopping.is_set)
        if progress is Progress.SOME:
            broker.ring(broker.EXPAND, dispatch_id)
        elif progress is Progress.ALL:
            bells.ring_for(dispatch_id)  # whatever bell was on its way, was one to expand

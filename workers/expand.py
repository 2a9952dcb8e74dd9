"""The task that enters a dispatch's mails."""

from service import bells, broker, delivering, expanding
from service.expanding import Progress
from workers.app import app
from workers.quiet import quietly


@app.task(name=broker.EXPAND)  # type: ignore[untyped-decorator]
def expand(dispatch_id: int) -> None:
    """Enter a mail for everyone who followed, for a turn, then ring for the next one or for the sending."""
    with quietly(broker.EXPAND):
        progress = expanding.expand(dispatch_id, delivering.stopping)
        if progress is Progress.SOME:
            bells.quiet(dispatch_id)
            bells.ring_for(dispatch_id, broker.EXPAND)
        elif progress is Progress.ALL:
            bells.heard(dispatch_id, again=True)

"""The tasks that send what is due, a round at a time."""

from service import bells, broker, delivering
from workers.app import app
from workers.quiet import quietly


@app.task(name=broker.DELIVER)  # type: ignore[untyped-decorator]
def deliver(dispatch_id: int, bell: int) -> None:
    """Send a dispatch's mail for one round."""
    with quietly(broker.DELIVER):
        if bells.taken(dispatch_id, bell):
            bells.ring_if_due(dispatch_id)  # whoever is idle joins in
            delivering.deliver(dispatch_id)
            bells.ring_if_due(dispatch_id)


@app.task(name=broker.CONFIRM)  # type: ignore[untyped-decorator]
def confirm() -> None:
    """Send confirmations, notices and tests for one round, and ring for the next where more is due."""
    with quietly(broker.CONFIRM):
        if delivering.deliver(None).again:
            broker.ring(broker.CONFIRM)

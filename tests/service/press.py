"""A press room, followers and dispatches straight through the domain functions, each in a transaction of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from threading import Barrier
from typing import Any, TypeVar

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.orm import Session

from service import (
    address,
    books,
    database,
    expanding,
    imports,
    ledger,
    newsrooms,
    outcomes,
    recovery,
    releases,
    settings,
    subscriptions,
    tokens,
)
from service.expanding import Progress
from service.holding import WINDOW
from service.journal import Journal
from service.ledger import Batch
from service.models import Claim, Newsroom, Subscription
from service.outcomes import Mail, TakenBack
from service.release_file import parse as parse_release
from service.releases import Publication
from service.smtp import Accepted, Outcome
from service.subscriptions import ConsentShown

TWIN = Path(__file__).parents[1] / "twin"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CONSENT = ConsentShown(text="Bara pressmeddelanden.", version="1", page="/asele-strand", language="sv")
RELEASE = "---\nheadline: {headline}\nkeywords: [bad]\n---\n\n{body}\n"

Result = TypeVar("Result")


def after(seconds: float = 0, **more: float) -> datetime:
    """Return a moment after the beginning."""
    return START + timedelta(seconds=seconds, **more)


def configure(monkeypatch: pytest.MonkeyPatch, **values: object) -> None:
    """Set what an operator would set."""
    for name, value in values.items():
        monkeypatch.setenv(f"UTSKICK_{name}".upper(), str(value))
    settings.current.cache_clear()


def do(work: Callable[..., Result], *args: Any, **named: Any) -> Result:
    """Do one thing in a transaction of its own."""
    with database.transaction() as session:
        return work(session, *args, **named)


def at_once(count: int, work: Callable[[int], Result]) -> list[Result]:
    """Do something in several threads at the same moment."""
    barrier = Barrier(count)

    def one(number: int) -> Result:
        barrier.wait(10)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def rows(sql: str, **values: Any) -> list[Any]:
    """Read rows: plain values where there is one column."""
    with database.reading() as session:
        found = session.execute(text(sql), values).all()
    return [row[0] if len(row) == 1 else tuple(row) for row in found]


def one(sql: str, **values: Any) -> Any:
    """Read the only row."""
    (found,) = rows(sql, **values)
    return found


def write(sql: str, **values: Any) -> None:
    """Change rows behind the service's back."""
    with database.transaction() as session:
        session.execute(text(sql), values)


def everything() -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table."""
    with database.reading() as session:
        names = inspect(session.connection()).get_table_names()
        return {name: sorted(map(tuple, session.execute(text(f"SELECT * FROM {name}"))), key=repr) for name in names}


def room(slug: str = "asele-strand", **fields: str) -> Newsroom:
    """Make a newsroom."""
    lines = {"slug": slug, "name": "Åsele strands kommun", "language": "sv", "timezone": "Europe/Stockholm", **fields}
    written = "".join(f"{key}: {value}\n" for key, value in lines.items())
    return do(newsrooms.load, newsrooms.parse_file(written, f"{slug}.yaml"), START)


def follow(newsroom: Newsroom, email: str, now: datetime = START) -> None:
    """Ask to follow, as the follow box does."""
    do(subscriptions.subscribe, newsroom, address.parse(email), CONSENT, now)


def mail_out(now: datetime = START) -> None:
    """Let all that waits outside dispatches be accepted by the relay."""
    batch = claimed(None, now)
    if batch is None:
        return
    for mail in batch.mails:
        if begin(batch, mail, now):
            record(batch, mail, Accepted(250, "taken"), now)
    do(ledger.close, batch.claim_id)


def subscription(email: str, newsroom: Newsroom) -> Subscription:
    """Return the living subscription of an address."""

    def find(session: Session) -> Subscription:
        found = session.query(Subscription).filter_by(newsroom_id=newsroom.id, address_hash=address.hash_of(email))
        return found.one()

    return do(find)


def link(email: str, newsroom: Newsroom) -> str:
    """Return the token of the confirm link."""
    return tokens.confirm_token(subscription(email, newsroom).id)


def followers(newsroom: Newsroom, *emails: str, now: datetime = START) -> None:
    """Enter followers as confirmed."""
    do(imports.import_addresses, newsroom, [address.parse(email) for email in emails], CONSENT, now)


def crowd(newsroom: Newsroom, count: int) -> list[str]:
    """Enter so many followers as confirmed and return their addresses."""
    emails = [f"crowd-{number:03}@example.org" for number in range(count)]
    followers(newsroom, *emails)
    return emails


def leave(email: str, newsroom: Newsroom, now: datetime = START) -> None:
    """Leave by the link."""
    do(subscriptions.leave, subscription(email, newsroom).leave_token, now)


def release_file(name: str = "badet.md", headline: str = "Badet öppnar", body: str = "Välkommen.") -> Any:
    """Return a parsed release."""
    return parse_release(RELEASE.format(headline=headline, body=body), name)


def publish(newsroom: Newsroom, name: str = "badet.md", now: datetime = START, **options: Any) -> Publication:
    """Publish a release."""
    return do(releases.publish, newsroom, release_file(name), now, **options)


def expand(dispatch: int, now: datetime = START) -> bool:
    """Enter a dispatch's mails, all ranges; True where this call entered the last of them."""
    while (progress := do(expanding.enter, dispatch, now)) is Progress.SOME:
        pass
    return progress is Progress.ALL


def dispatched(newsroom: Newsroom, name: str = "badet.md", now: datetime = START) -> int:
    """Publish a release, expand its dispatch and return its number."""
    made = publish(newsroom, name, now).dispatch
    assert made is not None
    assert expand(made.id, now)
    return made.id


def claimed(dispatch: int | None, now: datetime = START, size: int = 100) -> Batch | None:
    """Claim mails that are due, as a worker of this process does; None where there are none."""
    batch = do(ledger.claim, dispatch, "test", now, size, WINDOW)
    if batch is not None:
        journal().claimed(batch.claim_id)
    return batch


def claim(dispatch: int | None, now: datetime = START, size: int = 100) -> Batch:
    """Claim mails that are due; there are some."""
    batch = claimed(dispatch, now, size)
    assert batch is not None
    return batch


def begin(batch: Batch, mail: Mail, now: datetime = START) -> bool:
    """Begin a mail, as a worker does: look whether it still may go, and note it."""
    its = do(lambda session: session.get_one(Claim, batch.claim_id))
    if its.lease_until < now:  # the fence of a worker that slept
        return False
    found = do(ledger.look, batch, its.dispatch_id, now)
    do(ledger.skip_unwelcome, batch.claim_id, found.unwelcome & {mail.id}, now)
    may = found.alive and found.sending and mail.id not in found.unwelcome
    if may:
        journal().begun(batch.claim_id, mail.id)
        journal().write()
    return may


def record(batch: Batch, mail: Mail, outcome: Outcome | TakenBack, now: datetime = START) -> None:
    """Write down what became of a mail."""
    do(outcomes.record, batch.claim_id, [(mail, outcome)], now)


def settle(now: datetime) -> int:
    """Settle whatever can be settled, the database's clock at this moment; return how many claims."""
    usual = database.clock.set(lambda _: now)
    try:
        return recovery.recover()
    finally:
        database.clock.reset(usual)


@lru_cache
def _journal(folder: Path) -> Journal:
    return Journal(folder)


def journal() -> Journal:
    """Return this process's journal."""
    return _journal(settings.current().journals)


def on_the_wire(dispatch: int, now: datetime = START) -> tuple[Batch, Mail]:
    """Claim one mail and begin it."""
    batch = claim(dispatch, now, 1)
    assert begin(batch, batch.mails[0], now)
    return batch, batch.mails[0]


def the_books(dispatch: int) -> books.Books:
    """Return a dispatch's books, which balance."""
    with database.reading() as session:
        found = books.of(session, dispatch)
    assert found is not None
    assert found.balanced, found
    return found


def state(mail: Mail) -> str:
    """Return the state of a delivery."""
    return str(one("SELECT state FROM deliveries WHERE id = :id", id=mail.id))

"""The newsrooms of the bench and their followers: `python -m service.cli.bench.press FOLLOWERS` fills a database.

The newsroom and the release are the demo's: its mail has 12 kB. The other newsroom has one follower, whose mail
shows that all processes are up and have done everything once.
"""

import sys
from datetime import datetime

from sqlalchemy import create_engine, insert, select
from sqlalchemy.orm import Session

from service import address, database, files, newsrooms, release_file, releases, tokens
from service.cli.demo.seeding import HERE
from service.columns import Base
from service.mail import Compiled
from service.models import Message, Newsroom, Subscription
from service.states import SubscriptionState

RELEASE = HERE / "releases" / "ny-bro.md"
NEWSROOM = "fjallvik"
WARM = "uppvarmning"
WARM_RELEASE = f"---\nnewsroom: {WARM}\nheadline: Alla är på plats\n---\n\nNu kan det börja.\n"
AT_ONCE = 10_000


def follower(number: int) -> str:
    """Return the address of a follower."""
    return f"follower.{number:07}@example.org"


def compiled() -> Compiled:
    """Return the release's mail as publishing compiles it; the tables for it last as long as this call."""
    bound = create_engine("sqlite://")
    Base.metadata.create_all(bound)
    with Session(bound) as session:
        now = database.now(session)
        file = release_file.parse(files.read(RELEASE), RELEASE.name)
        releases.publish(session, _newsroom(session, NEWSROOM, now), file, now)
        message = session.scalars(select(Message)).one()
        return Compiled(message.sender, message.content)


def _newsroom(session: Session, slug: str, now: datetime) -> Newsroom:
    told = newsrooms.parse_file(files.read(HERE / "newsroom.yaml"), "newsroom.yaml")
    return newsrooms.load(session, told.model_copy(update={"slug": slug}), now)


def _enter(session: Session, newsroom: Newsroom, everyone: range, now: datetime) -> None:
    same = {"newsroom_id": newsroom.id, "language": newsroom.language, "state": SubscriptionState.CONFIRMED}
    same |= {"created_at": now, "confirmed_at": now}
    for start in range(0, len(everyone), AT_ONCE):
        rows = [{"address": follower(number), **same} for number in everyone[start : start + AT_ONCE]]
        for row in rows:
            row |= {"address_hash": address.hash_of(str(row["address"])), "leave_token": tokens.new_leave_token()}
        session.execute(insert(Subscription), rows)


def fill(followers: int) -> None:
    """Make the tables, both newsrooms and everybody who follows."""
    database.migrate()
    with database.transaction() as session:
        now = database.now(session)
        _enter(session, _newsroom(session, WARM, now), range(followers, followers + 1), now)
        _enter(session, _newsroom(session, NEWSROOM, now), range(followers), now)


if __name__ == "__main__":
    fill(int(sys.argv[1]))

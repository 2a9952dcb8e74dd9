"""Dispatches and the ledger of mails."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.columns import Base, BigId
from service.models.content import Release
from service.states import DeliveryKind, DeliveryState, DispatchState


class Dispatch(Base):
    """One mailing of one version to everyone who followed at the moment of publishing.

    `expanded_to`: the last subscription entered, while that goes on. `folded_…`: how many of its mails have left the
    ledger since `folded_at`, long after its end.
    """

    __tablename__ = "dispatches"
    __table_args__ = (UniqueConstraint("release_id", "version"), Index(None, "state"))

    id: Mapped[int] = mapped_column(primary_key=True)
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id"))
    version: Mapped[int]
    state: Mapped[DispatchState]
    expanded_to: Mapped[int | None]
    recipients: Mapped[int | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    bell: Mapped[int] = mapped_column(default=0)
    rung_at: Mapped[datetime | None]
    folded_accepted: Mapped[int] = mapped_column(default=0)
    folded_refused: Mapped[int] = mapped_column(default=0)
    folded_skipped: Mapped[int] = mapped_column(default=0)
    folded_uncertain: Mapped[int] = mapped_column(default=0)
    folded_at: Mapped[datetime | None]

    release: Mapped[Release] = relationship()


class Message(Base):
    """A dispatch's compiled mail in one language: stored bytes, joined for each recipient (see service/mail)."""

    __tablename__ = "messages"
    __table_args__ = (UniqueConstraint("dispatch_id", "language"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    dispatch_id: Mapped[int] = mapped_column(ForeignKey("dispatches.id"))
    language: Mapped[str] = mapped_column(String(2))
    sender: Mapped[str] = mapped_column(String(320))
    content: Mapped[bytes] = mapped_column(LargeBinary)


class Claim(Base):
    """One worker's hold on a batch of deliveries, for as long as its lease.

    `window`: so many of them, the first that have no outcome yet, in the order of sending, may be on their way.
    """

    __tablename__ = "claims"
    __table_args__ = (Index(None, "closed", "lease_until"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    queue: Mapped[str] = mapped_column(String(20))
    dispatch_id: Mapped[int | None] = mapped_column(ForeignKey("dispatches.id"), index=True)
    worker: Mapped[str] = mapped_column(String(120))
    claimed_at: Mapped[datetime]
    lease_until: Mapped[datetime]
    window: Mapped[int] = mapped_column(default=1)
    closed: Mapped[bool] = mapped_column(default=False)


DUE = text("state IN ('queued', 'deferred')")
"""A delivery that may be claimed, written out so that both databases use the partial index on it."""


IN_HAND = text("state = 'claimed'")
"""A delivery that some claim holds."""

ALONE = text("dispatch_id IS NULL")
"""A delivery outside any dispatch; they are few among many."""


def _tests_by(column: str) -> Index:
    """Return an index of a column that only tests have: they are few among many."""
    its = text(f"{column} IS NOT NULL")
    return Index(f"ix_deliveries_{column}", column, sqlite_where=its, postgresql_where=its)


class Delivery(Base):
    """One mail: a row before it leaves. It goes to a follower or, a test of a version, to one of the staff.

    The ledger alone writes it, and most of what PostgreSQL spends on a mail is indexes and checks. So there are few:
    each index is written anew for each mail twice, so those for what is in hand or due are partial, and a public id is
    unique by its 122 bits of chance. No foreign key guards dispatch, follower and claim, none of which is
    deleted while a mail names it: checking them took 40 % of entering a mail.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("subscription_id", "dispatch_id"),  # in this order it also finds a follower's mails
        Index(None, "dispatch_id", "state"),
        Index("ix_deliveries_in_hand", "claim_id", sqlite_where=IN_HAND, postgresql_where=IN_HAND),
        _tests_by("staff_id"),
        _tests_by("version_id"),
        Index("ix_deliveries_alone", "settled_at", sqlite_where=ALONE, postgresql_where=ALONE),
        Index("ix_deliveries_due", "dispatch_id", "due_at", "id", sqlite_where=DUE, postgresql_where=DUE),
        CheckConstraint("(kind = 'release') = (dispatch_id IS NOT NULL)", name="release_has_dispatch"),
        CheckConstraint("(kind = 'test') = (staff_id IS NOT NULL)", name="test_to_staff"),
        CheckConstraint("(staff_id IS NULL) = (subscription_id IS NOT NULL)", name="one_recipient"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32))
    kind: Mapped[DeliveryKind]
    dispatch_id: Mapped[int | None]
    subscription_id: Mapped[int | None]
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    version_id: Mapped[int | None] = mapped_column(ForeignKey("versions.id", ondelete="SET NULL"))
    state: Mapped[DeliveryState]
    held: Mapped[bool] = mapped_column(default=False)
    dropped: Mapped[bool] = mapped_column(default=False)
    attempts: Mapped[int] = mapped_column(default=0)
    uncertain_events: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime]
    claim_id: Mapped[int | None] = mapped_column(BigId)
    settled_at: Mapped[datetime | None]
    reply_code: Mapped[int | None]
    reply: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]


class Relay(Base):
    """What is known of the relay: one row. Until `taken_until` SMTP_MAX_RATE's turns are given away."""

    __tablename__ = "relay"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    unreachable_since: Mapped[datetime | None]
    next_try_at: Mapped[datetime | None]
    taken_until: Mapped[datetime | None]
    last_words: Mapped[str | None] = mapped_column(Text)

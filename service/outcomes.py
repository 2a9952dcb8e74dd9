"""What became of mails that were handed over, written down in groups.

Every change is an UPDATE that names the state it expects, so that doing it twice changes nothing.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Integer,
    Text,
    Update,
    and_,
    bindparam,
    case,
    cast,
    column,
    func,
    literal,
    literal_column,
    or_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from service import settings
from service.models import Delivery
from service.smtp import Accepted, Outcome, Refused, Uncertain
from service.states import DeliveryKind, DeliveryState

S = DeliveryState


class Mail(NamedTuple):
    """One claimed delivery, as much of it as sending needs. `address` is None once the follower has left.

    A test goes to one of the staff: it has no subscription, and an inert leave token. `welcome`: it may go.
    """

    id: int
    public_id: str
    kind: DeliveryKind
    subscription_id: int | None
    attempts: int
    dropped: bool
    address: str | None
    leave_token: str
    language: str
    welcome: bool


class TakenBack(NamedTuple):
    """A connection was lost with this recipient named: due again after `wait`, no attempt burnt.

    `words`: what was said, kept for the next time.
    """

    wait: timedelta
    words: str


Entry = tuple[Mail, Outcome | TakenBack]
"""A mail, and what became of it; the words name nobody."""


def record(
    session: Session, claim_id: int, entries: Iterable[Entry], now: datetime, *, due_at: datetime | None = None
) -> None:
    """Write down what became of mails that this claim handed over.

    `due_at`: when those in doubt go again, where that is not the usual time.
    A late answer still counts after the claim was settled, unless somebody has claimed the row anew.
    """
    accepted: list[tuple[int, int, int, str]] = []
    changes: dict[Update, list[dict[str, Any]]] = defaultdict(list)
    for mail, outcome in entries:
        if isinstance(outcome, Accepted):
            accepted.append((mail.id, mail.attempts + 1, outcome.code, outcome.words))
        else:
            statement, values = _change(mail, outcome, now, due_at)
            changes[statement].append({"its_id": mail.id, "its_claim": claim_id, "tries": mail.attempts + 1} | values)
    connection = session.connection()
    if accepted:
        rows = {"its_claim": claim_id, "at": now, "rows": json.dumps(accepted)}
        connection.execute(_accept(connection.dialect.name), rows)
    for statement, many in changes.items():
        connection.execute(statement, many)


def _change(
    mail: Mail, outcome: Refused | Uncertain | TakenBack, now: datetime, due_at: datetime | None
) -> tuple[Update, dict[str, Any]]:
    match outcome:
        case Refused(permanent, code, words):
            heard: dict[str, Any] = {"code": code, "said": words}
            if permanent or not _tries_left(mail):
                return _refuse(), heard | {"at": now}
            return _put_off(), heard | {"due": now + _patience(mail)}
        case Uncertain(words):
            return _doubt(), {"said": words} | _doubtful(mail, due_at or now + _patience(mail), now)
        case TakenBack(wait, words):
            return _take_back(), {"said": words, "due": now + wait}


def _tries_left(mail: Mail) -> bool:
    return mail.attempts < len(settings.current().retry_after)


def _patience(mail: Mail) -> timedelta:
    """Return how long to wait after this try (RFC 5321 §4.5.4.1)."""
    waits = settings.current().retry_after
    return timedelta(seconds=waits[min(mail.attempts, len(waits) - 1)])


def _doubtful(mail: Mail, due_at: datetime, now: datetime) -> dict[str, Any]:
    """Return what a row becomes whose mail the relay may have or not: due again then, held, or uncertain for good."""
    hold = settings.current().uncertain == "hold" and mail.kind is DeliveryKind.RELEASE
    again = _tries_left(mail) and not hold
    return {"becomes": S.DEFERRED if again else S.UNCERTAIN, "due": due_at, "hold": hold, "at": None if again else now}


def _moment(name: str) -> BindParameter[datetime]:
    return bindparam(name, type_=Delivery.due_at.type)


def _mine(*states: ColumnElement[bool]) -> Update:
    """A row of this claim that nobody has claimed since, in one of these states: settled or not, an answer is true."""
    its = and_(Delivery.id == bindparam("its_id"), Delivery.claim_id == bindparam("its_claim"))
    return update(Delivery).where(its, or_(*states))


_CLAIMED, _DEFERRED, _UNCERTAIN = (Delivery.state == state for state in (S.CLAIMED, S.DEFERRED, S.UNCERTAIN))
_HELD = and_(_UNCERTAIN, Delivery.held.is_(True))
"""A refusal brings nothing back to a dispatch that may have finished, but for what is held."""

_HEARD: dict[str, Any] = {"attempts": bindparam("tries"), "reply": bindparam("said"), "dropped": False}
_CODE: dict[str, Any] = {"reply_code": bindparam("code")}


@lru_cache
def _accept(dialect: str) -> Update:
    """The statement for all accepted mails of a group, given as a JSON list of [id, attempts, code, words]."""
    rows = bindparam("rows", type_=Text())
    each = func.json_each(rows) if dialect == "sqlite" else func.jsonb_array_elements(cast(rows, JSONB))
    heard = each.table_valued(column("value", Text()), name="heard")
    heard = heard if dialect == "sqlite" else heard.render_derived()

    def told(place: int, kind: Any) -> Any:
        return cast(heard.c.value.op("->>")(literal_column(str(place))), kind)

    its = and_(Delivery.id == told(0, BigInteger()), Delivery.claim_id == bindparam("its_claim"))
    accepted = update(Delivery).where(its, or_(_CLAIMED, _DEFERRED, _UNCERTAIN))
    news = {"attempts": told(1, Integer()), "reply_code": told(2, Integer()), "reply": told(3, Text())}
    return accepted.values(state=S.ACCEPTED, held=False, dropped=False, settled_at=_moment("at"), **news)


@lru_cache
def _refuse() -> Update:
    refused = _mine(_CLAIMED, _DEFERRED, _HELD).values(**_HEARD, **_CODE)
    return refused.values(state=unless_uncertain(S.REFUSED), held=False, settled_at=_moment("at"))


@lru_cache
def _put_off() -> Update:
    deferred = _mine(_CLAIMED, _DEFERRED, _HELD).values(**_HEARD, **_CODE)
    return deferred.values(state=S.DEFERRED, held=False, due_at=_moment("due"), settled_at=None)


@lru_cache
def _doubt() -> Update:
    doubt = _mine(_CLAIMED).values(**_HEARD, reply_code=None, uncertain_events=Delivery.uncertain_events + 1)
    state = bindparam("becomes", type_=Delivery.state.type)
    return doubt.values(state=state, due_at=_moment("due"), held=bindparam("hold"), settled_at=_moment("at"))


@lru_cache
def _take_back() -> Update:
    said: dict[str, Any] = {"reply": bindparam("said"), "reply_code": None, "dropped": True}
    return _mine(_CLAIMED).values(state=S.QUEUED, due_at=_moment("due"), **said)


def unless_uncertain(state: DeliveryState) -> ColumnElement[DeliveryState]:
    """SQL: a row that was ever uncertain and cannot go again stays uncertain for good."""
    uncertain = literal(S.UNCERTAIN, Delivery.state.type)
    return case((Delivery.uncertain_events > 0, uncertain), else_=literal(state, Delivery.state.type))

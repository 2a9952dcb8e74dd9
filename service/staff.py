"""People of the desk: who may do what where, their passwords, and with which browsers they are logged in."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from threading import Semaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, joinedload

from service import database, tokens
from service.address import Address, hash_of
from service.models import Login, Membership, Newsroom, Staff
from service.states import Role

LINK = timedelta(days=3)
"""How long the one-time link to set a password is good for."""

LOGIN = timedelta(hours=12)
"""How long a log-in is good for: a working day."""

SHORTEST, LONGEST = 12, 500
"""Characters in a password."""

_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)  # OWASP's argon2id: 19 MiB, 2 passes
_turns = Semaphore(4)
"""Passwords that are looked at at once: each takes 19 MiB."""


class Elsewhere(Exception):
    """Somebody whom an administrator cannot let in: one of another newsroom may hold their password or link."""


class BadPassword(Exception):
    """Why a password is refused, as a code that an edge puts into words: short, long, address or monotonous."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Added:
    """Somebody with a new role; `token` is of the link to set a password, empty where none was made."""

    staff: Staff
    token: str
    voided: bool = False
    """The password, the open link and the log-ins that they had are void."""


def add(session: Session, address: Address, name: str, newsroom: Newsroom, role: Role, now: datetime) -> Added:
    """Give somebody a role in a newsroom, for the operator; the role they had there is replaced.

    One without a password gets a link to set it. So does whoever comes from elsewhere: a link is shown to the
    administrator who makes it and proves no mailbox, so the password that they have may be somebody else's.
    """
    staff = _held(session, address, now)
    voided = _membership(session, staff.id, newsroom.id) is None and _has_way_in(staff, now)
    if voided:
        _void(session, staff.id)
    _give(session, staff, name, newsroom, role)
    return Added(staff, "" if staff.password_hash else new_link(session, staff, now), voided)


def add_here(session: Session, address: Address, name: str, newsroom: Newsroom, role: Role, now: datetime) -> Added:
    """Do the same for an administrator of the newsroom; raise Elsewhere for somebody with an account from elsewhere.

    A member of other newsrooms too gets no link and keeps the name: they are not this administrator's alone.
    """
    staff = _held(session, address, now)
    others = works_elsewhere(session, staff.id, newsroom.id)
    if _membership(session, staff.id, newsroom.id) is None and (others or _has_way_in(staff, now)):
        raise Elsewhere
    _give(session, staff, "" if others else name, newsroom, role)
    return Added(staff, "" if others or staff.password_hash else new_link(session, staff, now))


def link_here(session: Session, staff: Staff, newsroom_id: int, now: datetime) -> str:
    """Return a new link's token for an administrator; raise Elsewhere where it would open another newsroom as well."""
    _hold(session, staff.address_hash)
    if works_elsewhere(session, staff.id, newsroom_id):
        raise Elsewhere
    return new_link(session, staff, now)


def new_link(session: Session, staff: Staff, now: datetime) -> str:
    """Return the token of a fresh one-time link to set a password; an older link is dead."""
    token = tokens.new_secret()
    staff.link_hash, staff.link_expires_at = tokens.digest(token), now + LINK
    session.flush()
    return token


def by_address(session: Session, text: str) -> Staff | None:
    """Return the one with this address, whatever its case."""
    return session.scalar(select(Staff).where(Staff.address_hash == hash_of(text)))


def by_link(session: Session, token: str, now: datetime) -> Staff | None:
    """Return whose one-time link this is, while it is good."""
    wanted = (Staff.link_hash == tokens.digest(token), Staff.link_expires_at > now)
    return session.scalar(select(Staff).where(*wanted))


def check_new(password: str, staff: Staff) -> None:
    """Raise BadPassword for a new password that would not protect."""
    local = staff.address.partition("@")[0].casefold()
    if len(password) < SHORTEST:
        raise BadPassword("short")
    if len(password) > LONGEST:
        raise BadPassword("long")
    if password.casefold() in (staff.address.casefold(), local, local * 2):
        raise BadPassword("address")
    if len(set(password)) < 4:
        raise BadPassword("monotonous")


def hashed(password: str) -> str:
    """Return a password's argon2id hash. It takes long on purpose: do it outside of a transaction."""
    with _turns:
        return _hasher.hash(password)


def matches(password_hash: str | None, password: str) -> bool:
    """Tell whether a password is the one; as long for nobody's. Do it outside of a transaction."""
    with _turns:
        nobodys = _nobodys()  # also where it is not needed: the first answer takes as long for everyone
        try:
            return _hasher.verify(password_hash or nobodys, password[:LONGEST]) and password_hash is not None
        except (VerificationError, InvalidHashError):
            return False


@lru_cache(maxsize=1)
def _nobodys() -> str:
    """Return a hash to verify where there is none; made once, in a process that needs it."""
    return _hasher.hash("nobody's password")


def set_by_link(session: Session, token: str, password_hash: str, now: datetime) -> Staff | None:
    """Use up a one-time link: set the password, end all log-ins. None for a link that was used or is too old."""
    used = update(Staff).where(Staff.link_hash == tokens.digest(token), Staff.link_expires_at > now)
    used = used.values(password_hash=password_hash, link_hash=None, link_expires_at=None)
    number = session.scalar(used.returning(Staff.id))
    if number is None:
        return None
    log_out_everywhere(session, number)
    return session.get_one(Staff, number, populate_existing=True)


def set_password(session: Session, known: Staff, password_hash: str, keep: int) -> bool:
    """Change the password that was looked at, ending other log-ins and the link; False where it is another by now."""
    changed = update(Staff).where(Staff.id == known.id, Staff.password_hash == known.password_hash)
    changed = changed.values(password_hash=password_hash, link_hash=None, link_expires_at=None)
    if session.scalar(changed.returning(Staff.id)) is None:
        return False
    log_out_everywhere(session, known.id, keep)
    return True


def log_in(session: Session, known: Staff, agent: str, now: datetime) -> str | None:
    """Open a log-in by the password that was looked at and return its token, which only the browser keeps.

    None where it is another by now. The row is locked, so that a reset comes before this or ends it.
    """
    same = (Staff.id == known.id, Staff.password_hash.is_not(None), Staff.password_hash == known.password_hash)
    if session.scalar(select(Staff.id).where(*same).with_for_update()) is None:
        return None
    token = tokens.new_secret()
    login = Login(
        staff_id=known.id,
        token_hash=tokens.digest(token),
        agent="".join(filter(str.isprintable, agent))[:200],
        created_at=now,
        expires_at=now + LOGIN,
    )
    session.add(login)
    session.flush()
    return token


def logged_in(session: Session, token: str, now: datetime) -> Login | None:
    """Return the log-in that a browser's token names, with its staff, while it lasts."""
    wanted = select(Login).where(Login.token_hash == tokens.digest(token), Login.expires_at > now)
    return session.scalar(wanted.options(joinedload(Login.staff)))


def drop(session: Session, token: str) -> None:
    """End the log-in that a browser's token names, if any."""
    session.execute(delete(Login).where(Login.token_hash == tokens.digest(token)))


def logins(session: Session, staff_id: int, now: datetime) -> list[Login]:
    """Return somebody's log-ins, newest first."""
    wanted = select(Login).where(Login.staff_id == staff_id, Login.expires_at > now)
    return list(session.scalars(wanted.order_by(Login.id.desc())))


def log_out(session: Session, staff_id: int, login_id: int) -> bool:
    """End one of somebody's log-ins; False for one that is not there or not theirs."""
    gone = delete(Login).where(Login.id == login_id, Login.staff_id == staff_id)
    return session.scalar(gone.returning(Login.id)) is not None


def log_out_everywhere(session: Session, staff_id: int, keep: int | None = None) -> int:
    """End all of somebody's log-ins, but the one to keep; return how many those were."""
    others = delete(Login).where(Login.staff_id == staff_id)
    others = others if keep is None else others.where(Login.id != keep)
    return len(session.scalars(others.returning(Login.id)).all())


def memberships(session: Session, staff_id: int) -> list[Membership]:
    """Return where somebody may do what, with the newsrooms, by name."""
    wanted = select(Membership).join(Membership.newsroom).where(Membership.staff_id == staff_id)
    return list(session.scalars(wanted.options(joinedload(Membership.newsroom)).order_by(Newsroom.name)))


def works_elsewhere(session: Session, staff_id: int, newsroom_id: int) -> bool:
    """Tell whether somebody has a role in another newsroom than this."""
    others = select(Membership.id).where(Membership.staff_id == staff_id, Membership.newsroom_id != newsroom_id)
    return session.scalar(others.limit(1)) is not None


def role_in(session: Session, staff_id: int, newsroom_id: int) -> Role | None:
    """Return what somebody may do in a newsroom, None for nothing."""
    found = _membership(session, staff_id, newsroom_id)
    return found.role if found else None


def members(session: Session, newsroom_id: int | None = None) -> list[Membership]:
    """Return who may do what in a newsroom (None: in any), with staff and newsrooms, by address."""
    wanted = select(Membership).join(Membership.staff).join(Membership.newsroom)
    if newsroom_id is not None:
        wanted = wanted.where(Membership.newsroom_id == newsroom_id)
    loaded = wanted.options(joinedload(Membership.staff), joinedload(Membership.newsroom))
    return list(session.scalars(loaded.order_by(Newsroom.slug, Staff.address)))


def set_role(session: Session, staff_id: int, newsroom_id: int, role: Role) -> None:
    """Change what a member of a newsroom may do there."""
    its = (Membership.staff_id == staff_id, Membership.newsroom_id == newsroom_id)
    session.execute(update(Membership).where(*its).values(role=role))


def remove(session: Session, staff_id: int, newsroom_id: int) -> bool:
    """Take somebody's role in a newsroom away; False where they had none. It counts from their next click."""
    gone = delete(Membership).where(Membership.staff_id == staff_id, Membership.newsroom_id == newsroom_id)
    return session.scalar(gone.returning(Membership.id)) is not None


def expire(session: Session, now: datetime) -> None:
    """Forget log-ins that are over and links that were not used."""
    session.execute(delete(Login).where(Login.expires_at <= now))
    unused = update(Staff).where(Staff.link_expires_at <= now)
    session.execute(unused.values(link_hash=None, link_expires_at=None))


def _hold(session: Session, address_hash: str) -> None:
    database.one_at_a_time(session, f"staff:{address_hash}")


def _held(session: Session, address: Address, now: datetime) -> Staff:
    """Return the row with this address, a new one where there is none, which nobody else adds meanwhile."""
    _hold(session, address.hash)
    wanted = select(Staff).where(Staff.address_hash == address.hash).execution_options(populate_existing=True)
    staff = session.scalar(wanted)
    if staff is None:
        staff = Staff(address=address.text, address_hash=address.hash, created_at=now)
        session.add(staff)
        session.flush()
    return staff


def _give(session: Session, staff: Staff, name: str, newsroom: Newsroom, role: Role) -> None:
    staff.name = name or staff.name or ""
    membership = _membership(session, staff.id, newsroom.id)
    if membership is None:
        session.add(Membership(staff_id=staff.id, newsroom_id=newsroom.id, role=role))
    else:
        membership.role = role
    session.flush()


def _has_way_in(staff: Staff, now: datetime) -> bool:
    return bool(staff.password_hash) or (staff.link_expires_at is not None and staff.link_expires_at > now)


def _void(session: Session, staff_id: int) -> None:
    """Close every way in, whatever became of it since the row was read."""
    nothing = update(Staff).where(Staff.id == staff_id)
    session.execute(nothing.values(password_hash=None, link_hash=None, link_expires_at=None))
    log_out_everywhere(session, staff_id)


def _membership(session: Session, staff_id: int, newsroom_id: int) -> Membership | None:
    wanted = (Membership.staff_id == staff_id, Membership.newsroom_id == newsroom_id)
    return session.scalar(select(Membership).where(*wanted))

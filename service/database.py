"""The engine, transactions and the clock: the database's own, since hosts may disagree about the time."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any, Self, TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, func, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import String

from service import settings

Result = TypeVar("Result")

BUSY_TIMEOUT = 10.0
"""Seconds to wait for SQLite's write lock or a PostgreSQL row lock."""


_SQLITE_AWAY = (
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
    "SQLITE_CANTOPEN",
    "SQLITE_IOERR",
    "SQLITE_FULL",
    "SQLITE_READONLY",
    "SQLITE_NOTADB",
)


class PendingMigrations(Exception):
    """The database's schema is older (or newer) than the code; the text names the command that helps."""


class random_id(FunctionElement[str]):  # noqa: N801 - used like an SQL function
    """SQL for 32 random hexadecimal digits, made anew for each row."""

    type = String(32)
    inherit_cache = True


@compiles(random_id, "sqlite")
def _random_id_sqlite(*_: Any, **__: Any) -> str:
    return "lower(hex(randomblob(16)))"


@compiles(random_id, "postgresql")
def _random_id_postgresql(*_: Any, **__: Any) -> str:
    return "replace(gen_random_uuid()::text, '-', '')"


@lru_cache
def engine(url: str) -> Engine:
    """Return the process's engine for a database URL, with the pragmas that SQLite needs."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        options = f"-c lock_timeout={int(BUSY_TIMEOUT * 1000)} -c idle_in_transaction_session_timeout=15000"
        # A server that vanished without a word is given up within half a minute.
        signs = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 25_000}
        args = {"connect_timeout": 5, "options": options, **signs}
        return create_engine(parsed, hide_parameters=True, pool_pre_ping=True, pool_size=10, connect_args=args)
    args = {"timeout": BUSY_TIMEOUT, "check_same_thread": False}
    made = create_engine(parsed, hide_parameters=True, connect_args=args)  # an error in a log shows no address
    event.listen(made, "connect", _sqlite_connect)
    event.listen(made, "begin", _sqlite_begin)
    return made


def _sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _sqlite_begin(connection: Connection) -> None:
    # A deferred read-then-write fails at once with "database is locked", busy timeout or not.
    reading = connection.get_execution_options().get("utskick_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@contextmanager
def transaction() -> Iterator[Session]:
    """Open a session that writes: commit at the end, roll back on an error."""
    with Session(engine(settings.current().database), expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def reading() -> Iterator[Session]:
    """Open a session that only reads; on SQLite it takes no lock."""
    bound = engine(settings.current().database).execution_options(utskick_reading=True)
    if bound.dialect.name == "postgresql":  # so that several statements see one state of the books
        bound = bound.execution_options(isolation_level="REPEATABLE READ")
    with Session(bound, expire_on_commit=False) as session, session.begin():
        yield session


def _database_clock(session: Session) -> datetime:
    if session.get_bind().dialect.name == "sqlite":
        told = session.scalar(select(func.strftime("%Y-%m-%d %H:%M:%f", "now")))
        return datetime.fromisoformat(str(told)).replace(tzinfo=UTC)
    told_at = session.scalar(select(func.clock_timestamp()))
    assert isinstance(told_at, datetime)  # noqa: S101 - what clock_timestamp() is
    return told_at.astimezone(UTC)


clock: ContextVar[Callable[[Session], datetime]] = ContextVar("clock", default=_database_clock)
"""Whose clock tells the time, in this thread."""


def now(session: Session) -> datetime:
    """Return the moment by the database's clock, in UTC."""
    return clock.get()(session)


def is_away(error: BaseException) -> bool:
    """Tell whether an error means that the database cannot be used just now (gone, restarting, locked)."""
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorname", "").startswith(_SQLITE_AWAY)
    read_only = getattr(error.orig, "sqlstate", None) == "25006"  # a standby after a switchover, a full disk
    return read_only or isinstance(error, OperationalError) or error.connection_invalidated


def tried(work: Callable[[Session], object]) -> bool:
    """Do work in a transaction of its own; False where the database is away."""
    try:
        with transaction() as session:
            work(session)
    except DBAPIError as error:
        if not is_away(error):
            raise
        return False
    return True


class Standing:
    """A connection kept for many statements: neither the pool nor a sign of life is asked for between two.

    On PostgreSQL each statement is a transaction. Use it in a `with` block.
    """

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._session: Session | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def tried(self, work: Callable[[Session], object]) -> bool:
        """Do work; False where the database is away."""
        try:
            session = self._session or self._open()
            with session.begin():
                work(session)
        except DBAPIError as error:
            self._close()
            if not is_away(error):
                raise
            return False
        return True

    def _open(self) -> Session:
        self._connection = engine(settings.current().database).connect()
        if self._connection.dialect.name == "postgresql":
            self._connection = self._connection.execution_options(isolation_level="AUTOCOMMIT")
            # A few rows by their ids: statistics of a quiet hour would make it read the whole table for each group.
            self._connection.exec_driver_sql("SET enable_seqscan = off")
        self._session = Session(self._connection, expire_on_commit=False)
        return self._session

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()  # it is not as others expect it
            self._connection.close()
        self._connection = self._session = None


def insist(work: Callable[[Session, datetime], Result]) -> Result:
    """Do work in a transaction of its own, again while the database is away, for as long as a lease."""
    until = monotonic() + settings.current().lease
    while True:
        try:
            with transaction() as session:
                return work(session, now(session))
        except DBAPIError as error:
            if not is_away(error) or monotonic() > until:
                raise
            Event().wait(0.2)


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(settings.ROOT / "migrations").replace("%", "%%"))
    return config


def migrate() -> str:
    """Bring the schema up to date and return its revision."""
    url = settings.current().database
    if url.startswith("sqlite"):
        _make_room(settings.current().var_dir)
    try:
        command.upgrade(_alembic(), "head")
    except CommandError as error:  # alembic's word for a revision that is not in our folder
        raise PendingMigrations(f"the database is newer than this code: {error}") from None
    return check_schema()


def _make_room(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        said = f"no database can be made in {folder.resolve()}: {error.strerror}"
        raise settings.SettingsError(f"{said}. Is this the directory of your .env?") from None


def check_schema() -> str:
    """Return the schema's revision; raise PendingMigrations where it is not the code's."""
    config = settings.current()
    file = Path(make_url(config.database).database or "")
    if config.database.startswith("sqlite") and not file.exists():
        raise PendingMigrations(
            f"there is no database yet at {file.resolve()}: run `utskick migrate` (or `utskick up`, which makes one), "
            "or come to the directory of your .env"
        )
    head = ScriptDirectory.from_config(_alembic()).get_current_head()
    bound = engine(settings.current().database).execution_options(utskick_reading=True)
    with bound.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found != head or head is None:
        raise PendingMigrations(
            f"the database has pending migrations (it is at {found or 'nothing'}, the code at {head}): "
            "run `utskick migrate`"
        )
    return head


def one_at_a_time(session: Session, key: str) -> None:
    """Wait, until this transaction ends, for others that name the same key. SQLite has one writer anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))


def share(session: Session, key: str) -> None:
    """Hold a key until this transaction ends, together with others who share it; `barrier` waits for all of them."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock_shared(func.hashtextextended(key, 0))))


def barrier(session: Session, key: str) -> None:
    """Wait until all who shared the key by now have committed, so that the next statement sees what they did."""
    if session.get_bind().dialect.name == "postgresql":
        hashed = func.hashtextextended(key, 0)
        session.execute(select(func.pg_advisory_lock(hashed)))
        session.execute(select(func.pg_advisory_unlock(hashed)))


def ping(session: Session) -> None:
    """Ask the database for a sign of life."""
    session.execute(text("SELECT 1"))

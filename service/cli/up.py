"""`utskick up`: everything on this machine, until Ctrl-C."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import typer
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from service import database, settings
from service.cli import ports, valkey, vardir
from service.cli.supervisor import StopAsked, Supervisor, read_procfile
from service.cli.vardir import Refused
from service.cli.voice import Voice, careful_output
from service.models import Subscription

START = 60.0
"""Seconds until a process that is not ready is mentioned."""
LOOPBACK = "127.0.0.1"

Before = Callable[[], None]
Then = Callable[[Supervisor], None]


def up() -> None:
    """Run everything on this machine (database, broker, web, workers, mailbox) until Ctrl-C."""
    with told_why("up"):
        config = settings.current()
        with vardir.hold(config.var_dir) as was_killed:
            socket = None if config.broker_url else valkey.choose_socket(config.var_dir)
            Machine(config, socket, mailbox=uses_mailbox(config)).run(was_killed)


@contextmanager
def told_why(command: str) -> Iterator[None]:
    """Say in one line why it cannot start, and end with exit code 1."""
    careful_output()
    os.umask(0o077)
    try:
        yield
    except (Refused, settings.SettingsError, database.PendingMigrations) as error:
        typer.echo(f"utskick {command}: {error}", err=True)
        sys.exit(1)


def uses_mailbox(config: settings.Settings) -> bool:
    """Tell whether mail goes to the mailbox; raise SettingsError where a relay is needed and not set."""
    return bool(config.relay) and not config.smtp_url


class Machine:
    """The processes of this machine, on settings that are known to be good."""

    def __init__(self, config: settings.Settings, broker: Path | None, *, mailbox: bool) -> None:
        self.config = config
        self.broker = broker
        self.mailbox = mailbox
        self.voice = Voice()
        self.supervisor = Supervisor(self.voice)

    def run(self, was_killed: bool, before: Before = lambda: None, then: Then = lambda _: None) -> None:
        """Prepare (and do `before`), start everything, do `then`, and go on until asked to stop."""
        self.supervisor.listen()
        try:
            ports.check(self._ports(), patient=was_killed)
            prepare_database(self.config)
            vardir.announce_site(self.config)
            before()
            self._start()
            then(self.supervisor)
            self.supervisor.forever()
        except StopAsked:
            self.voice.note("stopping")
        finally:
            self.supervisor.stop()
            vardir.withdraw_site(self.config.var_dir)
            if self.broker is not None:
                valkey.withdraw(self.config.var_dir, self.broker)
        self.voice.note("stopped")

    def _ports(self) -> dict[str, tuple[str, int]]:
        wanted = {"PORT": (self.config.host, self.config.port)}
        if self.mailbox:
            wanted["MAILBOX_PORT"] = (LOOPBACK, self.config.mailbox_port)
            wanted["MAILBOX_SMTP_PORT"] = (LOOPBACK, self.config.mailbox_smtp_port)
        return wanted

    def _start(self) -> None:
        if self.mailbox:
            self.supervisor.start("mailbox", [sys.executable, "-m", "service.cli.mailbox"], base=True)
        if self.broker is not None:
            self._start_broker(self.broker)
        self._await("mailbox", self._mailbox_answers)
        for name, command in read_procfile(settings.ROOT / "Procfile"):
            self.supervisor.start(name, command)
        self._await("web", self._web_answers)
        self.voice.plain(self._where_to_look())

    def _start_broker(self, path: Path) -> None:
        var_dir = self.config.var_dir
        valkey.announce(var_dir, path)
        self.supervisor.start("broker", valkey.command(var_dir, path), base=True)
        self.supervisor.until(lambda: valkey.answers(path) or self.supervisor.deaths("broker") > 1, START)
        if self.supervisor.deaths("broker") > 1:
            valkey.begin_anew(var_dir)
            self.voice.note("the broker cannot read its files and begins anew; nothing is lost")
        self._await("broker", lambda: valkey.answers(path))

    def _await(self, name: str, condition: Callable[[], bool]) -> None:
        if not self.supervisor.until(condition, START):
            self.voice.note(f"{name} is not ready yet; its lines above may say why")

    def _mailbox_answers(self) -> bool:
        return not self.mailbox or answers(LOOPBACK, self.config.mailbox_port, "/healthz")

    def _web_answers(self) -> bool:
        host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(self.config.host, self.config.host)  # noqa: S104 - a name
        return answers(host, self.config.port, "/readyz")

    def _where_to_look(self) -> str:
        mailbox = f"  Mailbox      http://{LOOPBACK}:{self.config.mailbox_port}/\n"
        return (
            "\nUtskick is running.\n\n"
            f"  Press room   {self.config.site}/\n"
            f"  Desk         {self.config.site}/desk\n"
            f"{mailbox if self.mailbox else '  Mail         goes out through UTSKICK_SMTP_URL' + chr(10)}"
            f"  State        {self.config.var_dir}\n\n"
            "Press Ctrl-C to stop.\n"
        )


def prepare_database(config: settings.Settings) -> None:
    """Migrate our own SQLite, check any other database, and make the keys that are missing."""
    try:
        if config.database == f"sqlite:///{config.var_dir / 'utskick.db'}":
            database.migrate()
        else:
            database.check_schema()
        with database.reading() as session:
            followed = session.scalar(select(Subscription.id).limit(1)) is not None
    except SQLAlchemyError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise Refused(f"the database cannot be used: {reason}") from None
    vardir.make_keys(config, followed=followed)


def answers(host: str, port: int, path: str) -> bool:
    """Tell whether a web server of ours answers 200."""
    connection = HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()

"""The service on a database, a broker and a relay of the bench's own: its commands, and the Procfile's processes."""

import json
import secrets
import sys
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import select

from service import database, settings
from service.cli.bench import press
from service.cli.bench.process import Broken, Process, ask, clean_environment
from service.cli.bench.relays import HOST, free_port
from service.cli.supervisor import read_procfile
from service.cli.up import answers
from service.models import Delivery, Dispatch, Subscription
from service.states import DeliveryKind

COMMAND = [sys.executable, "-c", "from service.cli.main import main; main()"]
SITE = "https://press.example.org"


def new_keys() -> dict[str, str]:
    """Return the settings that all installations of a bench share: keys that nobody else has, a site, no limits."""
    keys = {name: secrets.token_urlsafe(32) for name in ("secret_key", "address_key")}
    return keys | {"base_url": SITE, "visitor_limit": "1000000", "newsroom_limit": "1000000"}


@dataclass(frozen=True)
class Mailed:
    """A mailing as the database knows it."""

    state: str
    began: datetime
    ended: datetime | None


@dataclass
class Installation:
    """One installation; `given` are its settings."""

    folder: Path
    database_url: str
    given: dict[str, str]
    port: int = field(default_factory=free_port)
    processes: dict[str, Process] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What its commands and processes find."""
        own = {"var_dir": self.folder, "database_url": self.database_url, "port": self.port}
        return clean_environment(**(self.given | own))

    def command(self, *words: str) -> str:
        """Run a command of `utskick` and return what it printed; raise Broken where it fails."""
        return ask([*COMMAND, *words], self.folder, self.environment)

    def publish(self, path: Path) -> int:
        """Publish a release and return the number of its dispatch."""
        return int(json.loads(self.command("release", "publish", str(path), "--json"))["dispatch"])

    def books(self, dispatch: int) -> dict[str, Any]:
        """Return the books of a dispatch as the command line shows them."""
        found: dict[str, Any] = json.loads(self.command("dispatch", "show", str(dispatch), "--json"))
        return found

    def start(self) -> None:
        """Start every process of the Procfile, and wait until web answers."""
        for name, command in read_procfile(settings.ROOT / "Procfile"):
            self.processes[name] = Process(name, command, self.folder, self.environment)
        self.processes["web"].until(lambda: answers(HOST, self.port, "/readyz"))

    def check(self) -> None:
        """Raise Broken where a process has ended."""
        for process in self.processes.values():
            process.check()

    def stop(self) -> None:
        """End all processes."""
        for process in self.processes.values():
            process.ask_to_stop()
        for process in self.processes.values():
            process.end()
        database.engine(self.database_url).dispose()

    def mailed(self, dispatch: int) -> Mailed:
        """Return where a mailing is, with a quick look that disturbs nobody."""
        wanted = select(Dispatch.state, Dispatch.created_at, Dispatch.finished_at).where(Dispatch.id == dispatch)
        with self._reading() as connection:
            state, began, ended = connection.execute(wanted).one()
        return Mailed(str(state), began, ended)

    def _reading(self) -> Any:
        return database.engine(self.database_url).connect().execution_options(utskick_reading=True)

    def entered(self) -> dict[str, datetime]:
        """Return whose confirmation was entered, and when."""
        wanted = select(Subscription.address, Delivery.created_at).join(
            Delivery, Delivery.subscription_id == Subscription.id
        )
        with self._reading() as connection:
            rows = connection.execute(wanted.where(Delivery.kind == DeliveryKind.CONFIRMATION)).all()
        return {str(found): when for found, when in rows}

    def follow(self, address: str) -> None:
        """Send the follow box as a visitor would; raise Broken where it is not taken."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        with closing(HTTPConnection(HOST, self.port, timeout=30)) as web:
            web.request("POST", f"/{press.NEWSROOM}/subscribe", urlencode({"email": address}), kind)
            answer = web.getresponse()
            answer.read()
        if answer.status != 202:
            raise Broken(f"the follow box answered {answer.status}")

"""The demo's newsroom: older releases, followers, and one that is published and mailed before your eyes."""

import hashlib
import secrets
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from service import (
    address,
    audit,
    books,
    broker,
    database,
    drafts,
    files,
    imports,
    moments,
    newsrooms,
    release_file,
    releases,
    staff,
    subscriptions,
)
from service.cli.supervisor import Supervisor
from service.cli.vardir import Refused, write_private
from service.cli.voice import Voice
from service.models import Newsroom
from service.settings import Settings
from service.states import DispatchState, Role

HERE = Path(__file__).parent
OLD = ("arsredovisning-2024.md", "inbjudan-strandskolan.md", "simhallen-oppnar.md")
NEW = "ny-bro.md"
DRAFT = "sommarjobb.md"
MARKER = "demo.state"
PASSWORD = "demo.password"  # noqa: S105 - a file's name
EDITOR, EDITOR_NAME = "maja.lind@fjallvik.example.org", "Maja Lind"
SENT_WITHIN = 120.0
CONSENT = "Påhittade följare som hör till demon."


class Seeding:
    """Fills a database once; begun and not finished, it goes on where it was."""

    def __init__(self, config: Settings, voice: Voice) -> None:
        self.voice = voice
        self.marker = config.var_dir / MARKER
        self.password = config.var_dir / PASSWORD
        self.desk = f"{config.site}/desk"
        self.done = False

    def prepare(self) -> None:
        """Enter newsroom, older releases and followers; refuse a database that is not the demo's."""
        self.done = self._state() == "done"
        if not self.done:
            self._begin()
            with database.transaction() as session:
                self._enter(session, database.now(session))
        if not self.password.is_file():
            self._hire()

    def _state(self) -> str:
        return self.marker.read_text(encoding="utf-8").strip() if self.marker.is_file() else ""

    def _begin(self) -> None:
        if self._state():
            return
        with database.reading() as session:
            if newsrooms.every(session):
                raise Refused(
                    f"the database in {self.marker.parent} is not the demo's: run `utskick up` for it, "
                    "or set UTSKICK_VAR_DIR to another directory for the demo"
                )
        write_private(self.marker, "seeding\n")

    def _enter(self, session: Session, now: datetime) -> None:
        told = newsrooms.parse_file(files.read(HERE / "newsroom.yaml"), "newsroom.yaml")
        newsroom = newsrooms.load(session, told, now)
        for name in OLD:
            file = _release(name)
            date = moments.parse(file.date, newsroom.timezone)
            releases.publish(session, newsroom, file, now, date=date, mailed=False)
        with suppress(drafts.SlugTaken):  # begun before, and killed
            drafts.create(session, newsroom, _release(DRAFT), now)
        _enter_followers(session, newsroom, now)

    def _hire(self) -> None:
        """Add somebody who may do everything at the desk, with a password made here and kept beside the keys."""
        password = secrets.token_urlsafe(12)
        hashed = staff.hashed(password)
        with database.transaction() as session:
            now = database.now(session)
            newsroom = newsrooms.get(session, _release(NEW).newsroom)
            if newsroom is None:  # somebody has changed the demo beyond recognition
                return
            hired = staff.add(session, address.parse(EDITOR), EDITOR_NAME, newsroom, Role.ADMIN, now).staff
            hired.password_hash, hired.link_hash, hired.link_expires_at = hashed, None, None
            audit.note(session, audit.COMMAND_LINE, "staff.add", now, newsroom.id, hired.address, role="admin")
        write_private(self.password, password + "\n")

    def publish(self, supervisor: Supervisor) -> None:
        """Publish the new release now that everything is up, and show its books when it has been mailed."""
        if self.done:
            self.voice.plain("The demo was seeded before; its newsroom is as you left it.\n")
            self._show_desk()
            return
        with database.transaction() as session:
            newsroom = newsrooms.get(session, _release(NEW).newsroom)
            assert newsroom is not None  # noqa: S101 - entered in prepare()
            made = releases.publish(session, newsroom, _release(NEW), database.now(session))
            assert made.dispatch is not None  # noqa: S101 - it is mailed
            number = made.dispatch.id
        broker.ring(broker.EXPAND, number)
        write_private(self.marker, "done\n")
        self.voice.plain(f"Publishing a release: {_release(NEW).headline}")
        supervisor.until(lambda: _finished(number), SENT_WITHIN)
        self._show_books(number)
        self._show_desk()

    def _show_desk(self) -> None:
        """Tell how to log in, until the password has been changed at the desk."""
        with database.reading() as session:
            hired = staff.by_address(session, EDITOR)
        kept = self.password.read_text(encoding="utf-8").strip() if self.password.is_file() else ""
        if hired is not None and kept and staff.matches(hired.password_hash, kept):
            self.voice.plain(f"Write and send a release of your own: {self.desk}\n  {EDITOR}   {kept}\n")

    def _show_books(self, number: int) -> None:
        with database.reading() as session:
            found = books.of(session, number)
        assert found is not None  # noqa: S101 - it was just made
        counts = ("recipients", "accepted", "refused", "skipped", "uncertain", "pending")
        rows = "\n".join(f"  {name:<12} {getattr(found, name) or 0:>4}" for name in counts)
        finished = found.dispatch.state == DispatchState.FINISHED
        self.voice.plain(f"The mailing {'is finished' if finished else 'goes on'}. Its books:\n{rows}\n")


def _release(name: str) -> release_file.ReleaseFile:
    return release_file.parse(files.read(HERE / "releases" / name), name)


def _enter_followers(session: Session, newsroom: Newsroom, now: datetime) -> None:
    lines = files.read(HERE / "followers.txt").split()
    version = hashlib.sha256(CONSENT.encode()).hexdigest()[:12]
    shown = subscriptions.ConsentShown(CONSENT, version, "utskick demo", newsroom.language)
    imports.import_addresses(session, newsroom, [address.parse(line) for line in lines], shown, now)


def _finished(number: int) -> bool:
    with database.reading() as session:
        found = books.of(session, number)
    return found is not None and found.dispatch.state == DispatchState.FINISHED

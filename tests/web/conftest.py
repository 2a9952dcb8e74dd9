"""The real site over a database of its own, with a press room in each language."""

import secrets
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import inspect, select, text
from sqlalchemy.orm import Session

from service import (
    address,
    broker,
    database,
    limits,
    newsrooms,
    release_file,
    releases,
    settings,
    subscriptions,
    tokens,
)
from service.columns import Base
from service.models import Newsroom, Subscription
from service.web import create_app

WHEN = datetime(2026, 3, 4, 8, 30, tzinfo=UTC)

NORRVIK = """
slug: norrvik
name: Norrviks kommun
language: sv
timezone: Europe/Stockholm
tagline: Nyheter för dig som skriver om Norrvik
accent: "#f2c200"
website: https://norrvik.example.org/press
phone: 0930-12 34 00
address: |
  Storgatan 1
  930 00 Norrvik
about: |
  Norrvik ligger vid havet.

  Här bor 4 000 personer.
contacts:
  - name: Åsa Öberg
    role: pressansvarig
    phone: +46 (0)930-12 34 56
    email: asa.oberg@norrvik.example.org
privacy:
  controller: Kommunstyrelsen i Norrvik
  data_protection_officer: dataskydd@norrvik.example.org
"""

KARHULA = """
slug: karhula
name: Karhulan kaupunki
language: fi
timezone: Europe/Helsinki
"""

RELEASE = """---
headline: Bron över älven öppnar
lead: Efter två års arbete öppnar den nya bron för trafik.
keywords: [broar, trafik]
contacts:
  - name: Nils Ek
    role: projektledare
    phone: 070-000 00 01
---
– Vi är stolta, säger Nils Ek.

<script>alert(1)</script> [klicka](javascript:alert(2)) <img src=x onerror=alert(3)>

Bron är 120 meter lång.
"""


@pytest.fixture(autouse=True)
def _own_settings(migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    configure(monkeypatch, VAR_DIR=tmp_path, SECRET_KEY="k" * 32, ADDRESS_KEY="a" * 32, VISITOR_LIMIT=1000)
    yield
    database.engine(settings.current().database).dispose()
    settings.current.cache_clear()


def configure(monkeypatch: pytest.MonkeyPatch, **values: Any) -> None:
    """Set what an operator would set."""
    for name, value in values.items():
        monkeypatch.setenv(f"UTSKICK_{name}", str(value))
    settings.current.cache_clear()
    broker.app.cache_clear()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database, to be copied."""
    folder = tmp_path_factory.mktemp("migrated")
    with pytest.MonkeyPatch.context() as patch:
        configure(patch, VAR_DIR=folder)
        database.migrate()
        database.engine(settings.current().database).dispose()
    settings.current.cache_clear()
    return folder / "utskick.db"


@pytest.fixture
def empty(migrated: Path, _own_settings: None) -> Iterator[TestClient]:
    """The site without a newsroom."""
    shutil.copy(migrated, settings.current().var_dir)
    limits._memory.storage.reset()
    with TestClient(create_app(), follow_redirects=False, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def site(empty: TestClient) -> TestClient:
    """The site with two press rooms and a release."""
    with database.transaction() as session:
        for written in (NORRVIK, KARHULA):
            newsrooms.load(session, newsrooms.parse_file(written, "newsroom.yaml"), WHEN)
    publish("norrvik", "bron.md", RELEASE)
    return empty


def publish(slug: str, name: str, written: str, when: datetime = WHEN) -> None:
    """Publish a release without mail."""
    with database.transaction() as session:
        newsroom = newsroom_of(session, slug)
        file = release_file.parse(written, name)
        releases.publish(session, newsroom, file, when, mailed=False)


def newsroom_of(session: Session, slug: str) -> Newsroom:
    """Return a newsroom that is there."""
    found = newsrooms.get(session, slug)
    assert found is not None
    return found


class Follower:
    """Somebody who asked to follow Norrvik: the tokens that their mails hold."""

    def __init__(self, number: int, leave: str) -> None:
        self.confirm, self.leave = tokens.confirm_token(number), leave


@pytest.fixture
def ask(site: TestClient) -> Callable[..., Follower]:
    """Post an address and return the tokens of its mails."""

    def asking(email: str = "", slug: str = "norrvik", language: str = "sv") -> Follower:
        email = email or f"{secrets.token_hex(4)}@example.org"
        assert site.post(f"/{slug}/subscribe", data={"email": email, "language": language}).status_code == 202
        with database.reading() as session:
            row = session.scalars(select(Subscription).where(Subscription.address_hash == address.hash_of(email))).one()
            return Follower(row.id, row.leave_token)

    return asking


@pytest.fixture
def follower(site: TestClient, ask: Callable[..., Follower]) -> Follower:
    """Somebody who follows Norrvik."""
    asked = ask("maja@example.org")
    with database.transaction() as session:
        assert subscriptions.confirm(session, asked.confirm, database.now(session)).status == "confirmed"
    return asked


def expire(asked: Follower) -> None:
    """Let eight days go by for a request."""
    with database.transaction() as session:
        number = tokens.read_confirm_token(asked.confirm)
        row = session.get_one(Subscription, number)
        row.expires_at = database.now(session) - timedelta(days=1)


def rows() -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table, to see whether any changed."""
    with database.reading() as session:
        names = inspect(session.connection()).get_table_names()
        assert set(names) >= set(Base.metadata.tables)
        return {name: [tuple(row) for row in session.execute(text(f"SELECT * FROM {name}"))] for name in names}

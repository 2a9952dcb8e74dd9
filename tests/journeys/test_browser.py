"""Follow, publish, read and leave in headless Chromium, by phone and desktop; and a scanner that changes nothing."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from service.cli import demo
from tests.conftest import Backend
from tests.journeys.people import Room
from tests.journeys.test_follow import everything
from tests.journeys.visitor import DESKTOP, PHONE, Scanner, Visitor, chromium, links_of
from tests.servers import Broker, Missing, Sink, free_port, spawn
from tests.stack import Stack

pytestmark = pytest.mark.browser
SHOWN = Path(demo.__file__).parent
OLD = ("arsredovisning-2024", "inbjudan-strandskolan", "simhallen-oppnar")
NEW = SHOWN / "releases" / "ny-bro.md"
ROOM = "fjallvik"
NAME = "Fjällviks kommun"


@dataclass
class Town:
    """A running installation whose relay is the mailbox, with a newsroom that has published before."""

    stack: Stack
    mailbox: str

    @property
    def room(self) -> str:
        """The press room's address."""
        return self.stack.url(f"/{ROOM}")

    def publish(self, file: Path, *options: str) -> str:
        """Publish a release from its file and return its page's address."""
        said = self.stack.cli("release", "publish", file, "--newsroom", ROOM, "--json", *options)
        return str(json.loads(said.stdout)["url"])

    def mails(self, address: str) -> list[dict[str, Any]]:
        """Return what the mailbox has for an address, newest first."""
        found: list[dict[str, Any]] = httpx.get(f"{self.mailbox}/messages.json", trust_env=False).json()
        return [mail for mail in found if mail["to"] == address]

    def mail(self, address: str, number: int) -> str:
        """Wait for somebody's first, second ... mail and return the address of its page."""
        self.stack.wait(lambda: len(self.mails(address)) >= number, what=f"mail {number} to {address}")
        return f"{self.mailbox}/messages/{self.mails(address)[-number]['id']}"

    def settle(self) -> None:
        """Wait until the books know of every mail."""
        under_way = "SELECT count(*) FROM deliveries WHERE state NOT IN ('accepted', 'skipped')"
        self.stack.wait(lambda: self.stack.value(under_way) == 0, what="the books are settled")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the module."""
    try:
        with chromium() as opened:
            yield opened
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def town(browser: Browser, sqlite_backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """The demo's newsroom with its older releases."""
    broker, unused = Broker(), Sink()
    ports = {"mailbox_port": free_port(), "mailbox_smtp_port": free_port()}
    smtp = {"smtp_url": f"smtp://127.0.0.1:{ports['mailbox_smtp_port']}"}
    with Stack(tmp_path_factory.mktemp("town"), sqlite_backend.fresh(), broker, unused, **ports, **smtp) as stack:
        command = [sys.executable, "-m", "service.cli.mailbox"]
        where: dict[str, Any] = {"cwd": stack.folder, "env": stack.environment}
        stack.processes["mailbox"] = spawn(command, stack.log_file("mailbox"), **where)
        stack.cli("newsroom", "load", SHOWN / "newsroom.yaml")
        stack.start()
        made = Town(stack, f"http://127.0.0.1:{ports['mailbox_port']}")
        stack.wait(lambda: answers(made.mailbox), what="the mailbox answers")
        for name in OLD:
            made.publish(SHOWN / "releases" / f"{name}.md", "--no-mail")
        yield made
    unused.close()
    broker.close()


def answers(url: str) -> bool:
    """Tell whether somebody answers."""
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).is_success
    except httpx.TransportError:
        return False


def open_link(visitor: Visitor, words: str) -> Page:
    """Click a link of the mail that is shown in the frame, and return the window that opens."""
    mail = visitor.page.frame_locator("iframe")
    with visitor.context.expect_page() as opened:
        mail.get_by_role("link", name=words).click()
    opened.value.wait_for_load_state()
    return opened.value


def look_at_the_mail(visitor: Visitor, name: str) -> None:
    """Look at the HTML of the mail on show as a mail program shows it: alone."""
    frame = visitor.page.locator("iframe").get_attribute("src") or ""
    alone = visitor.context.new_page()
    alone.set_content(httpx.get(urljoin(visitor.page.url, frame), trust_env=False).text)
    visitor.look(name, alone, partial=True)
    alone.close()


def press(visitor: Visitor, page: Page, words: str) -> None:
    """Press the page's only button."""
    expect(page.get_by_role("button")).to_have_count(1)
    page.get_by_role("button", name=words, exact=True).click()
    page.wait_for_load_state()


def mistype(visitor: Visitor, town: Town) -> None:
    """Type what is no address; the summary takes the focus and the words are kept."""
    visitor.page.goto(town.room)
    visitor.page.get_by_label("Din e-postadress").fill("elsa at example.org")
    visitor.expected.add(422)
    visitor.page.get_by_role("button", name=f"Följ {NAME}").click()
    expect(visitor.page.get_by_role("alert")).to_be_focused()
    expect(visitor.page.get_by_label("Din e-postadress")).to_have_value("elsa at example.org")
    visitor.look("mistyped")
    visitor.expected.remove(422)


def follow(visitor: Visitor, town: Town, address: str, *, by_keyboard: bool) -> None:
    """Type an address in the press room and send it."""
    visitor.page.goto(town.room)
    expect(visitor.page.get_by_role("button")).to_have_count(1)
    expect(visitor.page.get_by_role("button")).to_be_in_viewport()
    visitor.look("press-room")
    field = visitor.page.get_by_label("Din e-postadress")
    if by_keyboard:
        while not field.evaluate("field => field === document.activeElement"):
            visitor.page.keyboard.press("Tab")
        visitor.page.keyboard.type(address)
        visitor.page.keyboard.press("Enter")
    else:
        field.fill(address)
        visitor.page.get_by_role("button").click()
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Titta i din inkorg")
    visitor.look("check-mail")


def confirm(visitor: Visitor, town: Town, address: str) -> None:
    """Open the mail in the mailbox, its link, and press the button."""
    town.mail(address, 1)
    visitor.page.goto(town.mailbox)
    visitor.look("mailbox")
    visitor.page.get_by_role("link", name=address).first.click()
    look_at_the_mail(visitor, "confirmation")
    page = open_link(visitor, "Bekräfta")
    visitor.look("confirm", page)
    press(visitor, page, f"Följ {NAME}")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Du följer {NAME}")
    visitor.look("following", page)
    page.close()


def read(visitor: Visitor, town: Town, address: str, url: str, headline: str) -> None:
    """Read the release as mail, and as a page."""
    visitor.page.goto(town.mail(address, 2))
    expect(visitor.page.locator("iframe")).to_have_attribute("sandbox", re.compile("^(?!.*allow-scripts)"))
    expect(visitor.page.frame_locator("iframe").get_by_role("heading", level=1)).to_have_text(headline)
    expect(visitor.page.locator("pre.text")).to_contain_text(headline)
    expect(visitor.page.locator("pre").last).to_contain_text("List-Unsubscribe-Post: List-Unsubscribe=One-Click")
    visitor.look("mail")
    look_at_the_mail(visitor, "release-mail")
    page = open_link(visitor, "Läs på webben")
    assert page.url == url
    expect(page.get_by_role("heading", level=1)).to_have_text(headline)
    visitor.look("release", page)
    page.close()


def leave(visitor: Visitor) -> None:
    """Leave from the mail on show."""
    page = open_link(visitor, f"Sluta följa {NAME}")
    visitor.look("leave", page)
    press(visitor, page, "Avsluta")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Du följer inte längre {NAME}")
    expect(page.get_by_label("Din e-postadress")).to_have_value("")
    visitor.look("goodbye", page)
    page.close()


@pytest.mark.parametrize(("width", "address"), [(PHONE, "elsa.berg@example.org"), (DESKTOP, "nils.holm@example.org")])
def test_somebody_follows_reads_and_leaves(
    browser: Browser, town: Town, tmp_path: Path, width: int, address: str
) -> None:
    visitor = Visitor(browser, width)
    mistype(visitor, town)
    follow(visitor, town, address, by_keyboard=width == DESKTOP)
    confirm(visitor, town, address)
    headline = "Ny gång‐ och cykelbro byggs över Sörälven"
    file = tmp_path / "ny-bro.md"
    file.write_text(NEW.read_text(encoding="utf-8").replace("soralven", f"soralven-{width}"), encoding="utf-8")
    read(visitor, town, address, town.publish(file), headline)
    leave(visitor)
    visitor.close()
    town.settle()
    ended = "SELECT count(*) FROM subscriptions WHERE state = 'ended' AND address IS NULL"
    assert town.stack.value(ended) >= 1
    assert town.mails(address)[1:] and not town.mails(address)[2:]


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_the_quiet_pages_are_in_order_too(browser: Browser, town: Town, width: int) -> None:
    visitor = Visitor(browser, width)
    for name in ("releases", "privacy"):
        visitor.page.goto(f"{town.room}/{name}")
        visitor.look(name)
    visitor.expected.add(404)
    for name, url in {"not-found": f"{town.room}/nothing", "bad-link": town.stack.url("/confirm/cut")}.items():
        visitor.page.goto(url)
        visitor.look(name)
    visitor.close()


def test_a_scanner_that_opens_every_link_changes_nothing(browser: Browser, town: Town, tmp_path: Path) -> None:
    bath = Room(town.stack, ROOM, NAME)
    bath.import_followers("scanned@example.org")
    with town.stack.client() as client:
        assert bath.follow(client, "asked@example.org").status_code == 202
    town.publish(bath.release_file("genomsokt"))
    mails = [town.mail("asked@example.org", 1), town.mail("scanned@example.org", 1)]
    town.settle()
    before = everything(town.stack)
    scanner = Scanner(browser, town.stack.url(""))
    scanner.scan({link for mail in mails for link in links_of(mail)})
    paths = {urlsplit(link).path.split("/")[1] for link in scanner.opened}
    assert {"confirm", "unsubscribe", ROOM} <= paths
    assert len(scanner.opened) >= 8 and scanner.methods == {"GET"}
    assert everything(town.stack) == before

"""Sent from the desk once: whoever clicks, however often and from wherever, there is one mailing and one mail each."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from service import settings
from tests.journeys.people import Room, room
from tests.stack import Stack
from tests.web.desk.conftest import PASSWORD, hire

FOLLOWERS = ("ada", "bo", "cleo")
TYPED = {"lead": "Från och med måndag är badet öppet.", "body": "Alla är välkomna.", "language": "sv"}
TYPED |= {"kind": "press-release", "keywords": "bad"}


class Browser:
    """Somebody's browser at the desk of a newsroom: it sends what the page holds, as pages do."""

    def __init__(self, client: httpx.Client, bath: Room) -> None:
        self.client, self.bath, self.home = client, bath, f"/desk/{bath.slug}"

    def hidden(self, path: str) -> dict[str, str]:
        """Open a page and return what its forms carry without being seen."""
        page = self.client.get(path)
        assert page.status_code == 200, page.text
        fields = ("csrf", "revision")
        found = {name: re.search(rf'name="{name}" value="([^"]*)"', page.text) for name in fields}
        return {name: match[1] for name, match in found.items() if match}

    def write(self, headline: str, **more: str) -> httpx.Response:
        """Send the form of a new draft."""
        proof = self.hidden(f"{self.home}/releases/new")
        return self.client.post(f"{self.home}/releases", data={**proof, **TYPED, "headline": headline, **more})

    def draft(self, headline: str = "Badet öppnar") -> str:
        """Write a draft and return its path."""
        done = self.write(headline)
        assert done.status_code == 303, done.text
        return str(done.headers["Location"].partition("?")[0])

    def send(self, path: str, seen: dict[str, str]) -> httpx.Response:
        """Press the button of a send page that was opened before."""
        return self.client.post(f"{path}/send", data=seen)

    def save(self, path: str, seen: dict[str, str], headline: str) -> httpx.Response:
        """Save a draft whose form was opened before."""
        return self.client.post(path, data={**TYPED, **seen, "headline": headline})


Hire = Callable[[str], Browser]


@pytest.fixture
def desk(running: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Room, Hire]]:
    """A newsroom with three followers, and a way to have publishers at its desk, logged in."""
    monkeypatch.setenv("UTSKICK_DATABASE_URL", running.database_url)
    settings.current.cache_clear()
    bath = room(running)
    bath.import_followers(*(f"{name}@{bath.slug}.example.org" for name in FOLLOWERS))
    with ExitStack() as open_browsers:
        yield bath, lambda name: open_browsers.enter_context(_browser(running, bath, name))


@contextmanager
def _browser(running: Stack, bath: Room, name: str) -> Iterator[Browser]:
    email = f"{name}@desk.{bath.slug}.example.org"
    hire(email, bath.slug, "publisher")
    with running.client() as client:
        browser = Browser(client, bath)
        proof = browser.hidden("/desk/login")
        answer = client.post("/desk/login", data={**proof, "address": email, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        yield browser


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Do things at the same time."""
    with ThreadPoolExecutor(len(acts)) as pool:
        return [one.result() for one in [pool.submit(act) for act in acts]]


def sent_once(bath: Room, headline: str) -> None:
    """See that there is one mailing, and that each follower gets one mail with this headline."""
    stack = bath.stack
    mailings = (
        "SELECT d.id, d.state FROM dispatches d JOIN releases r ON r.id = d.release_id"
        " JOIN newsrooms n ON n.id = r.newsroom_id WHERE n.slug = :slug"
    )
    stack.wait(lambda: {row["state"] for row in stack.rows(mailings, slug=bath.slug)} == {"finished"})
    (mailing,) = stack.rows(mailings, slug=bath.slug)
    assert bath.books(mailing["id"])["accepted"] == len(FOLLOWERS)
    for name in FOLLOWERS:
        subjects = [mail.message["Subject"] for mail in stack.sink.log(f"{name}@{bath.slug}.example.org")]
        assert subjects == [headline]


def notes(answers: list[httpx.Response]) -> list[str]:
    """Return what the answers lead on to, having seen that it is the same mailing."""
    assert [one.status_code for one in answers] == [303] * len(answers), [one.text for one in answers]
    places = [one.headers["Location"].partition("?note=") for one in answers]
    assert len({path for path, _, _ in places}) == 1
    return sorted(note for _, _, note in places)


def test_a_double_click_sends_once(desk: tuple[Room, Hire]) -> None:
    bath, hired = desk
    mine = hired("ada")
    path = mine.draft()
    seen = mine.hidden(f"{path}/send")
    answers = at_once(*[lambda: mine.send(path, seen)] * 4)
    assert notes(answers) == ["already", "already", "already", "published"]
    sent_once(bath, "Badet öppnar")


def test_the_back_button_and_a_reload_send_nothing_again(desk: tuple[Room, Hire]) -> None:
    bath, hired = desk
    mine = hired("ada")
    path = mine.draft()
    seen = mine.hidden(f"{path}/send")
    first, reloaded = mine.send(path, seen), mine.send(path, seen)
    assert notes([first, reloaded]) == ["already", "published"]
    sent_once(bath, "Badet öppnar")
    assert mine.client.get(first.headers["Location"]).status_code == 200
    asked_again = mine.client.get(f"{path}/send")  # the page behind the back button, asked for anew
    assert asked_again.headers["Location"] == path
    assert notes([first, mine.send(path, seen)]) == ["already", "published"]
    sent_once(bath, "Badet öppnar")


def test_two_tabs_at_different_texts_send_the_one_that_was_looked_at(desk: tuple[Room, Hire]) -> None:
    bath, hired = desk
    mine = hired("ada")
    path = mine.draft("Fel rubrik")
    old = mine.hidden(f"{path}/send")
    assert mine.save(path, mine.hidden(path), "Rätt rubrik").status_code == 303
    refused = mine.send(path, old)
    assert refused.status_code == 409
    assert f"{path}/preview" in refused.text
    fresh = mine.hidden(f"{path}/send")
    both = at_once(lambda: mine.send(path, old), lambda: mine.send(path, fresh))
    assert both[1].status_code == 303
    assert both[0].status_code in (303, 409)  # what is published is shown to whoever comes late
    sent_once(bath, "Rätt rubrik")


def test_two_publishers_at_once_send_once(desk: tuple[Room, Hire]) -> None:
    bath, hired = desk
    one, other = hired("ada"), hired("bo")
    path = one.draft()
    seen, theirs = one.hidden(f"{path}/send"), other.hidden(f"{path}/send")
    answers = at_once(lambda: one.send(path, seen), lambda: other.send(path, theirs))
    assert notes(answers) == ["already", "published"]
    sent_once(bath, "Badet öppnar")


def test_saving_and_sending_at_once_never_mails_what_was_not_seen(desk: tuple[Room, Hire]) -> None:
    bath, hired = desk
    one, other = hired("ada"), hired("bo")
    path = one.draft("Läst")
    form, seen = one.hidden(path), other.hidden(f"{path}/send")
    saved, sent = at_once(lambda: one.save(path, form, "Oläst"), lambda: other.send(path, seen))
    assert sorted((saved.status_code, sent.status_code)) == [303, 409]
    assert "Oläst" in saved.text or saved.status_code == 303
    if sent.status_code == 409:
        assert other.send(path, other.hidden(f"{path}/send")).status_code == 303
    sent_once(bath, "Läst" if saved.status_code == 409 else "Oläst")


def test_the_desk_and_the_command_line_publish_the_same_address_once(desk: tuple[Room, Hire]) -> None:
    bath, hired = desk
    mine = hired("ada")
    path = mine.write("Badet öppnar", slug="badet").headers["Location"].partition("?")[0]
    seen = mine.hidden(f"{path}/send")
    file = bath.release_file("badet", "Från filen")
    done, sent = at_once(
        lambda: bath.stack.cli("release", "publish", file, "--json", check=False), lambda: mine.send(path, seen)
    )
    assert (done.returncode, sent.status_code) == (1, 303)
    assert "nothing was changed" in done.stderr or "draft at the desk" in done.stderr
    sent_once(bath, "Badet öppnar")


def test_a_draft_written_while_the_command_line_publishes_takes_no_address_twice(desk: tuple[Room, Hire]) -> None:
    bath, hired = desk
    mine = hired("ada")
    file = bath.release_file("badet", "Från filen")
    publish = bath.stack.popen("release", "publish", file)
    answers = []
    while publish.poll() is None:
        answers.append(mine.write("Från desken", slug="badet"))
    assert {one.status_code for one in answers} <= {303, 422}
    kept = [one for one in answers if one.status_code == 303]
    if kept:  # the desk came first, so the command line left it alone
        assert (len(kept), publish.returncode) == (1, 1)
        path = kept[0].headers["Location"].partition("?")[0]
        assert mine.send(path, mine.hidden(f"{path}/send")).status_code == 303
    sent_once(bath, "Från desken" if kept else "Från filen")

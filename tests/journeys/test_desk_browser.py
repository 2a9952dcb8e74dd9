"""A release from password to stopped mailing in headless Chromium: by phone, at a desk, and by keyboard only."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import Backend
from tests.journeys.people import Room, room
from tests.journeys.visitor import DESKTOP, PHONE, Visitor, chromium
from tests.servers import Broker, Missing, Sink
from tests.stack import Stack

pytestmark = pytest.mark.browser
PASSWORD = "fyra ord i en rad"
FOLLOWERS = 60


@dataclass
class Office:
    """A running installation with a newsroom, its followers and somebody new at its desk."""

    stack: Stack
    sink: Sink
    room: Room

    def link(self, address: str, role: str = "admin") -> str:
        """Give somebody a role and return their one-time link."""
        said = self.stack.cli(
            "staff", "add", address, "--newsroom", self.room.slug, "--role", role, "--name", "Maja Lind"
        )
        found = re.search(r"http://\S+", said.stdout)
        assert found, said.stdout
        return found[0]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        with chromium() as opened:
            yield opened
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def office(sqlite_backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    url = sqlite_backend.fresh()
    broker, sink = Broker(), Sink()
    with Stack(tmp_path_factory.mktemp("office"), url, broker, sink) as stack:
        stack.start()
        made = room(stack, address="Torget 1\n123 45 Björkvik")
        made.import_followers(*(f"n{number}@example.org" for number in range(FOLLOWERS)))
        yield Office(stack, sink, made)
    sink.close()
    broker.close()
    sqlite_backend.discard(url)


def press(page: Page, words: str) -> None:
    page.get_by_role("button", name=words, exact=True).click()
    page.wait_for_load_state()


def follow(page: Page, words: str) -> None:
    page.get_by_role("link", name=words, exact=True).first.click()
    page.wait_for_load_state()


def choose_password(visitor: Visitor, link: str) -> None:
    """Open the one-time link and set a password; too short a one is refused in words."""
    page = visitor.page
    page.goto(link)
    visitor.look("password")
    visitor.expected.add(422)
    page.get_by_label("Nytt lösenord").fill("kort")
    page.get_by_label("Samma lösenord igen").fill("kort")
    press(page, "Välj lösenordet och logga in")
    expect(page.get_by_role("alert")).to_be_focused()
    visitor.look("password-short")
    visitor.expected.remove(422)
    page.get_by_label("Nytt lösenord").fill(PASSWORD)
    page.get_by_label("Samma lösenord igen").fill(PASSWORD)
    press(page, "Välj lösenordet och logga in")
    expect(page.get_by_role("heading", level=1)).to_have_text("Pressmeddelanden")
    visitor.look("desk-empty")


def log_in_again(visitor: Visitor, office: Office, address: str) -> None:
    """Log out, mistype, and log in."""
    page = visitor.page
    press(page, "Logga ut")
    visitor.look("login")
    visitor.expected.add(401)
    page.get_by_label("Din e-postadress").fill(address)
    page.get_by_label("Lösenord").fill("fel lösenord")
    press(page, "Logga in")
    visitor.look("login-wrong")
    visitor.expected.remove(401)
    expect(page.get_by_label("Din e-postadress")).to_have_value(address)
    page.get_by_label("Lösenord").fill(PASSWORD)
    press(page, "Logga in")
    expect(page.get_by_role("heading", level=1)).to_have_text("Pressmeddelanden")


def write(visitor: Visitor, headline: str) -> None:
    """Write a draft and go to its preview; a missing headline is told at its field."""
    page = visitor.page
    follow(page, "Skriv ett pressmeddelande")
    visitor.look("draft-new")
    page.get_by_label("Text", exact=True).fill(
        "– Välkomna, säger Maja Ström.\n\n## Tider\n\n- vardagar 10–18\n- helger 12–16"
    )
    visitor.expected.add(422)
    press(page, "Spara")
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_label("Text", exact=True)).to_have_value(re.compile("Välkomna"))
    visitor.look("draft-problem")
    visitor.expected.remove(422)
    page.get_by_label("Rubrik").fill(headline)
    page.get_by_label("Ingress").fill("Från och med måndag är badet öppet för alla.")
    page.get_by_label("Nyckelord").fill("bad, öppettider")
    press(page, "Spara och förhandsgranska")
    expect(page.get_by_role("status")).to_have_text("Sparat.")


def look_before_sending(visitor: Visitor, office: Office, address: str, headline: str) -> None:
    """See it as page, mail and text, and get a test."""
    page = visitor.page
    expect(page.frame_locator("iframe").first.get_by_role("heading", level=1)).to_have_text(headline)
    expect(page.frame_locator("iframe").nth(1).get_by_role("heading", level=1)).to_have_text(headline)
    expect(page.locator("pre")).to_contain_text(headline)
    visitor.look("preview")
    press(page, "Skicka ett prov till mig")
    expect(page.get_by_role("status")).to_have_text("Ett prov är på väg till dig.")
    (test,) = office.sink.wait_for(1, to=address)
    assert str(test.message["Subject"]) == f"[Prov] {headline}"
    sent = "SELECT count(*) FROM deliveries WHERE kind = 'test' AND state = 'accepted'"
    office.stack.wait(lambda: office.stack.value(sent) >= 1, what="the test's outcome")
    page.reload()
    expect(page.get_by_text("provet är skickat")).to_be_visible()


def send(visitor: Visitor, headline: str) -> None:
    """Read the sentence and press the button."""
    page = visitor.page
    follow(page, "Skicka …")
    expect(page.get_by_text(f"Det här går till {FOLLOWERS} följare")).to_be_visible()
    visitor.look("send")
    press(page, "Publicera och skicka")
    expect(page.get_by_role("heading", level=1)).to_have_text(headline)
    visitor.look("books")


def stop(visitor: Visitor, office: Office) -> None:
    """Pause, go on, stop; the books add up by themselves, without a reload."""
    page = visitor.page
    press(page, "Pausa")
    expect(page.get_by_role("heading", name="Pausat")).to_be_visible()
    visitor.look("books-paused")
    press(page, "Fortsätt")
    follow(page, "Stoppa …")
    visitor.look("stop")
    press(page, "Stoppa för gott")
    expect(page.get_by_role("heading", name="Stoppat")).to_be_visible()
    visitor.look("books-stopped")
    sums = page.locator(".sum")
    expect(sums).to_contain_text(f"{FOLLOWERS} = ")
    parts = "SELECT count(*) FROM deliveries WHERE kind = 'release' AND state IN ('queued', 'deferred')"
    office.stack.wait(lambda: office.stack.value(parts) == 0, what="nothing waits of the stopped mailing")


@pytest.mark.parametrize(("width", "address"), [(PHONE, "elsa@example.org"), (DESKTOP, "maja@example.org")])
def test_a_release_from_password_to_stopped_mailing(browser: Browser, office: Office, width: int, address: str) -> None:
    visitor = Visitor(browser, width)
    visitor.expected.add(303)
    headline = f"Badet öppnar på måndag, {width}"
    choose_password(visitor, office.link(address))
    log_in_again(visitor, office, address)
    write(visitor, headline)
    look_before_sending(visitor, office, address, headline)
    office.sink.behave(delay_ms=700)
    send(visitor, headline)
    stop(visitor, office)
    office.sink.behave(delay_ms=0)
    for name in ("settings", "people", "log"):
        visitor.page.goto(office.stack.url(f"/desk/{office.room.slug}/{name}"))
        visitor.look(name)
    visitor.page.goto(office.stack.url("/desk/account"))
    visitor.look("account")
    visitor.page.goto(office.stack.url(f"/desk/{office.room.slug}"))
    visitor.look("desk")
    visitor.close()


def test_by_keyboard_only(browser: Browser, office: Office) -> None:
    visitor = Visitor(browser, DESKTOP)
    visitor.expected.add(303)
    page = visitor.page

    def to(words: str, role: str) -> None:
        """Move by the tab key until the thing that is called so has the focus."""
        for _ in range(60):
            page.keyboard.press("Tab")
            named = "e => (e.labels?.[0]?.innerText ?? e.innerText ?? '').trim() + '|' + e.tagName.toLowerCase()"
            if page.evaluate(f"({named})(document.activeElement)") == f"{words}|{role}":
                return
        raise AssertionError(f"{words} cannot be reached by keyboard on {page.url}")

    page.goto(office.link("eva@example.org", "publisher"))
    to("Nytt lösenord", "input")
    page.keyboard.type(PASSWORD)
    to("Samma lösenord igen", "input")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Pressmeddelanden")
    to("Skriv ett pressmeddelande", "a")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Nytt pressmeddelande")
    to("Rubrik", "input")
    page.keyboard.type("Skrivet utan mus")
    to("Text", "textarea")
    page.keyboard.type("Text.")
    to("Spara", "button")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Sparat.")
    to("Skicka …", "a")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Publicera och skicka")).to_be_visible()
    to("Publicera och skicka", "button")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Skrivet utan mus")
    expect(page.get_by_role("heading", name="Klart")).to_be_visible(timeout=30_000)
    visitor.close()


def send_slowly(visitor: Visitor, office: Office, address: str, headline: str) -> str:
    """Send a release that takes its time; return the address of its books."""
    page = visitor.page
    choose_password(visitor, office.link(address, "publisher"))
    follow(page, "Skriv ett pressmeddelande")
    page.get_by_label("Rubrik").fill(headline)
    page.get_by_label("Text", exact=True).fill("Text.")
    press(page, "Spara")
    follow(page, "Skicka …")
    office.sink.behave(delay_ms=700)
    press(page, "Publicera och skicka")
    expect(page.get_by_role("heading", level=1)).to_have_text(headline)
    return page.url.partition("?")[0]


def test_a_press_that_lasts_longer_than_the_numbers_counts(browser: Browser, office: Office) -> None:
    visitor = Visitor(browser, DESKTOP)
    visitor.expected.add(303)
    page = visitor.page
    books = send_slowly(visitor, office, "trygve@example.org", "Ett långt tryck")
    accepted = "SELECT count(*) FROM deliveries WHERE kind = 'release' AND state = 'accepted'"
    expect(page.get_by_role("heading", name="Skickas")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Pausa").hover()
    page.mouse.down()
    before = office.stack.value(accepted)
    office.stack.wait(lambda: office.stack.value(accepted) > before + 1, what="numbers other than those shown")
    for _ in range(2):
        with page.expect_response(f"{books}/books"):
            pass
    page.mouse.up()
    expect(page.get_by_role("heading", name="Pausat")).to_be_visible()
    office.sink.behave(delay_ms=0)
    press(page, "Fortsätt")
    expect(page.get_by_role("heading", name="Klart")).to_be_visible(timeout=30_000)
    visitor.close()


def test_the_books_ask_once_and_say_when_the_log_in_is_over(browser: Browser, office: Office) -> None:
    visitor = Visitor(browser, DESKTOP)
    visitor.expected.add(303)
    page = visitor.page
    books = send_slowly(visitor, office, "ulla@example.org", "Utloggad någon annanstans")
    press(page, "Pausa")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url == f"{books}/books" else None)
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    page.goto(books)
    with page.expect_response(f"{books}/books"):
        page.clock.fast_forward(2500)
    assert len(asked) == 1
    office.stack.cli("staff", "logout", "ulla@example.org")
    page.clock.resume()
    expect(page.locator(".fresh")).to_have_text(re.compile("Sidan uppdateras inte längre"))
    expect(page.locator("#books-said")).to_have_text(re.compile("Du kan ha loggats ut"))
    said = len(asked)
    page.clock.fast_forward(60_000)
    visitor.look("books-over")
    assert len(asked) == said
    office.sink.behave(delay_ms=0)
    # A redirect that is not followed is one that Chromium calls aborted.
    visitor.complaints = [one for one in visitor.complaints if "/desk/login?next=" not in one]
    visitor.close()


def test_going_back_from_a_refusal_finds_what_was_typed(browser: Browser, office: Office) -> None:
    visitor = Visitor(browser, DESKTOP)
    visitor.expected |= {303, 413}
    page = visitor.page
    choose_password(visitor, office.link("stina@example.org"))
    follow(page, "Skriv ett pressmeddelande")
    page.get_by_label("Rubrik").fill("Kvar i rubriken")
    page.get_by_label("Ingress").fill("Kvar i ingressen")
    page.get_by_label("Text", exact=True).fill("x" * 3_000_001)
    press(page, "Spara")
    expect(page.get_by_role("heading", level=1)).to_have_text("Det är för mycket att ta emot")
    page.go_back()
    expect(page.get_by_label("Rubrik")).to_have_value("Kvar i rubriken")
    expect(page.get_by_label("Ingress")).to_have_value("Kvar i ingressen")
    visitor.close()

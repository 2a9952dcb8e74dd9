"""The books at the desk: what they say in each state, to whom they show whole addresses, and who may stop a mailing."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from service import database, expanding, folding, ledger, newsrooms, outcomes, relay, releases, settlement
from service.expanding import Progress
from service.models import Audit, Delivery, Dispatch, Subscription
from service.release_file import parse
from service.smtp import Accepted, Outcome, Refused, Uncertain
from service.states import DispatchState
from service.subscriptions import leave
from tests.service.press import rows as values
from tests.web.conftest import configure, rows
from tests.web.desk.conftest import Person
from tests.web.desk.test_releases import followers

ROOM = "/desk/norrvik"
RELEASE = "---\nheadline: Simhallen öppnar\nslug: simhallen\n---\n\nVälkommen.\n"
NO = Refused(True, 550, "5.1.1 <address>: user unknown")
LATER = Refused(False, 450, "4.7.1 greylisted")
LOST = Uncertain("the connection ended")


def mailing(*emails: str, expanded: bool = True) -> int:
    """Publish a release to some and return the dispatch's number."""
    followers(*emails)
    with database.transaction() as session:
        room = newsrooms.get(session, "norrvik")
        assert room is not None
        now = database.now(session)
        made = releases.publish(session, room, parse(RELEASE, "simhallen.md"), now).dispatch
        assert made is not None
        if expanded:
            assert expanding.enter(session, made.id, now) is Progress.ALL
        return made.id


def sent(number: int, **answers: Outcome) -> None:
    """Let the relay answer each mail by the local part of its address; others are accepted."""
    with database.transaction() as session:
        now = database.now(session)
        batch = ledger.claim(session, number, "test", now, 1000, 50)
        assert batch is not None
        for mail in batch.mails:
            said = answers.get((mail.address or "").partition("@")[0], Accepted(250, "2.0.0 taken"))
            outcomes.record(session, batch.claim_id, [(mail, said)], now)
        ledger.close(session, batch.claim_id)
        settlement.finish(session, number, now)


def state() -> DispatchState:
    with database.reading() as session:
        return session.scalars(select(Dispatch.state)).one()


def acts() -> list[str]:
    with database.reading() as session:
        return [row.act for row in session.scalars(select(Audit).order_by(Audit.id)) if row.act.startswith("dispatch")]


def long_ago(number: int, **ago: float) -> None:
    """Let the mailing have been published and expanded a while ago."""
    with database.transaction() as session:
        moment = database.now(session) - timedelta(**ago)
        session.get_one(Dispatch, number).created_at = moment
        session.execute(update(Delivery).where(Delivery.dispatch_id == number).values(due_at=moment))
        session.execute(update(Subscription).values(confirmed_at=moment - timedelta(hours=1)))


def shown(page: str) -> dict[str, int]:
    """Return the row of numbers."""
    found = re.findall(r"<dt>([^<]+)</dt><dd><span class=\"number\">([\d\u00a0]+)<", page)
    return {name: int(number.replace("\u00a0", "")) for name, number in found}


def test_the_numbers_add_up_and_each_says_what_it_is(person: Callable[..., Person]) -> None:
    number = mailing("eva@example.org", "nils@example.org", "per@example.org", "maja@example.org", "ida@example.org")
    with database.transaction() as session:
        token = values("SELECT leave_token FROM subscriptions WHERE address = 'ida@example.org'")[0]
        leave(session, token, database.now(session))
    sent(number, nils=NO, per=LATER)
    page = person("editor").get(f"{ROOM}/dispatches/{number}").text
    found = list(shown(page).values())
    assert found == [5, 2, 1, 1, 1, 0]
    assert found[0] == sum(found[1:])
    assert page.count('class="why"') == 6
    assert 'style="' not in page
    assert "nästa" in page.lower()
    assert "Simhallen öppnar" in page


def test_while_the_list_is_made_there_are_no_numbers(person: Callable[..., Person]) -> None:
    number = mailing("eva@example.org", expanded=False)
    page = person("editor").get(f"{ROOM}/dispatches/{number}").text
    assert shown(page) == {}
    assert "data-poll" in page
    assert "worker" not in page, "it has only just begun"


def test_when_nobody_takes_it_up_the_page_says_so(person: Callable[..., Person]) -> None:
    number = mailing("eva@example.org", expanded=False)
    someone, at = person("publisher"), f"{ROOM}/dispatches/{number}"
    long_ago(number, seconds=20)
    assert "worker" in someone.get(at).text
    someone.post(f"{at}/pause")
    assert "worker" not in someone.get(at).text
    someone.post(f"{at}/resume")
    assert "worker" not in someone.get(at).text, "a pause is not idleness"
    with database.transaction() as session:
        expanding.enter(session, number, database.now(session))
    assert "worker" not in someone.get(at).text
    long_ago(number, minutes=2)
    with database.transaction() as session:
        for row in session.scalars(select(Audit)):
            row.at -= timedelta(minutes=1)
    assert "worker" in someone.get(at).text
    with database.transaction() as session:
        relay.away(session, "nobody answers", database.now(session))
    page = someone.get(at).text
    assert "worker" not in page, "then it is the mail server"
    assert "nobody answers" in page
    with database.transaction() as session:
        relay.back(session)
        assert ledger.claim(session, number, "test", database.now(session), 1, 50)
    assert "worker" not in someone.get(at).text


def test_the_fragment_is_the_same_block_and_stops_once_all_is_over(person: Callable[..., Person]) -> None:
    number = mailing("eva@example.org")
    someone, at = person("editor"), f"{ROOM}/dispatches/{number}"

    def block(page: str) -> str:
        return page[page.index('<section id="books"') : page.index("</section>")].strip()

    assert block(someone.get(at).text) == block(someone.get(f"{at}/books").text)
    assert "<html" not in someone.get(f"{at}/books").text
    assert someone.get(f"{at}/books").headers["Cache-Control"] == "no-store"
    sent(number)
    assert state() is DispatchState.FINISHED
    assert "data-poll" not in someone.get(f"{at}/books").text
    assert "data-poll" not in someone.get(at).text


def test_a_stopped_mailing_stays_fresh_until_nothing_is_in_hand(person: Callable[..., Person]) -> None:
    number = mailing("eva@example.org", "nils@example.org")
    someone, at = person("publisher"), f"{ROOM}/dispatches/{number}"
    with database.transaction() as session:
        assert ledger.claim(session, number, "test", database.now(session), 1, 50)
    someone.post(f"{at}/stop")
    page = someone.get(at).text
    assert "data-poll" in page
    assert list(shown(page).values()) == [2, 0, 1, 0, 1, 0]


def test_who_paused_it_and_when_is_said(person: Callable[..., Person]) -> None:
    number = mailing("eva@example.org")
    someone, at = person("publisher"), f"{ROOM}/dispatches/{number}"
    someone.post(f"{at}/pause")
    assert someone.email in someone.get(at).text.partition("<main")[2]
    someone.post(f"{at}/resume")
    assert someone.email not in someone.get(at).text.partition("<main")[2]


def test_every_act_is_done_once_and_written_down_once(person: Callable[..., Person]) -> None:
    number = mailing("eva@example.org", expanded=False)
    someone, at = person("publisher"), f"{ROOM}/dispatches/{number}"
    for act, wanted in (("pause", "paused"), ("resume", "expanding"), ("stop", "cancelled")):
        for _ in range(2):
            done = someone.post(f"{at}/{act}")
            assert done.status_code == 303
            assert done.headers["Location"].startswith(f"{at}?note=")
            assert someone.get(done.headers["Location"]).text.count('role="status"') == 2
        assert state() == wanted
    for act in ("pause", "resume"):
        assert someone.post(f"{at}/{act}").headers["Location"] == f"{at}?note=ended-already"
    assert acts() == ["dispatch.pause", "dispatch.resume", "dispatch.cancel"]
    with database.reading() as session:
        row = session.scalars(select(Audit).where(Audit.act == "dispatch.pause")).one()
    assert (row.subject, row.details, row.actor) == ("Simhallen öppnar", {"dispatch": number}, someone.email)


def test_stopping_asks_first_with_numbers(person: Callable[..., Person]) -> None:
    number = mailing("eva@example.org", "nils@example.org", "per@example.org")
    sent(number, nils=LATER, per=LATER)
    someone, at = person("publisher"), f"{ROOM}/dispatches/{number}"
    before = rows()
    page = someone.get(f"{at}/stop").text
    assert re.search(r"\b1\b.*\b2\b", page.partition("<main")[2], re.DOTALL)
    assert rows() == before
    someone.post(f"{at}/stop")
    assert someone.get(f"{at}/stop").headers["Location"] == at


def test_held_mail_is_decided_on_by_a_publisher(person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, UNCERTAIN="hold")
    number = mailing("eva@example.org", "nils@example.org")
    sent(number, eva=LOST)
    editor, someone, at = person("editor"), person("publisher"), f"{ROOM}/dispatches/{number}"
    assert "/decide" not in editor.get(at).text
    assert f'action="{at}/decide"' in someone.get(at).text
    for nonsense in ({}, {"resend": ""}, {"resend": "maybe"}):
        assert someone.post(f"{at}/decide", nonsense).status_code == 303
    assert acts() == [], "a form without an answer decides nothing"
    assert someone.post(f"{at}/decide", {"resend": "yes"}).status_code == 303
    assert someone.post(f"{at}/decide", {"resend": "no"}).status_code == 303
    assert acts() == ["dispatch.decide"]
    sent(number)
    assert state() is DispatchState.FINISHED


def test_once_stopped_nothing_is_asked_about_what_was_held(
    person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, UNCERTAIN="hold")
    number = mailing("eva@example.org", "nils@example.org")
    sent(number, eva=LOST)
    someone, at = person("publisher"), f"{ROOM}/dispatches/{number}"
    someone.post(f"{at}/stop")
    page = someone.get(at).text
    assert "/decide" not in page
    assert list(shown(page).values()) == [2, 1, 0, 0, 0, 1]


def test_the_refused_with_what_it_means_and_veiled_for_editors(person: Callable[..., Person]) -> None:
    number = mailing("eva@example.org", "nils@example.org", "per@example.org", "gone@example.org")
    sent(number, nils=NO, per=LATER, gone=NO, eva=LOST)
    with database.transaction() as session:
        token = values("SELECT leave_token FROM subscriptions WHERE address = 'gone@example.org'")[0]
        leave(session, token, database.now(session))
    at = f"{ROOM}/dispatches/{number}/refused"
    for role in ("publisher", "admin"):
        whole = person(role).get(at).text
        assert "nils@example.org" in whole
        assert "per@example.org" in whole
        assert "följer inte längre" in whole
        assert "550 5.1.1 &lt;address&gt;: user unknown" in whole
        assert "Brevlådan finns inte." in whole
    page = person("editor").get(at).text
    assert "n…@example.org" in page
    for name in ("nils", "per@", "eva@", "gone"):
        assert name not in page.partition("<table")[2]


def test_the_list_has_pages_of_a_hundred(person: Callable[..., Person]) -> None:
    emails = [f"f{number:03}@example.org" for number in range(130)]
    number = mailing(*emails)
    sent(number, **{email.partition("@")[0]: NO for email in emails})
    someone, at = person("publisher"), f"{ROOM}/dispatches/{number}/refused"
    first, second = someone.get(at).text, someone.get(f"{at}?page=2").text
    assert (first.count("@example.org</td>"), second.count("@example.org</td>")) == (100, 30)
    assert "?page=2" in first
    for page in ("0", "-1", "x", "9999999999", "1e3", "3"):
        assert someone.get(f"{at}?page={page}").status_code == 404


def test_why_some_were_skipped_is_said(person: Callable[..., Person]) -> None:
    number = mailing("eva@example.org", "nils@example.org", "per@example.org")
    with database.transaction() as session:
        token = values("SELECT leave_token FROM subscriptions WHERE address = 'eva@example.org'")[0]
        leave(session, token, database.now(session))
    someone, at = person("publisher"), f"{ROOM}/dispatches/{number}"
    someone.post(f"{at}/stop")
    page = someone.get(f"{at}/refused").text
    assert re.search(r"<p>1 hade slutat följa", page)
    assert re.search(r"<p>2 fick det inte eftersom utskicket stoppades", page)


def test_another_newsrooms_mailing_is_not_found_and_untouched(person: Callable[..., Person]) -> None:
    number = mailing("eva@example.org")
    other = person("admin", "karhula")
    before = rows()
    for room in ("norrvik", "karhula"):
        at = f"/desk/{room}/dispatches/{number}"
        for suffix in ("", "/books", "/refused", "/stop"):
            assert other.get(at + suffix).status_code == 404
        for suffix in ("/pause", "/resume", "/stop", "/decide"):
            assert other.post(at + suffix, {"resend": "yes"}).status_code == 404
    assert rows() == before


def test_an_editor_reads_and_no_more(person: Callable[..., Person]) -> None:
    number = mailing("eva@example.org")
    editor, at = person("editor"), f"{ROOM}/dispatches/{number}"
    page = editor.get(at).text.partition("<main")[2]
    assert "<form" not in page
    assert "/stop" not in page
    before = rows()
    assert editor.get(f"{at}/stop").status_code == 403
    for act in ("pause", "resume", "stop", "decide"):
        assert editor.post(f"{at}/{act}", {"resend": "yes"}).status_code == 403
    assert rows() == before


def fold() -> None:
    """Let a year and a day go by for what has ended, and the sweep do its part."""
    with database.transaction() as session:
        ended = database.now(session) - timedelta(days=366)
        session.execute(update(Dispatch).values(finished_at=ended))
        assert folding.fold(session, database.now(session)) > 0


@pytest.mark.parametrize("role", ["editor", "publisher"])
def test_of_an_old_mailing_the_numbers_are_left_and_the_page_says_why(person: Callable[..., Person], role: str) -> None:
    number = mailing("eva@example.org", "nils@example.org", "per@example.org")
    sent(number, nils=NO)
    someone, at = person(role), f"{ROOM}/dispatches/{number}"
    before = someone.get(at).text
    assert f'href="{at}/refused"' in before
    assert "siffrorna" not in before
    assert "nils" in someone.get(f"{at}/refused").text or role == "editor"
    fold()
    page = someone.get(at).text
    assert shown(page) == shown(before)
    assert f'href="{at}/refused"' not in page
    assert "finns bara siffrorna kvar" in page
    assert "365 dagar efter" in page
    listed = someone.get(f"{at}/refused")
    assert listed.status_code == 200
    assert "finns bara siffrorna kvar" in listed.text
    assert "Ingen har" not in listed.text, "that nobody was refused would be wrong"
    assert "<table" not in listed.text
    assert "2 av 3" in someone.get(ROOM).text

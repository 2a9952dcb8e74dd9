"""Releases: published once however often and from wherever, on time, or not at all."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from service import database, ledger, releases, settlement
from service.models import Newsroom
from service.releases import PublishError
from service.states import ReleaseState
from tests.service.press import (
    START,
    after,
    at_once,
    begin,
    claim,
    crowd,
    do,
    everything,
    expand,
    follow,
    followers,
    leave,
    one,
    publish,
    release_file,
    room,
    rows,
    subscription,
    the_books,
    write,
)
from tests.service.test_subscriptions import suppress


@pytest.fixture
def press(database_url: str) -> Newsroom:
    return room()


def expanded(press: Newsroom, now_of_expanding: float = 60) -> int:
    made = publish(press).dispatch
    assert made is not None
    expand(made.id, after(now_of_expanding))
    return made.id


def withdraw(press: Newsroom, now: datetime) -> bool:
    def taken_off(session: Session) -> bool:
        release = releases.by_slug(session, press.id, "badet")
        assert release is not None
        return releases.withdraw(session, release, now)

    return do(taken_off)


def test_publishing_makes_a_release_a_version_a_dispatch_and_its_mail(press: Newsroom) -> None:
    done = publish(press)
    assert (done.made, done.release.slug, done.release.state) == (True, "badet", ReleaseState.PUBLISHED)
    assert done.release.published_at == START
    assert done.dispatch is not None
    assert (done.dispatch.state, done.dispatch.recipients) == ("expanding", None)
    assert rows("SELECT headline, language, number FROM versions") == [("Badet öppnar", "sv", 1)]
    assert b"Badet" in one("SELECT content FROM messages")
    assert the_books(done.dispatch.id).recipients is None


def test_the_same_content_again_changes_nothing(press: Newsroom) -> None:
    first = publish(press)
    before = everything()
    for again in (publish(press, now=after(60)), publish(press, mailed=False), publish(press, at=after(days=1))):
        assert again.made is False
        assert again.dispatch is not None
        assert first.dispatch is not None
        assert again.dispatch.id == first.dispatch.id
    assert everything() == before


@pytest.mark.parametrize(
    "changed",
    [
        {"headline": "Annat"},
        {"lead": "Annat"},
        {"body": "Annat"},
        {"keywords": ["annat"]},
        {"kind": "news"},
        {"language": "en"},
    ],
    ids=str,
)
def test_other_content_under_the_same_slug_is_refused(press: Newsroom, changed: dict[str, object]) -> None:
    publish(press)
    before = everything()
    other = release_file().model_copy(update=changed)
    with pytest.raises(PublishError, match=r"asele-strand/badet is already published; use `release correct`"):
        do(releases.publish, press, other, START)
    assert everything() == before


def test_the_same_slug_in_another_newsroom_is_another_release(press: Newsroom) -> None:
    publish(press)
    assert publish(room("norrvik")).made


def test_two_threads_at_once_make_one_release_and_one_dispatch(press: Newsroom) -> None:
    done = at_once(6, lambda _: publish(press))
    assert sum(one.made for one in done) == 1
    assert len({one.dispatch.id for one in done if one.dispatch}) == 1
    assert [len(rows(f"SELECT id FROM {name}")) for name in ("releases", "versions", "dispatches", "messages")] == [
        1
    ] * 4


def test_two_contents_at_once_publish_one_of_them(press: Newsroom) -> None:
    def attempt(number: int) -> bool:
        try:
            return do(releases.publish, press, release_file(headline=f"Rubrik {number}"), START).made
        except PublishError:
            return False

    assert sum(at_once(4, attempt)) == 1
    assert len(rows("SELECT id FROM versions")) == 1


@pytest.mark.parametrize("options", [{}, {"at": after(3600)}])
def test_mail_that_cannot_be_compiled_stops_the_publishing(press: Newsroom, options: dict[str, Any]) -> None:
    write("UPDATE newsrooms SET timezone = 'No/Where'")
    before = everything()
    with pytest.raises(KeyError):
        do(
            lambda session: releases.publish(
                session, session.get_one(Newsroom, press.id), release_file(), START, **options
            )
        )
    assert everything() == before
    write("UPDATE newsrooms SET timezone = 'Europe/Stockholm'")
    assert publish(press).made


def test_a_scheduled_release_waits_for_its_time(press: Newsroom) -> None:
    done = publish(press, at=after(3600))
    assert (done.release.state, done.dispatch, done.release.published_at) == (ReleaseState.SCHEDULED, None, None)
    assert do(releases.scheduled, after(3599)) == []
    assert do(releases.publish_due, done.release.id, after(3599)) is False
    assert do(releases.find, press.id, "badet") is None
    assert do(releases.scheduled, after(3600)) == [done.release.id]
    assert do(releases.publish_due, done.release.id, after(3600)) is True
    assert do(releases.publish_due, done.release.id, after(3601)) is False
    again = publish(press)
    assert (again.made, again.release.state) == (False, ReleaseState.PUBLISHED)
    assert again.dispatch is not None


def test_a_scheduled_release_is_published_once_by_many_sweepers(press: Newsroom) -> None:
    number = publish(press, at=after(60)).release.id
    assert sum(at_once(6, lambda _: do(releases.publish_due, number, after(60)))) == 1
    assert len(rows("SELECT id FROM dispatches")) == 1
    assert len(rows("SELECT id FROM messages")) == 1


def test_scheduling_again_is_no_other_release(press: Newsroom) -> None:
    publish(press, at=after(60))
    again = publish(press, at=after(90))
    assert (again.made, again.dispatch, again.release.publish_at) == (False, None, after(60))


def test_unmailed_is_never_mailed(press: Newsroom) -> None:
    followers(press, "anna@example.org")
    done = publish(press, mailed=False, date=START - timedelta(days=900))
    assert (done.dispatch, done.release.published_at) == (None, START - timedelta(days=900))
    again = publish(press)
    assert (again.made, again.dispatch) == (False, None)
    scheduled = publish(press, "annat.md", mailed=False, at=after(60))
    assert do(releases.publish_due, scheduled.release.id, after(60)) is True
    assert rows("SELECT id FROM dispatches") == []


def test_a_withdrawn_release_is_gone_and_its_mailing_stops(press: Newsroom) -> None:
    crowd(press, 3)
    done = publish(press)
    assert done.dispatch is not None
    expand(done.dispatch.id, START)
    batch = claim(done.dispatch.id, size=1)
    assert withdraw(press, after(60)) is True
    assert withdraw(press, after(61)) is False
    found = do(releases.find, press.id, "badet")
    assert found is not None
    assert found.release.state is ReleaseState.WITHDRAWN
    assert do(releases.latest, press.id, 10) == []
    assert not begin(batch, batch.mails[0], after(60))
    do(ledger.close, batch.claim_id)
    do(settlement.skip_cancelled, after(60))
    assert (the_books(done.dispatch.id).skipped, the_books(done.dispatch.id).dispatch.state) == (3, "cancelled")
    with pytest.raises(PublishError, match="was withdrawn"):
        publish(press)


def test_a_release_withdrawn_before_its_time_is_never_published(press: Newsroom) -> None:
    done = publish(press, at=after(60))
    assert withdraw(press, START) is True
    assert do(releases.publish_due, done.release.id, after(60)) is False
    assert do(releases.find, press.id, "badet") is None


def test_a_release_withdrawn_before_it_is_expanded_mails_nobody(press: Newsroom) -> None:
    crowd(press, 2)
    done = publish(press)
    assert done.dispatch is not None
    withdraw(press, START)
    assert expand(done.dispatch.id, START) is False
    assert the_books(done.dispatch.id).recipients == 0


def test_withdrawing_and_expanding_at_once_leaves_nothing_to_send(press: Newsroom) -> None:
    crowd(press, 20)
    done = publish(press)
    assert done.dispatch is not None
    number = done.dispatch.id
    at_once(2, lambda turn: expand(number, START) if turn else withdraw(press, START))
    do(settlement.skip_cancelled, START)
    assert the_books(number).pending == 0
    assert do(ledger.claim, number, "test", after(60), 10, 50) is None


def test_only_those_confirmed_by_then_and_not_gone_are_mailed(press: Newsroom) -> None:
    followers(
        press, "early@example.org", "gone@example.org", "going@example.org", "complained@example.org", now=after(-60)
    )
    followers(press, "now@example.org", now=START)
    followers(press, "late@example.org", now=after(1))
    followers(room("norrvik"), "elsewhere@example.org", now=after(-60))
    follow(press, "pending@example.org", after(-60))
    leave("gone@example.org", press, after(-1))
    number = publish(press).dispatch
    assert number is not None
    leave("going@example.org", press, after(1))
    suppress("complained@example.org", "complaint")
    assert expand(number.id, after(60)) is True
    states = rows(
        "SELECT s.address, d.state FROM deliveries d JOIN subscriptions s ON s.id = d.subscription_id"
        " WHERE d.dispatch_id IS NOT NULL"
    )
    assert set(states) == {
        ("early@example.org", "queued"),
        (None, "skipped"),
        ("complained@example.org", "skipped"),
        ("now@example.org", "queued"),
    }
    assert len(states) == 4
    assert the_books(number.id).recipients == 4


def test_expanding_twice_or_at_once_enters_each_follower_once(press: Newsroom) -> None:
    crowd(press, 50)
    made = publish(press).dispatch
    assert made is not None
    assert sum(at_once(5, lambda _: expand(made.id, START))) == 1
    assert the_books(made.id).recipients == 50
    assert len(set(rows("SELECT public_id FROM deliveries"))) == 50


def test_a_dispatch_to_nobody_is_finished_at_once(press: Newsroom) -> None:
    books = the_books(expanded(press))
    assert (books.recipients, books.dispatch.state, books.dispatch.finished_at) == (0, "finished", after(60))


def test_one_who_leaves_between_publishing_and_expanding_is_skipped_and_counted(press: Newsroom) -> None:
    followers(press, "anna@example.org", now=after(-60))
    made = publish(press).dispatch
    assert made is not None
    token = subscription("anna@example.org", press).leave_token
    leave("anna@example.org", press, after(1))
    expand(made.id, after(2))
    books = the_books(made.id)
    assert (books.recipients, books.skipped, books.dispatch.state) == (1, 1, "finished")
    assert token not in repr(rows("SELECT * FROM deliveries"))


def test_the_press_room_shows_the_newest_first(press: Newsroom) -> None:
    for day in range(4):
        publish(press, f"dag-{day}.md", mailed=False, date=after(days=-day))
    publish(press, "senare.md", at=after(days=1))
    with database.reading() as session:
        shown = releases.latest(session, press.id, 2, offset=1)
        assert [one.release.slug for one in shown] == ["dag-1", "dag-2"]
        assert releases.count(session, press.id) == 4
        assert next(one.release.slug for one in releases.every(session)) == "senare"

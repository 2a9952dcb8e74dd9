"""Drafts on both databases: changed from the revision that was read, published once, under one address each."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import func, select

from service import address, database, drafts, ledger, newsrooms, releases, staff
from service.models import Dispatch, Newsroom, Release, Version
from service.release_file import Content
from service.states import ReleaseState, Role


@pytest.fixture
def newsroom(database_url: str) -> Newsroom:
    """A newsroom to write in."""
    with database.transaction() as session:
        fields = {"slug": "norrvik", "name": "Norrviks kommun", "language": "sv", "timezone": "Europe/Stockholm"}
        return newsrooms.load(session, newsrooms.NewsroomFile.model_validate(fields), database.now(session))


def content_of(headline: str, body: str, slug: str = "") -> Content:
    return Content.model_validate({"headline": headline, "body": body, "slug": slug})


def written(newsroom: Newsroom, headline: str, slug: str = "") -> int:
    with database.transaction() as session:
        content = content_of(headline, "Text.", slug)
        return drafts.create(session, newsroom, content, database.now(session)).id


def save(newsroom: Newsroom, number: int, revision: int, slug: str = "", headline: str = "Ny rubrik") -> str:
    """Save and return the name of what was raised, or the slug it has then."""
    try:
        with database.transaction() as session:
            content = content_of(headline, "Ändrad.", slug)
            return drafts.save(session, newsroom, number, content, revision, database.now(session)).slug
    except (drafts.Stale, drafts.SlugTaken, drafts.NotADraft) as error:
        return type(error).__name__


def publish(newsroom: Newsroom, number: int, revision: int | None = 1) -> bool:
    """Publish and tell whether this call did it."""
    with database.transaction() as session:
        return drafts.publish(session, newsroom, number, database.now(session), revision=revision).made


def test_who_saves_from_an_older_text_is_told_and_changes_nothing(newsroom: Newsroom) -> None:
    number = written(newsroom, "Först")
    assert save(newsroom, number, 1) == "ny-rubrik"
    with pytest.raises(drafts.Stale) as stale, database.transaction() as session:
        content = content_of("För sent", "För sent.")
        drafts.save(session, newsroom, number, content, 1, database.now(session))
    assert (stale.value.release.revision, stale.value.version.headline) == (2, "Ny rubrik")
    with database.reading() as session:
        assert drafts.read(session, newsroom.id, number)[1].body == "Ändrad."


def test_one_of_two_that_save_at_once_is_told(newsroom: Newsroom) -> None:
    number = written(newsroom, "Först")
    gate = Barrier(2)

    def saving(headline: str) -> str:
        gate.wait(10)
        return save(newsroom, number, 1, headline=headline)

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(saving, ("Min", "Din")))
    assert said[0] == "Stale"
    assert said[1] in ("din", "min")


def test_two_drafts_that_take_one_address_at_once_do_not_both_get_it(newsroom: Newsroom) -> None:
    for turn in range(5):
        numbers = [written(newsroom, f"Utkast {turn} {name}") for name in "ab"]
        gate = Barrier(2)

        def saving(number: int, wanted: str, gate: Barrier = gate) -> str:
            gate.wait(10)
            return save(newsroom, number, 1, slug=wanted)

        with ThreadPoolExecutor(2) as pool:
            said = list(pool.map(saving, numbers, [f"adressen-{turn}"] * 2))
        assert sorted(said) == ["SlugTaken", f"adressen-{turn}"]


def test_drafts_with_one_headline_made_at_once_have_an_address_each(newsroom: Newsroom) -> None:
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda _: written(newsroom, "Samma rubrik"), range(8)))
    assert len(set(numbers)) == 8
    with database.reading() as session:
        slugs = set(session.scalars(select(Release.slug)))
    assert slugs == {"samma-rubrik", *(f"samma-rubrik-{number}" for number in range(2, 9))}


def test_it_is_published_once_however_many_ask(newsroom: Newsroom) -> None:
    number = written(newsroom, "En gång")
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: publish(newsroom, number), range(8)))
    assert sorted(made) == [False] * 7 + [True]
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Dispatch)) == 1
    assert save(newsroom, number, 1) == "NotADraft"
    with database.transaction() as session:
        assert not drafts.delete_draft(session, newsroom.id, number)


def test_what_was_not_looked_at_is_not_published(newsroom: Newsroom) -> None:
    number = written(newsroom, "Sedd")
    save(newsroom, number, 1)
    with pytest.raises(drafts.Stale):
        publish(newsroom, number, revision=1)
    assert publish(newsroom, number, revision=None)


def test_scheduled_it_stands_still_and_a_draft_again_it_does_not(newsroom: Newsroom) -> None:
    number = written(newsroom, "Senare")
    with database.transaction() as session:
        now = database.now(session)
        drafts.publish(session, newsroom, number, now, revision=1, at=now + timedelta(days=1))
    assert save(newsroom, number, 1) == "NotADraft"
    with database.transaction() as session:
        assert drafts.unschedule(session, newsroom.id, number, database.now(session))
        assert not drafts.unschedule(session, newsroom.id, number, database.now(session))
        assert not drafts.unschedule(session, newsroom.id + 1, number, database.now(session))
    with database.reading() as session:
        release, _ = drafts.read(session, newsroom.id, number)
        assert (release.state, release.publish_at) == (ReleaseState.DRAFT, None)
    assert save(newsroom, number, 1) == "ny-rubrik"


def test_another_newsroom_finds_nothing(newsroom: Newsroom) -> None:
    number = written(newsroom, "Vår")
    with database.transaction() as session:
        with pytest.raises(LookupError):
            drafts.read(session, newsroom.id + 1, number)
        assert not drafts.delete_draft(session, newsroom.id + 1, number)
        assert drafts.delete_draft(session, newsroom.id, number)
        assert session.scalar(select(func.count()).select_from(Version)) == 0


def test_a_deleted_drafts_number_is_not_given_again(newsroom: Newsroom) -> None:
    number = written(newsroom, "Borttaget")
    with database.transaction() as session:
        assert drafts.delete_draft(session, newsroom.id, number)
    assert written(newsroom, "Något annat") > number
    with pytest.raises(LookupError):
        publish(newsroom, number)


def test_what_is_moved_at_the_last_moment_waits_for_its_new_time(newsroom: Newsroom) -> None:
    number = written(newsroom, "Badet öppnar")
    with database.transaction() as session:
        now = database.now(session)
        drafts.publish(session, newsroom, number, now, at=now + timedelta(seconds=1))
    later, due = now + timedelta(days=1), now + timedelta(seconds=2)
    moved, go = Barrier(2), Barrier(2)

    def move() -> None:
        with database.transaction() as session:
            drafts.publish(session, newsroom, number, now, at=later)
            moved.wait(10)
            go.wait(10)

    with ThreadPoolExecutor(2) as pool:
        moving = pool.submit(move)
        moved.wait(10)  # it is moved and not yet committed; now the sweep finds it due
        sweeping = pool.submit(sweep, number, due)
        go.wait(10)
        moving.result(20)
        assert sweeping.result(20) is False
    with database.reading() as session:
        release, _ = drafts.read(session, newsroom.id, number)
        assert (release.state, release.publish_at) == (ReleaseState.SCHEDULED, later)
    assert sweep(number, later)


def sweep(number: int, now: datetime) -> bool:
    """Publish what is due, as the sweep does."""
    with database.transaction() as session:
        return releases.publish_due(session, number, now)


@pytest.mark.parametrize("first", [True, False])
def test_whether_it_is_mailed_stays_as_it_was_scheduled(newsroom: Newsroom, *, first: bool) -> None:
    number = written(newsroom, "Badet öppnar")

    def go(at: datetime | None, mailed: bool | None) -> releases.Publication:
        with database.transaction() as session:
            return drafts.publish(session, newsroom, number, now, at=at, mailed=mailed)

    with database.reading() as session:
        now = database.now(session)
    later, much_later = now + timedelta(days=1), now + timedelta(days=2)
    assert go(later, first).made
    assert not go(later, None).made
    assert not go(later, first).made
    assert go(much_later, None).release.mailed is first
    assert go(much_later, not first).made, "said anew, it counts"
    assert go(much_later, first).made
    assert (go(None, None).dispatch is not None) is first


def test_a_test_of_a_draft_that_is_deleted_meanwhile_is_not_sent(newsroom: Newsroom) -> None:
    number = written(newsroom, "Badet öppnar")
    with database.transaction() as session:
        version = drafts.read(session, newsroom.id, number)[1].id
        added = staff.add(session, address.parse("maja@example.org"), "", newsroom, Role.EDITOR, database.now(session))
    with database.transaction() as session:
        assert drafts.delete_draft(session, newsroom.id, number)
    with database.transaction() as session:
        assert not ledger.enter_test(session, added.staff.id, version, database.now(session))

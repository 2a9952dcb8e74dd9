"""Folding: long after its end a mailing's rows become numbers, and the books say what they said before."""

from datetime import timedelta

import pytest

from service import books, database, drafts, folding, ledger, settlement
from service.models import Newsroom
from service.smtp import Accepted, Outcome, Refused, Uncertain
from tests.service.press import (
    after,
    at_once,
    begin,
    claim,
    configure,
    crowd,
    dispatched,
    do,
    everything,
    follow,
    leave,
    mail_out,
    one,
    record,
    rows,
    the_books,
)
from tests.service.press import room as newsroom

YES = Accepted(250, "2.0.0 taken")
NO = Refused(True, 550, "5.1.1 user unknown")
LOST = Uncertain("the connection ended")
ENDED = 10.0
YEAR = 365 * 24 * 3600 + ENDED
"""Seconds from the beginning until what ended at ENDED is no longer kept."""


@pytest.fixture
def press(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Newsroom:
    configure(monkeypatch, uncertain="hold")
    return newsroom()


def mailed(press: Newsroom) -> int:
    """Mail a release: 8 accepted, 3 refused, 2 uncertain, 1 skipped; it is finished at ENDED."""
    emails = crowd(press, 14)
    number = dispatched(press, now=after(1))
    leave(emails[13], press, after(1))
    outcomes: list[Outcome] = [YES] * 8 + [NO] * 3 + [LOST] * 2
    batch = claim(number, after(2))
    for mail, outcome in zip(batch.mails, outcomes, strict=True):
        assert begin(batch, mail, after(3))
        record(batch, mail, outcome, after(4))
    do(ledger.close, batch.claim_id)
    assert do(settlement.decide_held, number, after(ENDED), resend=False) == 2
    assert the_books(number).dispatch.state == "finished"
    return number


def fold(seconds: float = YEAR, step: int = 5) -> int:
    return do(folding.fold, after(seconds), step)


def counts(number: int) -> tuple[int | None, int, int, int, int, int]:
    its = the_books(number)
    return its.recipients, its.accepted, its.refused, its.skipped, its.uncertain, its.pending


def line(number: int) -> tuple[int | None, int, int, int]:
    """Return what the list of releases says of the only mailing."""
    with database.reading() as session:
        (found,) = books.of_releases(session, rows("SELECT release_id FROM dispatches")).values()
    assert found.dispatch == number
    return found.recipients, found.accepted, found.refused, found.pending


def kept(number: int) -> int:
    return int(one("SELECT count(*) FROM deliveries WHERE dispatch_id = :id", id=number))


ALL = (14, 8, 3, 1, 2, 0)


def test_the_books_say_the_same_before_during_and_after(press: Newsroom) -> None:
    number = mailed(press)
    assert (counts(number), line(number)) == (ALL, (14, 8, 3, 0))
    for left in (9, 4, 0):
        assert fold(YEAR + 100 - left) == (5 if left else 4)
        assert kept(number) == left
        assert (counts(number), line(number)) == (ALL, (14, 8, 3, 0))
    assert fold() == 0
    assert the_books(number).dispatch.folded_at == after(YEAR + 91), "since the first step"
    with database.reading() as session:
        assert [its.accepted for its in books.latest(session)] == [8]


def test_nothing_is_folded_before_its_time_and_the_setting_says_when(
    press: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = mailed(press)
    assert fold(YEAR - 1) == 0
    configure(monkeypatch, keep_deliveries=30, uncertain="hold")
    assert fold(ENDED + 30 * 24 * 3600 - 1) == 0
    assert fold(ENDED + 30 * 24 * 3600, step=100) == 14
    assert counts(number) == ALL


def test_a_mailing_that_has_not_ended_is_never_folded(press: Newsroom) -> None:
    crowd(press, 3)
    number = dispatched(press)
    batch = claim(number, after(1), 2)
    for mail in batch.mails:
        assert begin(batch, mail, after(2))
        record(batch, mail, YES, after(3))
    do(ledger.close, batch.claim_id)
    assert fold(3 * YEAR) == 0
    do(settlement.pause, number)
    assert fold(3 * YEAR) == 0
    assert do(settlement.cancel, number, after(3 * YEAR))
    assert fold(3 * YEAR) == 0
    assert fold(4 * YEAR + 1) == 3
    assert counts(number) == (3, 2, 0, 1, 0, 0)


def test_what_is_in_hand_of_a_stopped_one_stays_until_it_is_settled(press: Newsroom) -> None:
    crowd(press, 3)
    number = dispatched(press)
    batch = claim(number, after(1), 1)
    assert begin(batch, batch.mails[0], after(1))
    do(settlement.cancel, number, after(2))
    assert fold() == 2
    assert counts(number) == (3, 0, 0, 2, 0, 1)
    record(batch, batch.mails[0], YES, after(YEAR))
    assert fold() == 1
    assert counts(number) == (3, 1, 0, 2, 0, 0)


def test_several_sweeps_at_once_count_each_row_once(press: Newsroom) -> None:
    numbers = [mailed(press), mailed(newsroom("norrvik"))]
    before = [counts(number) for number in numbers]
    folded = 0
    while some := sum(at_once(4, lambda _: fold(step=3))):
        folded += some
        assert [counts(number) for number in numbers] == before
    assert (folded, one("SELECT count(*) FROM deliveries")) == (28, 0)


def test_an_answer_that_comes_after_all_that_changes_nothing(press: Newsroom) -> None:
    crowd(press, 1)
    number = dispatched(press)
    batch = claim(number, after(1))
    assert begin(batch, batch.mails[0], after(1))
    record(batch, batch.mails[0], YES, after(2))
    do(ledger.close, batch.claim_id)
    do(settlement.finish, number, after(3))
    assert fold() == 1
    record(batch, batch.mails[0], NO, after(YEAR))
    assert counts(number) == (1, 1, 0, 0, 0, 0)


def test_confirmations_and_claims_go_as_well(press: Newsroom) -> None:
    follow(press, "anna@example.org")
    mail_out(after(1))
    number = mailed(press)
    follow(press, "bo@example.org", after(YEAR))
    before = everything()
    for early in (folding.forget_mails, folding.forget_claims):
        assert do(early, after(YEAR - 20), 5) == 0
    assert everything() == before
    assert do(folding.forget_claims, after(2 * YEAR), 5) == 0, "their mails name them"
    assert do(folding.forget_mails, after(YEAR), 5) == 1
    assert one("SELECT kind FROM deliveries WHERE dispatch_id IS NULL AND state = 'queued'") == "confirmation"
    assert fold(step=100) == 14
    assert do(folding.forget_claims, after(2 * YEAR), 1) == 1
    assert do(folding.forget_claims, after(2 * YEAR), 5) == 1
    assert one("SELECT count(*) FROM claims") == 0
    assert counts(number) == ALL


def test_a_step_is_no_longer_than_it_may_be(press: Newsroom) -> None:
    for turn in range(4):
        follow(press, f"n{turn}@example.org", after(turn, minutes=20 * turn))
    mail_out(after(hours=3))
    at = after(hours=3) + timedelta(days=365)
    assert [do(folding.forget_mails, at, 3) for _ in range(3)] == [3, 1, 0]


def test_the_list_counts_a_mailing_under_way_too(press: Newsroom) -> None:
    crowd(press, 4)
    number = dispatched(press)
    assert line(number) == (4, 0, 0, 4)
    batch = claim(number, after(1), 2)
    outcomes: tuple[Outcome, ...] = (YES, NO)
    for mail, outcome in zip(batch.mails, outcomes, strict=True):
        assert begin(batch, mail, after(2))
        record(batch, mail, outcome, after(3))
    do(ledger.close, batch.claim_id)
    assert line(number) == (4, 1, 1, 2)
    do(settlement.cancel, number, after(4))
    assert line(number) == (4, 1, 1, 0)
    with database.reading() as session:
        assert [its.release.id for its in drafts.listed(session, press.id, 5)] == rows("SELECT id FROM releases")

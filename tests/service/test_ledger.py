"""The ledger: nothing claimed twice, nothing handed over that may not go, and books that balance whatever happens."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import settings as limits
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.orm import Session

from service import books, database, ledger, settlement
from service import settings as service_settings
from service.holding import WINDOW
from service.ledger import Batch
from service.models import Newsroom
from service.outcomes import Mail, TakenBack
from service.smtp import Accepted, Outcome, Refused, Uncertain
from service.states import DeliveryKind
from tests.conftest import Backend
from tests.service.press import (
    START,
    after,
    at_once,
    begin,
    claim,
    claimed,
    configure,
    crowd,
    dispatched,
    do,
    expand,
    follow,
    followers,
    leave,
    on_the_wire,
    one,
    publish,
    room,
    rows,
    state,
    subscription,
    the_books,
    write,
)
from tests.service.press import record as press_record
from tests.service.press import settle as press_settle

YES = Accepted(250, "2.0.0 taken")
NO = Refused(True, 550, "5.1.1 no such user")
LATER = Refused(False, 450, "4.2.0 later")
LOST = Uncertain("the connection ended")
EACH: tuple[Outcome, ...] = (YES, NO, LATER, LOST)

OVER = 3.0
"""Seconds after which a lease of the tests (2 s) is over."""


@pytest.fixture
def press(database_url: str) -> Newsroom:
    return room()


def record(batch: Batch, mail: Mail, outcome: Outcome | TakenBack, now: float = 0) -> None:
    press_record(batch, mail, outcome, after(now))


def settle(now: float = OVER) -> int:
    return press_settle(after(now))


def renew(batch: Batch, now: float) -> bool:
    return do(ledger.look, batch, None, after(now)).alive


def row(mail: Mail, *names: str) -> Any:
    return one(f"SELECT {', '.join(names)} FROM deliveries WHERE id = :id", id=mail.id)


def finish(number: int, now: float = 0) -> bool:
    return do(settlement.finish, number, after(now))


def test_several_threads_claim_each_mail_once(press: Newsroom) -> None:
    crowd(press, 120)
    number = dispatched(press)

    def take(_: int) -> list[int]:
        taken = []
        while batch := do(ledger.claim, number, "test", START, 7, WINDOW):
            taken += [mail.id for mail in batch.mails]
        return taken

    taken = [mail for some in at_once(6, take) for mail in some]
    assert len(taken) == len(set(taken)) == 120
    assert the_books(number).pending == 120


def test_a_claim_takes_what_is_due_and_no_more(press: Newsroom) -> None:
    crowd(press, 5)
    number = dispatched(press)
    assert len(claim(number, size=3).mails) == 3
    batch = claim(number, size=10)
    assert len(batch.mails) == 2
    assert claimed(number, START, 10) is None
    assert len(rows("SELECT id FROM claims")) == 2, "an empty claim leaves no row"
    assert batch.mails[0].address is not None
    assert len(batch.mails[0].leave_token) == 22


def test_confirmations_and_dispatches_are_lanes_apart(press: Newsroom) -> None:
    followers(press, "anna@example.org")
    number = dispatched(press)
    follow(press, "bo@example.org")
    assert [mail.kind for mail in claim(None).mails] == [DeliveryKind.CONFIRMATION]
    assert [mail.kind for mail in claim(number).mails] == [DeliveryKind.RELEASE]


def test_what_is_accepted_ends_the_dispatch(press: Newsroom) -> None:
    crowd(press, 1)
    number = dispatched(press)
    batch, mail = on_the_wire(number)
    assert finish(number) is False
    record(batch, mail, YES, 1)
    assert row(mail, "state", "attempts", "reply_code", "reply") == ("accepted", 1, 250, "2.0.0 taken")
    assert finish(number, 2) is True
    assert finish(number, 3) is False
    found = the_books(number)
    assert (found.accepted, found.dispatch.state, found.dispatch.finished_at) == (1, "finished", after(2))


@pytest.mark.parametrize(
    ("obstacle", "becomes"),
    [
        ("left", "skipped"),
        ("suppressed", "skipped"),
        ("cancelled", "claimed"),
        ("paused", "claimed"),
        ("lease over", "claimed"),
        ("closed", "queued"),
    ],
)
def test_a_mail_is_not_begun_when(press: Newsroom, obstacle: str, becomes: str) -> None:
    (email,) = crowd(press, 1)
    number = dispatched(press)
    batch = claim(number)
    (mail,) = batch.mails
    if obstacle == "left":
        leave(email, press)
    elif obstacle == "suppressed":
        values = {"hash": subscription(email, press).address_hash, "now": START.replace(tzinfo=None)}
        write("INSERT INTO suppressions (address_hash, reason, created_at) VALUES (:hash, 'bounce', :now)", **values)
    elif obstacle == "cancelled":
        assert do(settlement.cancel, number, START)
    elif obstacle == "paused":
        write("UPDATE dispatches SET state = 'paused'")
    elif obstacle == "closed":
        do(ledger.close, batch.claim_id)
    assert begin(batch, mail, after(OVER if obstacle == "lease over" else 0)) is False
    assert (state(mail), row(mail, "attempts")) == (becomes, 0)
    the_books(number)
    do(ledger.close, batch.claim_id)
    assert state(mail) == ("skipped" if becomes == "skipped" else "queued")


def test_a_mail_claimed_anew_is_not_begun_by_the_first(press: Newsroom) -> None:
    crowd(press, 1)
    number = dispatched(press)
    old = claim(number)
    assert settle() == 1
    new = claim(number, after(OVER))
    assert new.mails[0].id == old.mails[0].id
    assert begin(old, old.mails[0], after(OVER)) is False
    assert state(new.mails[0]) == "claimed"
    assert begin(new, new.mails[0], after(OVER)) is True


def test_the_number_of_a_claim_that_came_to_nothing_is_never_given_again(press: Newsroom) -> None:
    crowd(press, 1)
    number = dispatched(press)
    with Session(database.engine(service_settings.current().database)) as session:
        lost = ledger.claim(session, number, "killed", START, 1, WINDOW)
        session.rollback()
    assert lost is not None
    assert claim(number).claim_id != lost.claim_id, "a dead process's journal names it"


def test_nothing_is_claimed_of_a_paused_dispatch(press: Newsroom) -> None:
    crowd(press, 1)
    number = dispatched(press)
    write("UPDATE dispatches SET state = 'paused'")
    assert claimed(number, START, 10) is None
    assert finish(number) is False


def test_a_confirmation_goes_only_while_its_link_is_good(press: Newsroom) -> None:
    for name in ("anna", "bo", "eva"):
        follow(press, f"{name}@example.org")
    write("UPDATE subscriptions SET state = 'confirmed' WHERE address LIKE 'anna%'")
    write("UPDATE subscriptions SET expires_at = created_at WHERE address LIKE 'bo%'")
    batch = claim(None)
    begun = [mail.address for mail in batch.mails if begin(batch, mail)]
    assert begun == ["eva@example.org"]


def test_recording_twice_changes_nothing_more(press: Newsroom) -> None:
    emails = crowd(press, 4)
    number = dispatched(press)
    batch = claim(number)
    for mail, outcome in zip(batch.mails, EACH, strict=True):
        begin(batch, mail)
        record(batch, mail, outcome)
    before = rows("SELECT * FROM deliveries ORDER BY id")
    for mail, outcome in zip(batch.mails, EACH, strict=True):
        record(batch, mail, outcome)
    assert rows("SELECT * FROM deliveries ORDER BY id") == before
    assert [state(mail) for mail in batch.mails] == ["accepted", "refused", "deferred", "deferred"]
    assert len(emails) == the_books(number).recipients


@pytest.mark.parametrize("outcome", [YES, NO, LATER])
def test_a_late_answer_counts_after_the_claim_was_settled(press: Newsroom, outcome: Outcome) -> None:
    crowd(press, 1)
    batch, mail = on_the_wire(dispatched(press))
    settle()
    record(batch, mail, outcome, OVER)
    wanted = {YES: "accepted", NO: "uncertain", LATER: "deferred"}[outcome]
    assert (state(mail), row(mail, "uncertain_events"), row(mail, "attempts")) == (wanted, 1, 1)


def test_a_late_doubt_is_the_same_doubt(press: Newsroom) -> None:
    crowd(press, 1)
    batch, mail = on_the_wire(dispatched(press))
    settle()
    record(batch, mail, LOST, OVER)
    assert (state(mail), row(mail, "uncertain_events"), row(mail, "attempts")) == ("deferred", 1, 1)


def test_a_late_answer_does_not_touch_a_mail_that_was_claimed_anew(press: Newsroom) -> None:
    crowd(press, 1)
    number = dispatched(press)
    batch, mail = on_the_wire(number)
    settle()
    claim(number, after(OVER))
    record(batch, mail, NO, OVER)
    record(batch, mail, YES, OVER)
    assert state(mail) == "claimed"


def test_a_late_refusal_does_not_bring_back_what_is_finished(press: Newsroom) -> None:
    (email,) = crowd(press, 1)
    number = dispatched(press)
    batch, mail = on_the_wire(number)
    settle()
    leave(email, press)
    assert state(mail) == "uncertain"
    assert finish(number)
    record(batch, mail, LATER, OVER)
    assert state(mail) == "uncertain"
    assert the_books(number).pending == 0
    record(batch, mail, YES, OVER)
    assert state(mail) == "accepted"


def test_settling_puts_back_what_was_never_begun(press: Newsroom) -> None:
    crowd(press, 3)
    number = dispatched(press)
    batch = claim(number)
    begin(batch, batch.mails[0])
    assert settle(1) == 0, "the lease is not over"
    assert settle() == 1
    assert settle() == 0
    assert [state(mail) for mail in batch.mails] == ["deferred", "queued", "queued"]
    assert row(batch.mails[0], "uncertain_events", "attempts", "held") in ((1, 1, False), (1, 1, 0))
    assert row(batch.mails[1], "attempts") == 0


def test_settling_by_many_sweepers_counts_a_doubt_once(press: Newsroom) -> None:
    crowd(press, 1)
    _, mail = on_the_wire(dispatched(press))
    assert sum(at_once(5, lambda _: settle())) == 1
    assert row(mail, "uncertain_events") == 1


def test_a_renewed_claim_is_not_settled_and_a_settled_one_not_renewed(press: Newsroom) -> None:
    crowd(press, 1)
    batch, mail = on_the_wire(dispatched(press))
    assert renew(batch, 1) is True
    assert settle(2.5) == 0
    assert settle(4) == 1
    assert renew(batch, 4) is False
    assert state(mail) == "deferred"


def test_what_is_in_doubt_is_held_where_the_operator_says_so(press: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, uncertain="hold")
    crowd(press, 2)
    number = dispatched(press)
    died = on_the_wire(number)[1]
    batch, lost = on_the_wire(number, after(OVER))
    record(batch, lost, LOST, OVER)
    settle()
    assert (state(died), state(lost)) == ("uncertain", "uncertain")
    assert finish(number, OVER) is False
    found = the_books(number)
    assert (found.held, found.uncertain, found.dispatch.state) == (2, 2, "sending")
    assert claimed(number, after(60), 10) is None


@pytest.mark.parametrize("resend", [True, False])
def test_held_mail_is_decided_on(press: Newsroom, monkeypatch: pytest.MonkeyPatch, resend: bool) -> None:
    configure(monkeypatch, uncertain="hold")
    crowd(press, 2)
    number = dispatched(press)
    batch = claim(number)
    for mail in batch.mails:
        begin(batch, mail)
    record(batch, batch.mails[0], LOST)
    record(batch, batch.mails[1], YES)
    assert do(settlement.decide_held, number, after(60), resend=resend) == 1
    assert do(settlement.decide_held, number, after(61), resend=not resend) == 0
    found = the_books(number)
    if resend:
        assert (found.deferred, found.held, found.dispatch.state) == (1, 0, "sending")
        again, mail = on_the_wire(number, after(60))
        assert mail.public_id == batch.mails[0].public_id
        record(again, mail, NO, 60)
        assert state(mail) == "uncertain", "what was ever in doubt stays so"
        assert finish(number, 61)
    else:
        assert (found.uncertain, found.held, found.dispatch.state) == (1, 0, "finished")


def test_a_decision_touches_nothing_on_the_wire(press: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, uncertain="hold")
    crowd(press, 1)
    number = dispatched(press)
    batch, mail = on_the_wire(number)
    settle()
    record(batch, mail, LATER, OVER)
    assert state(mail) == "deferred", "now we know: it was not taken"
    assert the_books(number).held == 0
    on_the_wire(number, after(60))
    assert do(settlement.decide_held, number, after(60), resend=True) == 0
    assert state(mail) == "claimed"


def test_a_late_yes_takes_a_mail_out_of_what_is_held(press: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, uncertain="hold")
    crowd(press, 1)
    number = dispatched(press)
    batch, mail = on_the_wire(number)
    settle()
    record(batch, mail, YES, OVER)
    assert (the_books(number).held, the_books(number).accepted) == (0, 1)
    assert finish(number)


def test_in_doubt_with_all_attempts_used_up_is_uncertain_for_good(
    press: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, retry_after="1")
    crowd(press, 2)
    number = dispatched(press)
    for now in (0, 10):
        batch = claim(number, after(now))
        for mail in batch.mails:
            assert begin(batch, mail, after(now))
        record(batch, batch.mails[0], LOST, now)
        settle(now + OVER)
    assert rows("SELECT state, uncertain_events, attempts FROM deliveries") == [("uncertain", 2, 2)] * 2
    assert finish(number, 20)


def test_refused_after_a_doubt_stays_uncertain(press: Newsroom) -> None:
    crowd(press, 1)
    number = dispatched(press)
    batch, mail = on_the_wire(number)
    record(batch, mail, LOST)
    batch, mail = on_the_wire(number, after(60))
    record(batch, mail, NO, 60)
    assert row(mail, "state", "reply_code") == ("uncertain", 550)


def test_accepted_after_a_doubt_is_accepted_and_the_doubt_is_counted(press: Newsroom) -> None:
    crowd(press, 1)
    number = dispatched(press)
    batch, mail = on_the_wire(number)
    record(batch, mail, LOST)
    batch, mail = on_the_wire(number, after(60))
    record(batch, mail, YES, 60)
    assert row(mail, "state", "uncertain_events", "attempts") == ("accepted", 1, 2)


def test_a_transient_refusal_is_tried_on_the_schedule_and_then_refused(
    press: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, retry_after="60,300,900")
    crowd(press, 1)
    number = dispatched(press)
    now = 0.0
    for attempt, pause in enumerate((60, 300, 900), 1):
        batch, mail = on_the_wire(number, after(now))
        record(batch, mail, Refused(False, 450, f"4.2.0 attempt {attempt}"), now)
        do(ledger.close, batch.claim_id)
        assert row(mail, "state", "attempts") == ("deferred", attempt)
        assert the_books(number).next_due == after(now + pause)
        assert claimed(number, after(now + pause - 1), 10) is None
        now += pause
    batch, mail = on_the_wire(number, after(now))
    record(batch, mail, Refused(False, 451, "4.2.0 the last words"), now)
    assert row(mail, "state", "attempts", "reply_code", "reply") == ("refused", 4, 451, "4.2.0 the last words")
    assert finish(number, now)


def test_taking_back_burns_no_attempt(press: Newsroom) -> None:
    crowd(press, 1)
    number = dispatched(press)
    batch, mail = on_the_wire(number)
    record(batch, mail, TakenBack(timedelta(seconds=5), "the connection ended"))
    assert row(mail, "state", "attempts", "uncertain_events") == ("queued", 0, 0)
    assert claimed(number, after(4), 10) is None
    assert claim(number, after(5)).mails[0].id == mail.id


def test_at_whom_the_relay_hung_up_goes_last_next_time(press: Newsroom) -> None:
    crowd(press, 3)
    number = dispatched(press)
    batch, first = on_the_wire(number)
    record(batch, first, TakenBack(timedelta(seconds=5), "the connection ended"))
    do(ledger.close, batch.claim_id)
    assert [mail.id == first.id for mail in claim(number, after(5)).mails] == [False, False, True]


def test_closing_a_claim_lets_go_of_what_has_no_outcome(press: Newsroom) -> None:
    crowd(press, 2)
    number = dispatched(press)
    batch = claim(number)
    begin(batch, batch.mails[0])
    record(batch, batch.mails[0], YES)
    do(ledger.close, batch.claim_id)
    assert [state(mail) for mail in batch.mails] == ["accepted", "queued"]
    assert settle(60) == 0
    assert renew(batch, 1) is False


def test_cancelling_skips_what_waits_and_lets_the_wire_finish(press: Newsroom) -> None:
    crowd(press, 4)
    number = dispatched(press)
    batch = claim(number, size=3)
    for mail in batch.mails[:2]:
        begin(batch, mail)
    assert do(settlement.cancel, number, after(1)) is True
    assert do(settlement.cancel, number, after(2)) is False
    record(batch, batch.mails[0], YES, 1)
    record(batch, batch.mails[1], LATER, 1)
    do(ledger.close, batch.claim_id)
    do(settlement.skip_cancelled, after(2))
    found = the_books(number)
    assert (found.accepted, found.skipped, found.pending) == (1, 3, 0)
    assert (found.dispatch.state, found.dispatch.finished_at) == ("cancelled", after(1))
    assert finish(number) is False


def test_a_long_mailing_is_stopped_in_steps(press: Newsroom) -> None:
    crowd(press, 25)
    number = dispatched(press)
    batch, mail = on_the_wire(number)
    assert do(settlement.cancel, number, after(1), 10)
    assert (the_books(number).skipped, the_books(number).pending) == (10, 15), "nobody waits for the whole of it"
    assert claimed(number, after(1)) is None, "and nothing more is begun"
    assert do(settlement.skip_cancelled, after(2), 10) is False
    assert do(settlement.skip_cancelled, after(2), 10) is True
    record(batch, mail, YES, 2)
    found = the_books(number)
    assert (found.accepted, found.skipped, found.pending) == (1, 24, 0)
    assert found.dispatch.finished_at == after(1)


def test_what_is_due_is_found(press: Newsroom) -> None:
    crowd(press, 2)
    number = dispatched(press)
    follow(press, "anna@example.org")

    def due(now: float) -> tuple[list[int], bool]:
        with database.reading() as session:
            return books.due_dispatches(session, after(now)), books.due_confirmations(session, after(now))

    assert due(0) == ([number], True)
    claim(number, size=1)
    claim(None)
    assert due(1) == ([number], False), "somebody is at the confirmation"
    assert due(OVER) == ([number], False)
    settle()
    assert due(OVER) == ([number], True)


class Books(RuleBasedStateMachine):
    """Workers, sweepers, followers and staff in any order; the clock goes on by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = count()
        self.now = START
        self.held_claims: list[tuple[Batch, list[Mail]]] = []
        self.wire: list[tuple[Batch, Mail]] = []
        self.accepted: dict[int, Any] = {}
        self.number = 0

    @initialize(people=st.integers(1, 6), hold=st.booleans())
    def begin(self, people: int, hold: bool) -> None:
        self.patch = pytest.MonkeyPatch()
        name = f"press-{next(rooms)}"
        configure(self.patch, uncertain="hold" if hold else "resend", retry_after="1,1")
        self.press = room(name)
        self.emails = [f"{number}@{name}.example.org" for number in range(people)]
        followers(self.press, *self.emails)
        made = publish(self.press).dispatch
        assert made is not None
        self.number = made.id

    @rule(seconds=st.sampled_from([0.5, 1.5, 4]))
    def time_goes_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def expand(self) -> None:
        expand(self.number, self.now)

    @rule(size=st.integers(1, 3))
    def claim(self, size: int) -> None:
        batch = claimed(self.number, self.now, size)
        if batch is not None:
            self.held_claims.append((batch, list(batch.mails)))

    @precondition(lambda self: any(waiting for _, waiting in self.held_claims))
    @rule(data=st.data())
    def begin_one(self, data: st.DataObject) -> None:
        batch, waiting = data.draw(st.sampled_from([some for some in self.held_claims if some[1]]))
        mail = waiting.pop(0)
        ended = one(
            "SELECT s.state FROM deliveries d JOIN subscriptions s ON s.id = d.subscription_id WHERE d.id = :id",
            id=mail.id,
        )
        other = one("SELECT claim_id FROM deliveries WHERE id = :id", id=mail.id) != batch.claim_id
        if begin(batch, mail, self.now):
            assert ended == "confirmed"
            assert not other
            self.wire.append((batch, mail))

    @precondition(lambda self: self.wire)
    @rule(data=st.data(), outcome=st.sampled_from([YES, NO, LATER, LOST]), again=st.booleans())
    def record(self, data: st.DataObject, outcome: Outcome, again: bool) -> None:
        index = data.draw(st.integers(0, len(self.wire) - 1))
        batch, mail = self.wire[index]
        press_record(batch, mail, outcome, self.now)
        if not again:
            self.wire.pop(index)

    @precondition(lambda self: self.wire)
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        batch, mail = self.wire.pop(data.draw(st.integers(0, len(self.wire) - 1)))
        press_record(batch, mail, TakenBack(timedelta(0), "the connection ended"), self.now)

    @precondition(lambda self: self.held_claims)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        batch, waiting = data.draw(st.sampled_from(self.held_claims))
        if all(other is not batch for other, _ in self.wire):  # a worker first hears what is on the wire
            do(ledger.close, batch.claim_id)
            waiting.clear()

    @precondition(lambda self: self.held_claims)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        batch, _ = data.draw(st.sampled_from(self.held_claims))
        do(ledger.look, batch, self.number, self.now)

    @rule()
    def sweep(self) -> None:
        press_settle(self.now)
        do(settlement.skip_cancelled, self.now)
        do(settlement.finish, self.number, self.now)

    @precondition(lambda self: self.emails)
    @rule()
    def somebody_leaves(self) -> None:
        leave(self.emails.pop(), self.press, self.now)

    @rule(resend=st.booleans())
    def decide(self, resend: bool) -> None:
        do(settlement.decide_held, self.number, self.now, resend=resend)

    @rule(chance=st.integers(0, 9))
    def cancel(self, chance: int) -> None:
        if chance == 0:
            do(settlement.cancel, self.number, self.now)

    @precondition(lambda self: self.number)
    @invariant()
    def the_books_are_in_order(self) -> None:
        found = the_books(self.number)
        if found.dispatch.state == "finished":
            assert (found.pending, found.held) == (0, 0)
        kept = rows(
            "SELECT id, state, settled_at, attempts, reply FROM deliveries WHERE dispatch_id = :n", n=self.number
        )
        accepted = {its[0]: its for its in kept if its[1] == "accepted"}
        assert accepted.items() >= self.accepted.items(), "what was accepted never changes"
        self.accepted = accepted
        settled = [(its[1] in ("accepted", "refused", "skipped", "uncertain")) == (its[2] is not None) for its in kept]
        assert all(settled), kept

    def teardown(self) -> None:
        """Let everybody finish: then nothing is pending that could never go."""
        if not self.number:
            return
        expand(self.number, self.now)
        for _ in range(6):
            self.now += timedelta(seconds=10)
            self.sweep()
            do(settlement.decide_held, self.number, self.now, resend=True)
            while (batch := claimed(self.number, self.now, 10)) is not None:
                for mail in batch.mails:
                    if begin(batch, mail, self.now):
                        press_record(batch, mail, YES, self.now)
                do(ledger.close, batch.claim_id)
        self.sweep()
        assert the_books(self.number).pending == 0
        assert the_books(self.number).dispatch.state in ("finished", "cancelled")
        self.patch.undo()
        service_settings.current.cache_clear()


rooms = count()


@pytest.fixture
def sqlite_url(sqlite_backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    url = sqlite_backend.fresh()
    configure(monkeypatch, database_url=url)
    yield url
    sqlite_backend.discard(url)


def test_the_books_balance_whatever_happens_in_whatever_order(sqlite_url: str) -> None:
    given = limits(max_examples=20, stateful_step_count=30, deadline=None)
    run_state_machine_as_test(Books, settings=given)

"""Follow, confirm, leave: one row for one address, the same work for all, limits, and nothing left of who has left."""

import unicodedata
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from service import address, database, imports, subscriptions, tokens
from service.models import Newsroom, Subscription
from service.settings import SettingsError
from service.states import SubscriptionState
from service.subscriptions import ConsentShown
from tests.servers import wait
from tests.service.press import (
    CONSENT,
    START,
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
    followers,
    leave,
    link,
    mail_out,
    one,
    room,
    rows,
    subscription,
    write,
)

ANNA = "Anna.Ek@example.org"


@pytest.fixture
def press(database_url: str) -> Newsroom:
    return room()


def deliveries() -> list[str]:
    return rows("SELECT kind FROM deliveries ORDER BY id")


def confirm(token: str, now: datetime = START) -> str:
    return do(subscriptions.confirm, token, now).status


def look_up(token: str, now: datetime = START) -> str:
    with database.reading() as session:
        return subscriptions.look_up(session, token, now).status


def suppress(email: str, reason: str, press: Newsroom | None = None, expires: datetime | None = None) -> None:
    write(
        "INSERT INTO suppressions (address_hash, newsroom_id, reason, created_at, expires_at)"
        " VALUES (:hash, :room, :reason, :now, :expires)",
        hash=address.hash_of(email), room=press and press.id, reason=reason, now=START.replace(tzinfo=None),
        expires=expires and expires.replace(tzinfo=None),
    )  # fmt: skip


def test_the_consent_record_is_to_the_letter_what_was_shown(press: Newsroom) -> None:
    text = (
        '  Åsele strands "kommun" & A\u030asa’s 👩\u200d🚒 \u2010 \\ %s {0} <b>\u00a0\ufeff' + "Högst ett brev. " * 40
    )
    shown = ConsentShown(text=text, version="0123456789ab", page="/asele-strand/releases/badet", language="fi")
    do(subscriptions.subscribe, press, address.parse(ANNA), shown, START)
    kept = one("SELECT text, text_version, page, language FROM consents")
    assert kept == (text, "0123456789ab", "/asele-strand/releases/badet", "fi")
    assert subscription(ANNA, press).language == "fi"


def test_an_unknown_address_gets_a_pending_row_a_consent_and_a_confirmation(press: Newsroom) -> None:
    follow(press, ANNA)
    row = subscription(ANNA, press)
    assert (row.address, row.state, row.language) == (ANNA, SubscriptionState.PENDING, "sv")
    assert row.expires_at == after(days=7)
    assert len(row.leave_token) == tokens.LEAVE_LENGTH
    assert deliveries() == ["confirmation"]
    assert one("SELECT subscription_id, text, text_version, page, language FROM consents") == (
        row.id, CONSENT.text, CONSENT.version, CONSENT.page, CONSENT.language,
    )  # fmt: skip


@pytest.mark.parametrize(
    "typed", ["anna.ek@example.org", "ANNA.EK@EXAMPLE.ORG", " Anna.Ek@Example.org\t", "Anna.Ek@ｅxample.org"]
)
def test_one_subscription_whatever_the_case_and_form(press: Newsroom, typed: str) -> None:
    follow(press, ANNA)
    mail_out()
    follow(press, typed, after(minutes=20))
    assert rows("SELECT address FROM subscriptions") == [ANNA]
    assert deliveries() == ["confirmation"] * 2


def test_one_subscription_for_composed_and_decomposed_letters(press: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, allow_smtputf8="on")
    for form in ("NFC", "NFD"):
        follow(press, unicodedata.normalize(form, "åsa@räksmörgås.example.org"))
    assert len(rows("SELECT id FROM subscriptions")) == 1


def test_another_newsroom_is_another_subscription(press: Newsroom) -> None:
    follow(press, ANNA)
    follow(room("norrvik"), ANNA)
    assert len(rows("SELECT id FROM subscriptions")) == 2
    assert deliveries() == ["confirmation"] * 2


def test_asking_again_while_pending_prolongs_the_link(press: Newsroom) -> None:
    follow(press, ANNA)
    token = link(ANNA, press)
    follow(press, ANNA, after(days=6))
    assert look_up(token, after(days=12)) == "pending"
    assert look_up(token, after(days=13)) == "expired"


def test_one_who_follows_gets_a_notice_and_stays_as_they_are(press: Newsroom) -> None:
    followers(press, ANNA)
    before = rows("SELECT * FROM subscriptions")
    follow(press, ANNA.upper(), after(days=1))
    assert rows("SELECT * FROM subscriptions") == before
    assert deliveries() == ["notice"]


def test_following_again_after_leaving_is_a_new_row(press: Newsroom) -> None:
    followers(press, ANNA)
    old = subscription(ANNA, press).id
    leave(ANNA, press)
    follow(press, ANNA, after(days=1))
    assert subscription(ANNA, press).id != old
    assert rows("SELECT state FROM subscriptions ORDER BY id") == ["ended", "pending"]


def test_one_mail_in_a_quarter_of_an_hour_and_a_consent_for_each_request(press: Newsroom) -> None:
    moments = [after(), after(1), after(minutes=14, seconds=59), after(minutes=15)]
    for moment in moments:
        follow(press, ANNA, moment)
        mail_out(moment)
    assert deliveries() == ["confirmation"] * 2
    assert [bool(mailed) for mailed in rows("SELECT mailed FROM consents ORDER BY id")] == [True, False, False, True]


def test_one_mail_serves_all_requests_while_the_relay_is_away(press: Newsroom) -> None:
    for number in range(5):
        follow(press, ANNA, after(minutes=20 * number))
    assert deliveries() == ["confirmation"]
    mail_out(after(minutes=100))
    follow(press, ANNA, after(minutes=101))
    assert deliveries() == ["confirmation"] * 2


def test_five_mails_a_day_over_all_newsrooms(press: Newsroom) -> None:
    places = [press, *(room(f"norrvik-{number}") for number in range(5))]
    for number, place in enumerate(places):
        follow(place, ANNA, after(number))
    assert len(deliveries()) == 5
    assert len(rows("SELECT id FROM consents")) == 6
    follow(places[5], ANNA, after(days=1, seconds=1))
    assert len(deliveries()) == 6


def test_limits_hold_when_somebody_leaves_and_asks_again(press: Newsroom) -> None:
    for number in range(3):
        follow(press, ANNA, after(number))
        leave(ANNA, press, after(number))
    assert len(deliveries()) == 1


def counts() -> dict[str, int]:
    return {name: len(found) for name, found in everything().items()}


def test_known_and_unknown_addresses_write_the_same_number_of_rows(press: Newsroom) -> None:
    followers(press, ANNA)
    follow(press, "pending@example.org", after(-3600))
    mail_out(after(-3600))
    grown = []
    for email in (ANNA, "pending@example.org", "unknown@example.org"):
        before = counts()
        follow(press, email)
        grown.append({name: number - before[name] for name, number in counts().items() if name != "subscriptions"})
    assert grown[0] == grown[1] == grown[2]
    assert grown[0]["consents"] == grown[0]["deliveries"] == 1


def test_confirming_starts_following_once(press: Newsroom) -> None:
    follow(press, ANNA)
    token = link(ANNA, press)
    assert look_up(token) == "pending"
    assert subscription(ANNA, press).state == SubscriptionState.PENDING, "looking changes nothing"
    assert confirm(token, after(60)) == "confirmed"
    before = everything()
    assert confirm(token, after(120)) == "confirmed"
    assert everything() == before
    row = subscription(ANNA, press)
    assert (row.state, row.confirmed_at, row.expires_at) == (SubscriptionState.CONFIRMED, after(60), None)
    assert len(rows("SELECT id FROM consents WHERE confirmed_at IS NOT NULL")) == 1


def test_confirming_from_several_threads_at_once(press: Newsroom) -> None:
    follow(press, ANNA)
    token = link(ANNA, press)
    assert set(at_once(6, lambda _: confirm(token))) == {"confirmed"}


def test_one_who_leaves_while_confirming_has_left(press: Newsroom) -> None:
    follow(press, ANNA)
    token, goodbye = link(ANNA, press), subscription(ANNA, press).leave_token
    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as session:
            subscriptions.leave(session, goodbye, START)
            confirming = pool.submit(confirm, token)
            if session.get_bind().dialect.name == "postgresql":  # it has read the row as pending and waits for ours
                wait(lambda: rows("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
        assert confirming.result(15) == "expired"
    assert rows("SELECT state FROM subscriptions") == ["ended"]


def test_a_token_that_is_not_ours_is_bad(press: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    follow(press, ANNA)
    token = link(ANNA, press)
    last = "A" if token[-2] != "A" else "B"
    wrong = [token[:-1], token[1:], token[:-2] + last + token[-1], token + "x", "", ".", "å", "a\x00b", "x" * 10_000]
    wrong += [subscription(ANNA, press).leave_token, token.split(".")[0], tokens.confirm_token(999_999)]
    assert [look_up(given) for given in wrong] == ["bad"] * len(wrong)
    configure(monkeypatch, secret_key="somebody else's")
    assert confirm(token) == "bad"
    configure(monkeypatch, secret_key="the new one,somebody else's")
    assert confirm(token) == "bad"


def test_a_confirm_token_is_no_leave_token(press: Newsroom) -> None:
    follow(press, ANNA)
    for wrong in (link(ANNA, press), "x" * 22, "", "a\x00b", "\ud800", "å" * 22):
        assert do(subscriptions.leave, wrong, START) is None
    assert subscription(ANNA, press).state == SubscriptionState.PENDING


def test_links_survive_a_rotation_of_the_key(press: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, secret_key="the old one")
    follow(press, ANNA)
    token, goodbye = link(ANNA, press), subscription(ANNA, press).leave_token
    configure(monkeypatch, secret_key="the new one,the old one")
    assert confirm(token) == "confirmed"
    assert confirm(link(ANNA, press)) == "confirmed"
    configure(monkeypatch, secret_key="the newest one")
    assert do(subscriptions.leave, goodbye, START) is not None


def test_an_expired_link_confirms_nothing(press: Newsroom) -> None:
    follow(press, ANNA)
    assert confirm(link(ANNA, press), after(days=7)) == "expired"
    assert subscription(ANNA, press).state == SubscriptionState.PENDING


def test_an_old_link_never_revives_one_who_has_left(press: Newsroom) -> None:
    follow(press, ANNA)
    old = link(ANNA, press)
    confirm(old)
    leave(ANNA, press)
    assert confirm(old) == "expired"
    follow(press, ANNA, after(days=1))
    assert confirm(old, after(days=1)) == "expired"
    assert subscription(ANNA, press).state == SubscriptionState.PENDING


def test_leaving_twice_is_harmless(press: Newsroom) -> None:
    followers(press, ANNA)
    token = subscription(ANNA, press).leave_token
    for moment in (after(1), after(2)):
        left = do(subscriptions.leave, token, moment)
        assert left is not None
        assert (left.state, left.ended_at, left.address) == (SubscriptionState.ENDED, after(1), None)


def test_leaving_before_confirming_stops_the_confirmation(press: Newsroom) -> None:
    follow(press, ANNA)
    leave(ANNA, press)
    assert rows("SELECT state FROM deliveries") == ["skipped"]


def test_the_address_is_gone_from_everywhere_after_leaving(press: Newsroom) -> None:
    follow(press, ANNA)
    confirm(link(ANNA, press))
    dispatched(press)
    token = subscription(ANNA, press).leave_token
    key = address.hash_of(ANNA)
    assert found("anna.ek") == {"subscriptions"}
    leave(ANNA, press, after(60))
    assert found("anna.ek") == set()
    assert found(key) == {"consents"}, "the keyed hash stays for 12 months with the proof of consent"
    assert rows("SELECT leave_token FROM subscriptions WHERE state = 'ended'") == [token]


def found(words: str) -> set[str]:
    return {name for name, kept in everything().items() if words in repr(kept).casefold()}


def test_what_was_never_confirmed_is_erased_after_seven_days(press: Newsroom) -> None:
    follow(press, ANNA)
    followers(press, "bo@example.org")
    assert do(subscriptions.expire, after(days=6, hours=23)) == 0
    assert do(subscriptions.expire, after(days=7)) == 1
    assert do(subscriptions.expire, after(days=8)) == 0
    assert found("anna.ek") == set()
    assert rows("SELECT address FROM subscriptions WHERE state = 'confirmed'") == ["bo@example.org"]
    assert rows("SELECT state FROM deliveries") == ["skipped"]


def test_the_hash_of_a_consent_is_erased_a_year_after_leaving(press: Newsroom) -> None:
    followers(press, ANNA, "bo@example.org")
    leave(ANNA, press)
    do(subscriptions.expire, after(days=364))
    assert found(address.hash_of(ANNA)) == {"consents"}
    do(subscriptions.expire, after(days=366))
    assert found(address.hash_of(ANNA)) == set()
    assert found(address.hash_of("bo@example.org")) == {"consents", "subscriptions"}
    assert len(rows("SELECT id FROM consents")) == 2


@pytest.mark.parametrize(
    ("reason", "expires", "mails"),
    [
        ("complaint", None, 0),
        ("manual", None, 0),
        ("bounce", None, 1),
        ("complaint", START - timedelta(seconds=1), 1),
        ("complaint", START + timedelta(seconds=1), 0),
    ],
)
@pytest.mark.parametrize("everywhere", [True, False])
def test_a_confirmation_to_a_suppressed_address(
    press: Newsroom, reason: str, expires: datetime | None, mails: int, everywhere: bool
) -> None:
    suppress(ANNA, reason, None if everywhere else press, expires)
    follow(press, ANNA)
    assert len(deliveries()) == mails
    assert len(rows("SELECT id FROM consents")) == 1, "the same work all the same"


def test_a_complaint_to_another_newsroom_is_no_matter_here(press: Newsroom) -> None:
    suppress(ANNA, "complaint", room("norrvik"))
    follow(press, ANNA)
    assert deliveries() == ["confirmation"]


def test_the_same_address_at_the_same_moment_gives_one_row_and_one_mail(press: Newsroom) -> None:
    at_once(8, lambda number: follow(press, ANNA.upper() if number % 2 else ANNA))
    assert len(rows("SELECT id FROM subscriptions")) == 1
    assert len(rows("SELECT id FROM consents")) == 8
    assert deliveries() == ["confirmation"]


def test_one_who_follows_and_asks_at_the_same_moment_gets_one_notice(press: Newsroom) -> None:
    followers(press, ANNA)
    at_once(8, lambda _: follow(press, ANNA, after(1)))
    assert deliveries() == ["notice"]


def test_the_daily_limit_holds_when_all_newsrooms_are_asked_at_once(press: Newsroom) -> None:
    places = [room(f"norrvik-{number}") for number in range(8)]
    at_once(8, lambda number: follow(places[number], ANNA))
    assert len(deliveries()) == 5


def test_leaving_and_asking_at_the_same_moment(press: Newsroom) -> None:
    followers(press, ANNA)
    token = subscription(ANNA, press).leave_token
    at_once(6, lambda number: do(subscriptions.leave, token, START) if number % 2 else follow(press, ANNA))
    assert rows("SELECT state FROM subscriptions WHERE leave_token = :token", token=token) == ["ended"]
    assert len(rows("SELECT id FROM subscriptions WHERE state = 'pending'")) <= 1


def test_an_import_is_confirmed_at_once_and_again_changes_nothing(press: Newsroom) -> None:
    follow(press, "pending@example.org")
    leave("pending@example.org", press)
    follow(press, "bo@example.org")
    emails = ["anna@example.org", "ANNA@example.org", "bo@example.org"]
    good = [address.parse(email) for email in emails]
    assert do(imports.import_addresses, press, good, CONSENT, after(1)).entered == 2
    before = everything()
    assert do(imports.import_addresses, press, good, CONSENT, after(2)).entered == 0
    assert everything() == before
    assert do(subscriptions.count, press.id) == {"pending": 0, "confirmed": 2, "ended": 1}
    assert do(imports.import_addresses, press, [], CONSENT, after(2)).entered == 0


def test_another_address_key_is_noticed(press: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.reading() as session:
        subscriptions.check_key(session)
    followers(press, ANNA)
    with database.reading() as session:
        subscriptions.check_key(session)
    configure(monkeypatch, address_key="another than it was")
    with pytest.raises(SettingsError, match="ADDRESS_KEY"), database.reading() as session:
        subscriptions.check_key(session)


def test_an_import_brings_nobody_back_who_has_left(press: Newsroom) -> None:
    good = [address.parse("anna@example.org"), address.parse("bo@example.org")]
    assert do(imports.import_addresses, press, good, CONSENT, START) == imports.Imported(2, 0)
    with database.transaction() as session:
        token = session.scalars(select(Subscription.leave_token).where(Subscription.address == good[0].text)).one()
        subscriptions.leave(session, token, after(1))
    assert do(imports.import_addresses, press, good, CONSENT, after(2)) == imports.Imported(0, 1)
    do(subscriptions.subscribe, press, good[0], CONSENT, after(3))
    assert do(imports.import_addresses, press, good, CONSENT, after(4)) == imports.Imported(1, 0)


def test_imports_of_the_same_people_in_another_order_at_once(press: Newsroom) -> None:
    good = [address.parse(f"person-{number}@example.org") for number in range(300)]
    made = at_once(4, lambda number: do(
        imports.import_addresses, press, good if number % 2 else good[::-1], CONSENT, START
    ))  # fmt: skip
    assert sum(one.entered for one in made) == 300


def test_mail_to_one_who_left_is_never_begun(press: Newsroom) -> None:
    emails = crowd(press, 3)
    number = dispatched(press)
    leave(emails[0], press)
    batch = claim(number)
    assert len(batch.mails) == 2
    leave(emails[1], press)
    begun = [begin(batch, mail) for mail in batch.mails]
    assert sorted(begun) == [False, True]
    assert sorted(rows("SELECT state FROM deliveries")) == ["claimed", "skipped", "skipped"]

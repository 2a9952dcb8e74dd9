"""Follow: one field, a mail, one button; the same answer for everybody; scanners change nothing."""

import re
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.journeys.people import link, newest, room
from tests.stack import Stack

TABLES = ("subscriptions", "consents", "deliveries")


def everything(stack: Stack) -> dict[str, list[dict[str, Any]]]:
    """Return all rows that a visitor could have changed."""
    return {table: stack.rows(f"SELECT * FROM {table} ORDER BY id") for table in TABLES}


def test_somebody_follows_with_nothing_but_an_address(running: Stack) -> None:
    bath = room(running)
    with running.client() as client:
        assert "<form" in client.get(bath.url()).text
        answer = bath.follow(client, "elsa@example.org")
        assert answer.status_code == 202
        mails = running.sink.wait_for(1, to="elsa@example.org")
        message = newest(mails)
        assert message["Auto-Submitted"] == "auto-generated"
        path = link(message, "confirm")
        page = client.get(path)
        assert page.status_code == 200
        assert page.headers["cache-control"] == "no-store"
        assert len(re.findall("<button", page.text)) == 1
        assert bath.states() == {"pending": 1}
        assert client.post(path).status_code == 200
        assert bath.states() == {"confirmed": 1}
        assert client.post(path).status_code == 200
    assert bath.states() == {"confirmed": 1}
    (consent,) = running.rows(
        "SELECT c.* FROM consents c JOIN newsrooms n ON n.id = c.newsroom_id WHERE n.slug = :slug", slug=bath.slug
    )
    assert consent["text"]
    assert consent["page"] == f"/{bath.slug}"
    assert consent["confirmed_at"]


def test_known_and_unknown_addresses_get_the_same_answer(running: Stack) -> None:
    bath = room(running)
    bath.import_followers("known@example.org")
    with running.client() as client:
        before = len(running.sink.log("known@example.org"))
        first, second = bath.follow(client, "unknown@example.org"), bath.follow(client, "KNOWN@example.org")
        assert (first.status_code, second.status_code) == (202, 202)
        assert first.text == second.text
        notice = newest(running.sink.wait_for(before + 1, to="known@example.org"))
        assert client.get(link(notice, "unsubscribe")).status_code == 200
    assert bath.states() == {"pending": 1, "confirmed": 1}


def test_following_again_at_once_sends_no_second_mail(running: Stack) -> None:
    bath = room(running)
    with running.client() as client:
        for _ in range(3):
            assert bath.follow(client, "otto@example.org").status_code == 202
        bath.follow(client, "after@example.org")
        running.sink.wait_for(1, to="after@example.org")
    assert len(running.sink.log("otto@example.org")) == 1
    assert bath.states() == {"pending": 2}


def test_an_expired_link_says_what_to_do(running: Stack) -> None:
    bath = room(running)
    with running.client() as client:
        bath.follow(client, "late@example.org")
        path = link(newest(running.sink.wait_for(1, to="late@example.org")), "confirm")
        running.write("UPDATE subscriptions SET expires_at = '2020-01-01 00:00:00' WHERE address = 'late@example.org'")
        for answer in (client.get(path), client.post(path)):
            assert answer.status_code == 410
            assert f'action="/{bath.slug}/subscribe"' in answer.text
        running.wait(lambda: bath.states() == {"ended": 1}, what="the sweep erases the address")
        assert client.post(path).status_code == 410
    assert bath.states() == {"ended": 1}
    assert not running.rows("SELECT id FROM subscriptions WHERE address = 'late@example.org'")


@pytest.mark.parametrize("verb", ["GET", "HEAD", "OPTIONS"])
def test_safe_methods_change_no_row(running: Stack, verb: str) -> None:
    bath = room(running)
    address = f"scanned-{verb.lower()}@example.org"
    with running.client() as client:
        bath.follow(client, address)
        confirm = link(newest(running.sink.wait_for(1, to=address)), "confirm")
        token = running.value("SELECT leave_token FROM subscriptions WHERE address = :address", address=address)
        running.wait(lambda: accepted(running, address), what="the books know that the mail went")
        before = everything(running)
        for path in (confirm, f"/unsubscribe/{token}"):
            answer = client.request(verb, path)
            assert answer.status_code in (200, 204)
    assert everything(running) == before


def accepted(stack: Stack, address: str) -> bool:
    """Tell whether all mail to an address is recorded as accepted."""
    states = stack.rows(
        "SELECT d.state FROM deliveries d JOIN subscriptions s ON s.id = d.subscription_id WHERE s.address = :address",
        address=address,
    )
    return {row["state"] for row in states} == {"accepted"}


@pytest.mark.parametrize(
    "path", ["/confirm/x", "/confirm/MQ.cut", "/confirm/" + "a" * 500, "/unsubscribe/x", "/unsubscribe/" + "A" * 22]
)
def test_a_token_that_is_not_ours_is_404_and_changes_nothing(running: Stack, path: str) -> None:
    before = everything(running)
    with running.client() as client:
        assert client.get(path).status_code == 404
        assert client.post(path).status_code == 404
    assert everything(running) == before


def test_a_token_is_good_for_one_purpose_only(running: Stack) -> None:
    bath = room(running)
    with running.client() as client:
        bath.follow(client, "purpose@example.org")
        confirm = link(newest(running.sink.wait_for(1, to="purpose@example.org")), "confirm")
        token = running.value("SELECT leave_token FROM subscriptions WHERE address = 'purpose@example.org'")
        assert client.post(confirm.replace("/confirm/", "/unsubscribe/")).status_code == 404
        assert client.post(f"/confirm/{token}").status_code == 404
        assert client.post(confirm[:-1]).status_code == 404
        flipped = confirm[:-1] + ("A" if confirm[-1] != "A" else "B")
        assert client.post(flipped).status_code == 404
    assert bath.states() == {"pending": 1}


@pytest.mark.parametrize(
    "typed",
    ["", "   ", "a" * 300 + "@example.org", "a@example.org\r\nBcc: b@example.org", "a@example.org, b@example.org",
     "räksmörgås@example.org", "no-at-sign", "a@b@example.org", "<a@example.org>"],
)  # fmt: skip
def test_a_bad_address_is_answered_with_the_form_and_one_sentence(running: Stack, typed: str) -> None:
    bath = room(running)
    with running.client() as client:
        answer = bath.follow(client, typed)
    assert answer.status_code == 422
    assert f'action="/{bath.slug}/subscribe"' in answer.text
    assert 'id="email-error"' in answer.text or "aria-describedby" in answer.text
    assert bath.states() == {}


def test_an_international_domain_is_one_follower_in_both_forms(running: Stack) -> None:
    bath = room(running)
    ascii_form = "info@" + "blåbär.example.org".encode("idna").decode()
    with running.client() as client:
        assert bath.follow(client, "info@blåbär.example.org").status_code == 202
        assert bath.follow(client, ascii_form.upper()).status_code == 202
        running.sink.wait_for(1, to=ascii_form)
    assert bath.states() == {"pending": 1}


def test_an_unknown_newsroom_is_404(running: Stack) -> None:
    with running.client() as client:
        assert client.get("/nobody").status_code == 404
        assert client.post("/nobody/subscribe", data={"email": "a@example.org"}).status_code == 404


def test_a_body_over_one_megabyte_is_413(running: Stack) -> None:
    bath = room(running)
    with running.client() as client:
        big = {"email": "a" * 1_100_000}
        assert client.post(bath.url("/subscribe"), data=big).status_code == 413
        chunks = (b"email=" + b"a" * 65_536 for _ in range(20))
        form = {"content-type": "application/x-www-form-urlencoded"}
        with suppress(httpx.WriteError):  # the server may hang up on a body that never ends
            assert client.post(bath.url("/subscribe"), content=chunks, headers=form).status_code == 413
    assert bath.states() == {}

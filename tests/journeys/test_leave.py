"""Leave: one click, from the mail or the page, at any time, and nothing comes after it."""

import time
from typing import Any

import httpx

from tests.journeys.people import link, room
from tests.stack import Stack

ONE_CLICK = {"content": b"List-Unsubscribe=One-Click", "headers": {"content-type": "application/x-www-form-urlencoded"}}
MULTIPART = {"files": {"List-Unsubscribe": (None, "One-Click")}}
BODIES: dict[str, dict[str, Any]] = {
    "one-click": ONE_CLICK, "multipart": MULTIPART, "none": {}, "other": {"json": {"a": 1}},
    "broken": {"content": b"\xff\x00--", "headers": {"content-type": "multipart/form-data"}},
}  # fmt: skip


def test_one_click_ends_it_whatever_the_body(running: Stack) -> None:
    bath = room(running)
    followers = {body: f"{body}@{bath.slug}.example.org" for body in BODIES}
    bath.import_followers(*followers.values())
    bath.publish("forst")
    with running.client(follow_redirects=False) as client:
        for body, follower in followers.items():
            (mail,) = running.sink.wait_for(1, to=follower)
            path = httpx.URL(str(mail.message["List-Unsubscribe"]).strip("<>")).path
            for _ in range(2):
                assert client.post(path, **BODIES[body]).status_code == 200, body
            assert client.get(path).status_code == 200
    assert bath.states() == {"ended": len(BODIES)}
    rows = running.rows(
        "SELECT s.address, s.address_hash FROM subscriptions s JOIN newsrooms n ON n.id = s.newsroom_id"
        " WHERE n.slug = :slug",
        slug=bath.slug,
    )
    assert {(row["address"], row["address_hash"]) for row in rows} == {(None, None)}
    done = bath.publish("sedan")
    running.wait(lambda: bath.books(done["dispatch"])["state"] == "finished")
    assert bath.books(done["dispatch"])["recipients"] == 0
    assert [len(running.sink.log(follower)) for follower in followers.values()] == [1] * len(BODIES)


def test_the_page_has_one_button_and_then_an_empty_follow_box(running: Stack) -> None:
    bath = room(running)
    follower = f"button@{bath.slug}.example.org"
    bath.import_followers(follower)
    bath.publish("knapp")
    (mail,) = running.sink.wait_for(1, to=follower)
    with running.client() as client:
        path = link(mail.message, "unsubscribe")
        page = client.get(path)
        assert page.text.count("<button") == 1
        assert follower not in page.text
        assert bath.states() == {"confirmed": 1}
        goodbye = client.post(path)
        assert f'action="/{bath.slug}/subscribe"' in goodbye.text
        assert follower not in goodbye.text
        assert bath.follow(client, follower).status_code == 202
    running.wait(lambda: bath.states() == {"ended": 1, "pending": 1})


def test_nothing_is_begun_after_leaving_in_the_middle_of_a_dispatch(stack: Stack) -> None:
    stack.sink.behave(delay_ms=20)
    bath = room(stack)
    bath.import_followers(*(f"f{n}@example.org" for n in range(1200)))
    stack.start()
    done = bath.publish("mitt-i")
    stack.sink.wait_for(20)
    leavers = [f"f{n}@example.org" for n in range(900, 1200, 15)]
    tokens = {
        row["address"]: row["leave_token"]
        for row in stack.rows("SELECT address, leave_token FROM subscriptions")
        if row["address"] in leavers
    }
    left: dict[str, float] = {}
    with stack.client() as client:
        for address, token in tokens.items():
            answer = client.post(f"/unsubscribe/{token}")
            assert answer.status_code == 200
            left[address] = time.time()
    stack.wait(lambda: bath.books(done["dispatch"])["state"] == "finished", timeout=60)
    late = [mail for mail in stack.sink.log() if mail.recipient in left and mail.time > left[mail.recipient] + 1]
    assert late == []
    books = bath.books(done["dispatch"])
    assert int(str(books["skipped"])) > 0
    assert int(str(books["accepted"])) == len(stack.sink.log())
    assert int(str(books["accepted"])) + int(str(books["skipped"])) == 1200

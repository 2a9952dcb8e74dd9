"""The links in mails: confirming and leaving, safe methods, and links that are bad, old or repeated."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from itsdangerous import URLSafeSerializer
from sqlalchemy import select

from service import database
from service.models import Consent, Delivery, Subscription

from .conftest import Follower, expire, rows

Ask = Callable[..., Follower]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def state(asked: Follower) -> str:
    with database.reading() as session:
        return session.scalars(select(Subscription).where(Subscription.leave_token == asked.leave)).one().state


def test_only_the_button_confirms(site: TestClient, ask: Ask) -> None:
    asked = ask("maja@example.org")
    page = site.get(f"/confirm/{asked.confirm}")
    assert page.status_code == 200
    assert page.text.count("<button") == 1
    assert "maja" not in page.text
    assert state(asked) == "pending"
    done = site.post(f"/confirm/{asked.confirm}")
    assert (done.status_code, state(asked)) == (200, "confirmed")
    assert "Du följer Norrviks kommun" in done.text
    for again in (site.get(f"/confirm/{asked.confirm}"), site.post(f"/confirm/{asked.confirm}")):
        assert again.status_code == 200
        assert "Du följer Norrviks kommun" in again.text


def test_expired_link_says_what_to_do(site: TestClient, ask: Ask) -> None:
    asked = ask()
    expire(asked)
    for answer in (site.get(f"/confirm/{asked.confirm}"), site.post(f"/confirm/{asked.confirm}")):
        assert answer.status_code == 410
        assert 'action="/norrvik/subscribe"' in answer.text
        assert "Länken har gått ut" in answer.text
    assert state(asked) == "pending"


def test_old_confirm_link_does_not_revive_one_who_left(site: TestClient, follower: Follower) -> None:
    site.post(f"/unsubscribe/{follower.leave}")
    assert site.post(f"/confirm/{follower.confirm}").status_code == 410
    assert state(follower) == "ended"


def test_bad_tokens_are_not_found(site: TestClient, follower: Follower) -> None:
    changed = ("A" if follower.leave[0] != "A" else "B") + follower.leave[1:]
    leaves = [follower.leave[:-1], follower.leave + "A", changed, follower.confirm, "x", "%00" * 22, "å" * 22]
    confirms = [follower.confirm[:-1], follower.confirm + "A", "9" + follower.confirm, follower.leave, "%00", "å.ä"]
    before = rows()
    for path in [f"/unsubscribe/{bad}" for bad in leaves] + [f"/confirm/{bad}" for bad in confirms]:
        for answer in (site.get(path), site.post(path)):
            assert answer.status_code == 404, path
            assert "The link does not work" in answer.text
            assert answer.headers["Cache-Control"] == "no-store"
    assert rows() == before


def test_token_signed_by_another_key_is_not_found(site: TestClient, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    ask()
    forged = URLSafeSerializer(["z" * 32], salt="utskick.confirm").dumps(1)
    other = URLSafeSerializer(["k" * 32], salt="utskick.other").dumps(1)
    assert [site.post(f"/confirm/{bad}").status_code for bad in (forged, other)] == [404, 404]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_safe_methods_change_no_row(site: TestClient, ask: Ask, follower: Follower, method: str) -> None:
    pending, old, gone = ask(), ask(), ask()
    expire(old)
    site.post(f"/unsubscribe/{gone.leave}")
    everyone = (pending, old, gone, follower)
    before = rows()
    for path in [f"/confirm/{one.confirm}" for one in everyone] + [f"/unsubscribe/{one.leave}" for one in everyone]:
        answer = site.request(method, path)
        assert answer.status_code in ((204,) if method == "OPTIONS" else (200, 410))
        if method != "GET":
            assert answer.content == b""
        if method == "OPTIONS":
            assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert rows() == before


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (FORM, b"List-Unsubscribe=One-Click"),
        (
            {"Content-Type": "multipart/form-data; boundary=x"},
            b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n',
        ),
        ({}, b""),
        (FORM, b""),
        (FORM, b"\xff\0&&==%zz"),
        ({"Content-Type": "multipart/form-data"}, b"--broken"),
        ({"Content-Type": "application/json"}, b"{"),
        ({"Content-Type": "nonsense"}, b"x" * 1000),
        ({"Origin": "https://mail.example", "Cookie": "a=b", "Sec-Fetch-Site": "cross-site"}, b""),
    ],
)
def test_one_click(site: TestClient, follower: Follower, headers: dict[str, str], body: bytes) -> None:
    for _ in range(3):
        answer = site.post(f"/unsubscribe/{follower.leave}", headers=headers, content=body)
        assert answer.status_code == 200
        assert "Du följer inte längre Norrviks kommun" in answer.text
        assert "set-cookie" not in answer.headers
    with database.reading() as session:
        left = session.scalars(select(Subscription).where(Subscription.leave_token == follower.leave)).one()
        assert (left.state, left.address, left.address_hash) == ("ended", None, None)
        assert session.scalars(select(Consent)).one().address_hash is not None
        assert {delivery.state for delivery in session.scalars(select(Delivery))} == {"skipped"}


def test_leave_page_has_one_button_and_no_address(site: TestClient, follower: Follower) -> None:
    page = site.get(f"/unsubscribe/{follower.leave}").text
    assert "Vill du sluta följa Norrviks kommun?" in page
    assert page.count("<button") == 1
    assert "Avsluta</button>" in page
    assert "maja" not in page


def test_goodbye_offers_the_empty_box_and_following_again_is_a_new_row(
    site: TestClient, ask: Ask, follower: Follower
) -> None:
    goodbye = site.post(f"/unsubscribe/{follower.leave}").text
    assert 'action="/norrvik/subscribe"' in goodbye
    assert 'required value=""' in goodbye
    assert 'name="page" value="/unsubscribe"' in goodbye
    assert "Du följer inte längre Norrviks kommun" in site.get(f"/unsubscribe/{follower.leave}").text
    assert ask("maja@example.org").leave != follower.leave


def test_token_pages_speak_the_subscriptions_language(site: TestClient, ask: Ask) -> None:
    asked = ask(language="fi")
    for path in (f"/confirm/{asked.confirm}", f"/unsubscribe/{asked.leave}"):
        assert site.get(path, headers={"Accept-Language": "en"}).headers["Content-Language"] == "fi"


def test_token_pages_are_kept_by_nobody(site: TestClient, ask: Ask, follower: Follower) -> None:
    asked = ask()
    for path in (f"/confirm/{asked.confirm}", f"/unsubscribe/{asked.leave}", "/confirm/x", "/unsubscribe/x"):
        page = site.get(path)
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["X-Robots-Tag"] == "noindex"
        assert 'content="noindex"' in page.text

"""The preview: the page, the mail and its text as they will be, and a test of the mail to oneself."""

import html
import re
from collections.abc import Callable

import pytest
from sqlalchemy import select

from service import database
from service.limits import TESTS
from service.mail import join
from service.models import Delivery, Message
from service.states import DeliveryKind, DeliveryState
from service.tokens import TEST_LEAVE_TOKEN
from tests.web.desk.conftest import Person
from tests.web.desk.test_releases import TYPED, acts, revision, write


def text_part(page: str) -> str:
    found = re.search(r'<pre class="text-part"[^>]*>(.*?)</pre>', page, re.DOTALL)
    assert found
    return html.unescape(found[1])


def trial_mails() -> list[Delivery]:
    with database.reading() as session:
        return list(session.scalars(select(Delivery).where(Delivery.kind == DeliveryKind.TEST)))


def test_the_page_is_the_very_page_that_everybody_gets(person: Callable[..., Person]) -> None:
    publisher = person("publisher")
    path = write(publisher)
    before = publisher.get(f"{path}/preview/page").text
    publisher.post(f"{path}/send", {"revision": revision(publisher, path)})
    public = publisher.get("/norrvik/releases/ny-bro-over-alven").text
    assert publisher.get(f"{path}/preview/page").text == public
    without_time = re.compile(r"<time.*?</time>", re.DOTALL)
    assert without_time.sub("", before) == without_time.sub("", public)


def test_text_and_html_are_those_of_the_mail_that_is_sent(person: Callable[..., Person]) -> None:
    publisher = person("publisher")
    path = write(publisher)
    publisher.post(f"{path}/send", {"revision": revision(publisher, path)})
    with database.reading() as session:
        kept = session.scalars(select(Message)).one()
    sent = join(kept.content, address=publisher.email, public_id="preview", leave_token=TEST_LEAVE_TOKEN).decode()
    page = publisher.get(f"{path}/preview").text
    shown = text_part(page)
    assert "säger Nils Ek" in shown
    assert "Bron öppnar på måndag." in shown
    assert f"/unsubscribe/{TEST_LEAVE_TOKEN}" in shown
    for line in (line.strip() for line in shown.splitlines()):
        assert not line.isascii() or "=" in line or line in sent, line
    assert "Ny bro över älven" in page
    assert "norrvik@utskick.localhost" in page


def test_frames_hold_what_they_show(person: Callable[..., Person]) -> None:
    writer = person("editor")
    path = write(writer)
    page = writer.get(f"{path}/preview").text
    frames = re.findall(r"<iframe[^>]*>", page)
    assert len(frames) == 2
    assert all("sandbox" in frame and "allow-scripts" not in frame for frame in frames)
    for name in ("page", "mail"):
        answer = writer.get(f"{path}/preview/{name}")
        policy = answer.headers["Content-Security-Policy"]
        for rule in ("default-src 'none'", "frame-ancestors 'self'", "form-action 'none'", "sandbox"):
            assert rule in policy
        assert "script" not in policy
        assert answer.headers["Cache-Control"] == "no-store"
    mail = writer.get(f"{path}/preview/mail").headers["Content-Security-Policy"]
    assert "'self'" not in mail.replace("frame-ancestors 'self'", "")


def test_a_mail_too_long_to_send_whole_says_so(person: Callable[..., Person]) -> None:
    writer = person("editor")
    path = write(writer, body="\n\n".join(["Ett stycke som är långt nog. " * 20] * 300))
    for page in (f"{path}/preview", f"{path}/send"):
        assert 'class="warned"' in writer.get(page).text
    assert 'class="warned"' not in writer.get(f"{write(writer)}/preview").text


@pytest.mark.parametrize(
    ("state", "reply", "words"),
    [
        (DeliveryState.QUEUED, None, "på väg"),
        (DeliveryState.ACCEPTED, "250 ok", "provet är skickat"),
        (DeliveryState.REFUSED, "550 no <b>such</b> user", "550 no &lt;b&gt;such&lt;/b&gt; user"),
        (DeliveryState.DEFERRED, "450 later", "nytt försök"),
        (DeliveryState.UNCERTAIN, None, "det kan ha kommit fram"),
        (DeliveryState.SKIPPED, None, "inte skickat"),
    ],
)
def test_what_became_of_a_test_is_told_to_whom_it_went(
    person: Callable[..., Person], state: DeliveryState, reply: str | None, words: str
) -> None:
    writer, other = person("editor"), person("publisher")
    path = write(writer)
    assert writer.post(f"{path}/test").headers["Location"] == f"{path}/preview?note=test"
    with database.transaction() as session:
        row = session.scalars(select(Delivery)).one()
        row.state, row.reply = state, reply
    assert words in writer.get(f"{path}/preview").text
    assert words not in other.get(f"{path}/preview").text


def test_thirty_tests_an_hour_are_enough(person: Callable[..., Person]) -> None:
    writer, other = person("editor"), person("publisher")
    path = write(writer)
    proof = {"csrf": writer.csrf(path)}
    for _ in range(TESTS):
        assert writer.client.post(f"{path}/test", data=proof).status_code == 303
    refused = writer.client.post(f"{path}/test", data=proof)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert "prov" in refused.text
    assert len(trial_mails()) == 1  # the first still waits: it will show the text as it is then
    assert other.post(f"{path}/test").status_code == 303
    assert acts().count("release.test") == 2


def test_a_send_page_from_an_older_preview_says_that_the_text_has_changed(person: Callable[..., Person]) -> None:
    publisher = person("publisher")
    path = write(publisher)
    found = re.search(rf'href="({path}/send\?revision=\d+)"', publisher.get(f"{path}/preview").text)
    assert found
    assert 'class="summary"' not in publisher.get(found[1]).text
    publisher.post(path, TYPED | {"headline": "Ändrad", "revision": revision(publisher, path)})
    changed = publisher.get(found[1])
    assert (changed.status_code, 'class="summary"' in changed.text) == (200, True)

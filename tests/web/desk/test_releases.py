"""A release at the desk: written, changed by two at once, previewed, sent once, read in its books, stopped."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from sqlalchemy import select

from service import address, database, expanding, imports, ledger, newsrooms
from service.models import Audit, Delivery, Dispatch, Release, Version
from service.states import DeliveryKind, DispatchState, ReleaseState
from service.subscriptions import ConsentShown
from service.tokens import TEST_LEAVE_TOKEN
from tests.web.conftest import rows
from tests.web.desk.conftest import Person

ROOM = "/desk/norrvik"
TYPED = {
    "headline": "Ny bro över älven",
    "lead": "Bron öppnar på måndag.",
    "body": "– Vi är stolta, säger Nils Ek.\n\n## Mer\n\nText.",
    "keywords": "broar, trafik",
    "language": "sv",
    "kind": "press-release",
    "slug": "",
}


def acts() -> list[str]:
    with database.reading() as session:
        return [act for act in session.scalars(select(Audit.act).order_by(Audit.id)) if act != "login"]


def write(person: Person, **changed: Any) -> str:
    """Write a draft and return its path."""
    done = person.post(f"{ROOM}/releases", TYPED | changed)
    assert done.status_code == 303, done.text
    return str(done.headers["Location"].partition("?")[0])


def revision(person: Person, path: str) -> str:
    found = re.search(r'name="revision" value="(\d+)"', person.get(path).text)
    assert found
    return found[1]


def followers(*emails: str) -> None:
    shown = ConsentShown(text="Ja.", version="1", page="import", language="sv")
    with database.transaction() as session:
        room = newsrooms.get(session, "norrvik")
        assert room is not None
        imports.import_addresses(session, room, [address.parse(one) for one in emails], shown, database.now(session))


def released() -> Release:
    with database.reading() as session:
        return session.scalars(select(Release).order_by(Release.id.desc())).first() or Release()


def dispatches() -> list[Dispatch]:
    with database.reading() as session:
        return list(session.scalars(select(Dispatch)))


def test_a_draft_is_kept_and_only_the_desk_shows_it(person: Callable[..., Person]) -> None:
    writer = person("editor")
    path = write(writer)
    page = writer.get(path)
    assert page.status_code == 200
    for words in ("Ny bro över älven", "Bron öppnar på måndag.", "broar, trafik", "ny-bro-over-alven"):
        assert words in page.text
    assert "Ny bro" in writer.get(ROOM).text
    assert writer.get("/norrvik/releases/ny-bro-over-alven").status_code == 404
    assert "Ny bro" not in writer.get("/norrvik").text
    assert acts() == ["draft.create"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("headline", ""),
        ("headline", "x" * 301),
        ("headline", "två\u2028rader"),
        ("lead", "x" * 5001),
        ("body", "x" * 200_001),
        ("body", "\x00"),
        ("slug", "Å Ä"),
        ("slug", "bron"),
        ("language", "de"),
        ("kind", "rumour"),
        ("keywords", "x" * 101),
        ("contacts", '{"name": ""}'),
        ("contacts", "not json"),
    ],
)
def test_what_is_wrong_is_said_at_the_field_and_nothing_typed_is_lost(
    person: Callable[..., Person], field: str, value: str
) -> None:
    writer = person("editor")
    before = rows()
    answer = writer.post(f"{ROOM}/releases", TYPED | {field: value})
    assert answer.status_code == 422
    assert 'class="summary"' in answer.text
    assert f'href="#{field}"' in answer.text
    assert "Bron öppnar på måndag." in answer.text or field == "lead"
    assert rows() == before


def test_a_headline_of_300_characters_fits(person: Callable[..., Person]) -> None:
    writer = person("editor")
    assert "ö" * 300 in writer.get(write(writer, headline="ö" * 300)).text


def test_three_megabytes_are_refused_in_words(person: Callable[..., Person]) -> None:
    answer = person("editor").post(f"{ROOM}/releases", TYPED | {"body": "x" * 3_000_001})
    assert answer.status_code == 413
    assert "3 MB" in answer.text
    assert 'href="/desk"' in answer.text


def test_two_tabs_see_each_other_and_neither_text_is_lost(person: Callable[..., Person]) -> None:
    one, other = person("editor"), person("publisher")
    path = write(one)
    seen = revision(one, path)
    assert other.post(path, TYPED | {"revision": seen, "headline": "Den andras rubrik"}).status_code == 303
    mine = TYPED | {"revision": seen, "headline": "Min rubrik", "body": "Min text"}
    met = one.post(path, mine)
    assert met.status_code == 409
    for words in ("Min rubrik", "Min text", "Den andras rubrik"):
        assert words in met.text
    assert "Den andras rubrik" in one.get(path).text
    fresh = re.search(r'name="revision" value="(\d+)"', met.text)
    assert fresh
    assert one.post(path, mine | {"revision": fresh[1]}).status_code == 303
    assert "Min rubrik" in one.get(path).text


def test_the_slug_is_made_from_the_headline_and_stays_unique(person: Callable[..., Person]) -> None:
    writer = person("editor")
    write(writer)
    write(writer)
    with database.reading() as session:
        slugs = list(session.scalars(select(Release.slug).order_by(Release.id)))
    assert slugs == ["bron", "ny-bro-over-alven", "ny-bro-over-alven-2"]


def test_the_preview_is_what_publishing_sends(person: Callable[..., Person]) -> None:
    writer = person("editor")
    path = write(writer)
    preview = writer.get(f"{path}/preview")
    assert "Norrviks kommun" in preview.text
    page, mail = writer.get(f"{path}/preview/page"), writer.get(f"{path}/preview/mail")
    assert "<h1>Ny bro över älven</h1>" in page.text
    assert "säger Nils Ek" in mail.text
    assert TEST_LEAVE_TOKEN in mail.text
    assert "sandbox" in mail.headers["Content-Security-Policy"]
    for framed in (page, mail):
        assert "frame-ancestors 'self'" in framed.headers["Content-Security-Policy"]
        assert "script" not in framed.headers["Content-Security-Policy"]


class Suspicious(HTMLParser):
    """Whatever in a page could run or reach out and is not ours."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        ours = tag == "script" and given.get("src", "").startswith("/static/")
        handlers = [name for name in given if name.startswith("on") or name == "srcdoc"]
        links = [given.get(name, "") for name in ("href", "src", "action")]
        bad = [link for link in links if re.match(r"\s*(javascript|data|vbscript):", link, re.IGNORECASE)]
        if handlers or bad or (tag in ("script", "img", "object", "embed") and not ours):
            self.found.append(self.get_starttag_text() or tag)


XSS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'\"></textarea><svg/onload=alert(1)>",
    "javascript:alert(1)",
    "[klicka](javascript:alert(1))",
    "[klicka](data:text/html,<script>alert(1)</script>)",
    '![x](x "onerror=alert(1)")',
    '<a href="vbscript:x">x</a>',
    "{{ 7*7 }}{% raw %}",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<style>*{background:url(//evil.example)}</style>",
]


@pytest.mark.parametrize("payload", XSS)
def test_no_payload_becomes_markup(person: Callable[..., Person], payload: str) -> None:
    writer = person("admin")
    contact = '{"name": %s, "role": "", "phone": "", "email": ""}' % ('"' + payload.replace('"', '\\"') + '"')
    path = write(writer, headline=payload, lead=payload, body=payload, keywords=payload, contacts=contact)
    paths = (
        path,
        f"{path}/preview",
        f"{path}/preview/page",
        f"{path}/preview/mail",
        f"{path}/send",
        ROOM,
        f"{ROOM}/log",
    )
    for shown in paths:
        assert Suspicious(writer.get(shown).text).found == [], shown


def test_a_test_goes_to_oneself_alone_and_its_link_ends_nothing(person: Callable[..., Person]) -> None:
    writer = person("editor")
    followers("maja@example.org")
    path = write(writer)
    assert writer.post(f"{path}/test").status_code == 303
    writer.post(f"{path}/test")  # a double click
    with database.transaction() as session:
        (test,) = session.scalars(select(Delivery).where(Delivery.kind == DeliveryKind.TEST))
        assert (test.subscription_id, test.dispatch_id) == (None, None)
        batch = ledger.claim(session, None, "test", database.now(session), 10, 50)
        assert batch is not None
        (mail,) = batch.mails
        assert (mail.address, mail.leave_token) == (writer.email, TEST_LEAVE_TOKEN)
    before = rows()
    for method in ("GET", "POST"):
        assert writer.client.request(method, f"/unsubscribe/{TEST_LEAVE_TOKEN}").status_code == 200
    assert rows() == before
    assert acts().count("release.test") == 1


def test_sending_says_to_whom_and_does_it_once(person: Callable[..., Person]) -> None:
    followers("maja@example.org", "nils@example.org")
    editor, publisher = person("editor"), person("publisher")
    path = write(editor)
    page = publisher.get(f"{path}/send").text
    assert "<strong>2</strong>" in page
    assert "norrvik@utskick.localhost" in page
    assert 'action="' + path + '/send"' not in editor.get(f"{path}/send").text
    seen = {"revision": revision(publisher, f"{path}/send")}
    assert editor.post(f"{path}/send", seen).status_code == 403
    first = publisher.post(f"{path}/send", seen)
    (dispatch,) = dispatches()
    assert first.headers["Location"] == f"{ROOM}/dispatches/{dispatch.id}?note=published"
    again = person("publisher", email="annan@example.org").post(f"{path}/send", seen)
    assert again.headers["Location"] == f"{ROOM}/dispatches/{dispatch.id}?note=already"
    assert len(dispatches()) == 1
    assert acts().count("release.publish") == 1
    assert publisher.get("/norrvik/releases/ny-bro-over-alven").status_code == 200
    assert publisher.post(path, TYPED | seen).status_code == 409


def test_what_changed_since_one_looked_is_not_sent(person: Callable[..., Person]) -> None:
    publisher = person("publisher")
    path = write(publisher)
    seen = {"revision": revision(publisher, f"{path}/send")}
    publisher.post(path, TYPED | seen | {"headline": "Ändrad"})
    answer = publisher.post(f"{path}/send", seen)
    assert answer.status_code == 409
    assert dispatches() == []
    assert publisher.post(f"{path}/send", {}).status_code == 409


def test_an_empty_release_is_not_sent(person: Callable[..., Person]) -> None:
    publisher = person("publisher")
    path = write(publisher, lead="", body="")
    seen = {"revision": revision(publisher, path)}
    assert 'name="revision"' not in publisher.get(f"{path}/send").text
    assert publisher.post(f"{path}/send", seen).status_code == 422
    assert released().state is ReleaseState.DRAFT


@pytest.mark.parametrize(
    ("date", "time", "choices"),
    [
        ("2030-10-27", "02:30", ["2030-10-27 02:30+02:00", "2030-10-27 02:30+01:00"]),
        ("2030-03-31", "02:30", ["2030-03-31 01:30", "2030-03-31 03:30"]),
        ("2001-01-01", "09:00", []),
        ("imorgon", "09:00", []),
        ("", "", []),
        ("9999-12-31", "23:59", []),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused_with_alternatives(
    person: Callable[..., Person], date: str, time: str, choices: list[str]
) -> None:
    publisher = person("publisher")
    path = write(publisher)
    fields = {"revision": revision(publisher, f"{path}/send"), "when": "later", "date": date, "time": time}
    answer = publisher.post(f"{path}/send", fields)
    assert answer.status_code == 422
    assert f'value="{date}"' in answer.text
    for choice in choices:
        assert f'value="{choice}"' in answer.text
    assert released().state is ReleaseState.DRAFT
    if choices:
        chosen = {"revision": fields["revision"], "when": "later", "choice": choices[0]}
        assert publisher.post(f"{path}/send", chosen).status_code == 303
        assert released().state is ReleaseState.SCHEDULED


def test_a_scheduled_release_stands_still_until_it_is_a_draft_again(person: Callable[..., Person]) -> None:
    publisher = person("publisher")
    path = write(publisher)
    seen = revision(publisher, f"{path}/send")
    publisher.post(f"{path}/send", {"revision": seen, "when": "later", "date": "2031-03-03", "time": "09:30"})
    assert released().publish_at is not None
    assert publisher.post(path, TYPED | {"revision": seen}).status_code == 409
    assert person("editor").post(f"{path}/unschedule").status_code == 403
    assert publisher.post(f"{path}/unschedule").headers["Location"].endswith("note=unscheduled")
    assert publisher.post(path, TYPED | {"revision": seen}).status_code == 303


def test_withdrawing_and_deleting_ask_first(person: Callable[..., Person]) -> None:
    publisher = person("publisher")
    path, other = write(publisher), write(publisher)
    publisher.post(f"{path}/send", {"revision": revision(publisher, f"{path}/send")})
    before = rows()
    assert publisher.get(f"{path}/withdraw").status_code == 200
    assert publisher.get(f"{other}/delete").status_code == 200
    assert rows() == before
    publisher.post(f"{path}/withdraw")
    assert publisher.get("/norrvik/releases/ny-bro-over-alven").status_code == 410
    assert [one.state for one in dispatches()] == [DispatchState.CANCELLED]
    assert publisher.post(f"{other}/delete").headers["Location"] == f"{ROOM}?note=deleted"
    assert publisher.get(other).status_code == 404
    with database.reading() as session:
        assert len(list(session.scalars(select(Version)))) == 2


def test_the_books_are_fresh_by_themselves_and_can_be_paused_and_stopped(person: Callable[..., Person]) -> None:
    followers("maja@example.org", "nils@example.org", "eva@example.org")
    publisher, editor = person("publisher"), person("editor")
    path = write(publisher)
    books = publisher.post(f"{path}/send", {"revision": revision(publisher, f"{path}/send")}).headers["Location"]
    at = books.partition("?")[0]
    with database.transaction() as session:
        expanding.enter(session, dispatches()[0].id, database.now(session))
    page = publisher.get(books).text
    assert f'data-poll="{at}/books"' in page, re.findall(r"<section.*?>", page)
    assert "3 = 0 + 3 + 0 + 0 + 0" in page
    assert 'id="books"' in publisher.get(f"{at}/books").text
    assert editor.post(f"{at}/pause").status_code == 403
    for act, state in (("pause", "paused"), ("pause", "paused"), ("resume", "sending"), ("resume", "sending")):
        assert publisher.post(f"{at}/{act}").status_code == 303
        assert dispatches()[0].state == state
    assert publisher.get(f"{at}/stop").status_code == 200
    assert dispatches()[0].state is DispatchState.SENDING
    publisher.post(f"{at}/stop")
    publisher.post(f"{at}/stop")
    assert "3 = 0 + 0 + 0 + 3 + 0" in publisher.get(at).text
    assert "data-poll" not in publisher.get(at).text
    assert [act for act in acts() if act.startswith("dispatch")] == [
        "dispatch.pause",
        "dispatch.resume",
        "dispatch.cancel",
    ]
    assert publisher.get(f"{at}/refused").status_code == 200


@pytest.mark.parametrize("number", ["0", "999999", "99999999999999999999", "x", "-1", "１", "1.5"])
def test_a_number_that_names_nothing_is_not_found(person: Callable[..., Person], number: str) -> None:
    someone = person()
    for path in (f"{ROOM}/releases/{number}", f"{ROOM}/releases/{number}/preview", f"{ROOM}/dispatches/{number}"):
        assert someone.get(path).status_code == 404


def test_another_newsrooms_release_is_not_found(person: Callable[..., Person]) -> None:
    path = write(person("publisher"))
    other = person("admin", "karhula")
    for suffix in ("", "/preview", "/preview/page", "/preview/mail", "/send", "/delete"):
        assert other.get(path + suffix).status_code == 404
        assert other.get((path + suffix).replace("norrvik", "karhula")).status_code == 404
    before = rows()
    for suffix in ("", "/send", "/delete", "/test"):
        assert other.post((path + suffix).replace("norrvik", "karhula"), TYPED | {"revision": "1"}).status_code == 404
    assert rows() == before

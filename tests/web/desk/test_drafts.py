"""The draft's form: whatever is typed or sent, it is kept, or said what is wrong, and never half of it."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from service import database, drafts, expanding, ledger, newsrooms, release_file
from service.models import Delivery
from service.states import DeliveryKind, DeliveryState
from tests.web.conftest import NORRVIK, WHEN, newsroom_of, rows
from tests.web.desk.conftest import Person
from tests.web.desk.test_releases import ROOM, TYPED, XSS, Suspicious, acts, followers, released, revision, write

FORM = "application/x-www-form-urlencoded"


def contact(name: str) -> str:
    return json.dumps({"email": "", "name": name, "phone": "", "role": ""})


@pytest.mark.parametrize(
    "value",
    [
        '{"name": "\\ud800"}',
        '{"name": "a\\u0000b"}',
        '{"name": {"name": "x"}}',
        '{"name": "x", "more": "y"}',
        '{"name": 1}',
        "[]",
        "null",
        "1" * 5000,
        "[" * 100_000,
        '{"a":' * 50_000,
    ],
)
def test_a_contact_that_no_page_of_ours_offers_is_refused(person: Callable[..., Person], value: str) -> None:
    writer = person("editor")
    before = rows()
    answer = writer.post(f"{ROOM}/releases", TYPED | {"contacts": value})
    assert answer.status_code == 422
    assert 'href="#contacts"' in answer.text
    assert 'id="contacts"' in answer.text
    assert rows() == before


@pytest.mark.parametrize("raw", ["%ED%A0%80", "%00", "%FF%FE", "a%0Db", "%F0%9F%98%80", "&#0;", "%u0000"])
def test_bytes_that_are_no_text_break_nothing(person: Callable[..., Person], raw: str) -> None:
    writer = person("editor")
    proof = urlencode({"csrf": writer.csrf(ROOM), **TYPED})
    for field in ("headline", "slug", "lead", "body", "keywords", "contacts", "language", "kind", "revision"):
        sent = f"{field}={raw}&{proof}"
        answer = writer.client.post(f"{ROOM}/releases", content=sent, headers={"Content-Type": FORM})
        assert answer.status_code in (303, 422), field
    assert writer.get(ROOM).status_code == 200


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("application/json", b'{"headline": "x"}'),
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"--x\r\nbroken"),
        (f"{FORM}; charset=rot13", b"headline=x"),
        (FORM, b"headline=" + b"%" * 999),
        (FORM, b"&".join(b"field=x" for _ in range(5000))),
        (FORM, b"csrf=%ED%A0%80&headline=x"),
        (FORM, "csrf=ä&headline=x".encode()),
        (FORM, b"csrf=" + b"0" * 64 + b"&headline=x"),
        (FORM, b""),
    ],
)
def test_a_form_that_no_page_of_ours_made_is_refused(person: Callable[..., Person], kind: str, content: bytes) -> None:
    writer = person("publisher")
    path = write(writer)
    before = rows()
    for target in (f"{ROOM}/releases", path, f"{path}/send", f"{path}/test", f"{path}/delete", f"{path}/withdraw"):
        answer = writer.client.post(target, content=content, headers={"Content-Type": kind})
        assert answer.status_code == 403, target
    assert rows() == before


def test_somebody_elses_proof_is_none(person: Callable[..., Person]) -> None:
    writer, other = person("editor"), person("publisher")
    before = rows()
    assert writer.client.post(f"{ROOM}/releases", data=TYPED | {"csrf": other.csrf(ROOM)}).status_code == 403
    assert rows() == before


def test_without_an_address_it_gets_one_from_its_headline_until_it_has_one(person: Callable[..., Person]) -> None:
    writer = person("editor")
    path, twin = write(writer), write(writer)
    for headline, slug in (("Ny bro över älven", "ny-bro-over-alven-2"), ("Nu är bron klar", "nu-ar-bron-klar")):
        writer.post(twin, TYPED | {"headline": headline, "revision": revision(writer, twin)})
        assert released().slug == slug
    kept = TYPED | {"headline": "Något annat", "slug": "nu-ar-bron-klar", "revision": revision(writer, twin)}
    assert writer.post(twin, kept).status_code == 303
    taken = TYPED | {"slug": "nu-ar-bron-klar", "revision": revision(writer, path), "body": "Mitt."}
    refused = writer.post(path, taken)
    assert refused.status_code == 422
    assert 'href="#slug"' in refused.text
    assert "Mitt." in refused.text


def test_all_that_differs_is_shown_when_two_meet(person: Callable[..., Person]) -> None:
    one, other = person("editor"), person("publisher")
    path = write(one)
    seen = {"revision": revision(one, path)}
    theirs = {"keywords": "vatten", "slug": "deras-adress", "kind": "news", "contacts": contact("Deras Kontakt")}
    assert other.post(path, TYPED | seen | theirs).status_code == 303
    met = one.post(path, TYPED | seen | {"body": "Min text."})
    assert met.status_code == 409
    beside = met.text.partition('id="meanwhile"')[2]
    for words in ("vatten", "deras-adress", "Deras Kontakt", "Nyhet", "säger Nils Ek"):
        assert words in beside, words
    assert "Bron öppnar på måndag." not in beside  # the same in both
    assert "Min text." in met.text.partition('id="meanwhile"')[0]


def test_what_was_typed_is_still_there_when_it_is_published_meanwhile(person: Callable[..., Person]) -> None:
    writer, publisher = person("editor"), person("publisher")
    path = write(writer)
    seen = {"revision": revision(writer, path)}
    assert publisher.post(f"{path}/send", seen).status_code == 303
    before = rows()
    late = writer.post(path, TYPED | seen | {"body": "Sent skrivet."})
    assert late.status_code == 409
    assert "Sent skrivet." in late.text
    assert f'href="{path}"' in late.text
    assert rows() == before
    assert "<textarea" not in writer.get(path).text


def test_contacts_are_chosen_and_stay_when_the_newsroom_has_others(person: Callable[..., Person]) -> None:
    writer = person("editor")
    form = writer.get(f"{ROOM}/releases/new").text
    assert "Åsa Öberg" in form
    asa = {"name": "Åsa Öberg", "role": "pressansvarig", "phone": "+46 (0)930-12 34 56"}
    asa |= {"email": "asa.oberg@norrvik.example.org"}
    path = write(writer, contacts=json.dumps(asa, ensure_ascii=False, sort_keys=True))
    with database.transaction() as session:
        changed = newsrooms.parse_file(NORRVIK.replace("Åsa Öberg", "Pär Lind"), "newsroom.yaml")
        newsrooms.load(session, changed, database.now(session))
    again = writer.get(path).text
    assert again.count('name="contacts"') == 2
    assert again.count(" checked") == 1
    assert "Åsa Öberg" in again.partition(" checked")[2][:80]


@pytest.mark.parametrize(
    ("body", "words"),
    [("![Bron](bro.jpg)", "en bild"), ("| a | b |\n|---|---|\n| 1 | 2 |", "en tabell"), ("- en\n\n---\n\nText", "")],
)
def test_what_cannot_be_shown_yet_is_warned_of_and_saved(person: Callable[..., Person], body: str, words: str) -> None:
    writer = person("editor")
    page = writer.get(write(writer, body=body)).text
    assert ('class="warned"' in page) == bool(words)
    assert words in page


def test_the_list_says_the_state_in_words_and_the_books_in_a_line(person: Callable[..., Person]) -> None:
    publisher = person("publisher")
    path = write(publisher, headline="Utskickad")
    followers(*(f"f{number}@example.org" for number in range(4)))
    place = publisher.post(f"{path}/send", {"revision": revision(publisher, path)}).headers["Location"]
    dispatch = int(place.partition("?")[0].rpartition("/")[2])
    with database.transaction() as session:
        expanding.enter(session, dispatch, database.now(session))
        first, second, *_ = session.query(Delivery).filter(Delivery.kind == DeliveryKind.RELEASE)
        first.state, second.state = DeliveryState.ACCEPTED, DeliveryState.REFUSED
    later = write(publisher, headline="Senare")
    seen = {"revision": revision(publisher, later), "when": "later", "date": "2035-03-01", "time": "09:30"}
    publisher.post(f"{later}/send", seen)
    write(publisher, headline="Ett utkast")
    page = publisher.get(ROOM).text
    assert page.index("Ett utkast") < page.index("Senare") < page.index("Utskickad")
    for words in ("Utkast", "1 mars 2035 kl. 09.30", "1 av 4 har fått det, 2 väntar, 1 avvisade"):
        assert words in page, words
    assert f'href="{ROOM}/dispatches/{dispatch}"' in page


def test_a_long_list_has_pages(person: Callable[..., Person]) -> None:
    with database.transaction() as session:
        room = newsroom_of(session, "norrvik")
        for number in range(60):
            content = release_file.Content.model_validate({"headline": f"Nummer {number:03}"})
            drafts.create(session, room, content, WHEN)
    reader = person("editor")
    first, second = reader.get(ROOM).text, reader.get(f"{ROOM}?page=2").text
    assert "Nummer 059" in first
    assert "Nummer 000" in second
    assert f'href="{ROOM}?page=2"' in first
    for page in ("0", "-1", "x", "9" * 30, "1.5", "3"):
        missing = reader.get(f"{ROOM}?page={page}")
        assert missing.status_code == 404
        assert f'href="{ROOM}"' in missing.text  # the way back


def test_a_slash_behind_the_desk_leads_to_it(person: Callable[..., Person]) -> None:
    answer = person("editor").get("/desk/")
    assert (answer.status_code, answer.headers["Location"]) == (308, "/desk")


def test_an_empty_list_says_what_to_do(person: Callable[..., Person]) -> None:
    page = person("editor", "karhula").get("/desk/karhula").text
    assert 'class="empty"' in page
    assert 'href="/desk/karhula/releases/new"' in page


def test_a_draft_of_which_a_test_waits_can_be_deleted(person: Callable[..., Person]) -> None:
    writer = person("editor")
    path = write(writer)
    writer.post(f"{path}/test")
    assert writer.get(f"{path}/delete").status_code == 200
    assert writer.post(f"{path}/delete").headers["Location"] == f"{ROOM}?note=deleted"
    with database.transaction() as session:  # the mail that waited is not made of nothing
        batch = ledger.claim(session, None, "test", database.now(session), 10, 50)
        assert batch is None or batch.mails == []
    assert acts()[-1] == "draft.delete"


@pytest.mark.parametrize("payload", XSS)
def test_no_payload_becomes_markup_in_what_everybody_sees(person: Callable[..., Person], payload: str) -> None:
    with database.transaction() as session:
        file = newsrooms.parse_file(NORRVIK, "newsroom.yaml").model_copy(update={"name": payload, "tagline": payload})
        newsrooms.load(session, file, database.now(session))
    publisher = person("admin")
    fields: dict[str, Any] = {"headline": payload, "lead": payload, "body": payload, "keywords": payload}
    path = write(publisher, **fields, contacts=contact(payload), slug="visad")
    for shown in (path, f"{path}/send", f"{path}/preview/page"):
        assert Suspicious(publisher.get(shown).text).found == [], shown
    wrong = publisher.post(path, fields | dict.fromkeys(("slug", "language", "kind", "contacts", "revision"), payload))
    assert wrong.status_code == 422
    assert Suspicious(wrong.text).found == []
    stale = publisher.post(path, TYPED | {"revision": "999"})
    assert stale.status_code == 409
    assert Suspicious(stale.text).found == []
    when = {"revision": revision(publisher, path), "when": "later", "date": payload, "time": payload}
    refused = publisher.post(f"{path}/send", when)
    assert refused.status_code == 422
    assert Suspicious(refused.text).found == []
    books = publisher.post(f"{path}/send", {"revision": when["revision"]}).headers["Location"]
    for shown in (books, path, f"{path}/withdraw", ROOM, "/norrvik", "/norrvik/releases", "/norrvik/releases/visad"):
        assert Suspicious(publisher.get(shown).text).found == [], shown

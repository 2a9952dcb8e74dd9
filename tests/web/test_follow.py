"""The follow box: good addresses, bad ones, too many, and what the consent record keeps."""

import hashlib
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from service import broker, database, limits
from service.models import Consent, Delivery, Subscription

from .conftest import Follower, configure, rows

BOX = {"page": "/norrvik/releases/bron", "language": "sv"}


def test_good_address_is_taken_and_the_consent_is_what_was_shown(site: TestClient) -> None:
    answer = site.post("/norrvik/subscribe", data={"email": "Maja@Example.org", **BOX})
    assert answer.status_code == 202
    assert "Titta i din inkorg" in answer.text
    assert "example.org" not in answer.text.replace("norrvik.example.org", "")
    with database.reading() as session:
        kept = session.scalars(select(Consent)).one()
        assert kept.text in site.get("/norrvik/releases/bron").text
        assert kept.text_version == hashlib.sha256(kept.text.encode()).hexdigest()[:12]
        assert (kept.page, kept.language) == ("/norrvik/releases/bron", "sv")
        assert session.scalars(select(Delivery)).one().kind == "confirmation"


def test_known_and_unknown_get_the_same_page(site: TestClient, follower: Follower) -> None:
    def ask(email: str) -> tuple[int, str]:
        answer = site.post("/norrvik/subscribe", data={"email": email})
        return answer.status_code, answer.text

    known = ask("maja@example.org")
    assert known[0] == 202
    assert known == ask("new@example.org") == ask("new@example.org") == ask("MAJA@example.org")


def test_multipart_is_taken_too(site: TestClient) -> None:
    answer = site.post("/norrvik/subscribe", files={"email": (None, "maja@example.org"), "language": (None, "en")})
    assert answer.status_code == 202
    assert "Check your mail" in answer.text


@pytest.mark.parametrize(
    ("page", "kept"),
    [
        ("/norrvik", "/norrvik"),
        ("/norrvik/releases/bron", "/norrvik/releases/bron"),
        ("", "/norrvik"),
        ("/unsubscribe", "/unsubscribe"),
        ("/norrvik/releases/nothing", "/norrvik"),
        ("/karhula", "/norrvik"),
        ("https://evil.example/", "/norrvik"),
        ("/norrvik/releases/bron\n", "/norrvik"),
        ("/" * 600, "/norrvik"),
    ],
)
def test_only_a_page_with_a_box_goes_on_record(site: TestClient, page: str, kept: str) -> None:
    site.post("/norrvik/subscribe", data={"email": "maja@example.org", "page": page, "language": "xx"})
    with database.reading() as session:
        found = session.scalars(select(Consent)).one()
        assert (found.page, found.language) == (kept, "sv")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "Skriv din e-postadress."),
        ("   ", "Skriv din e-postadress."),
        ("a" * 300 + "@example.org", "Adressen är för lång."),
        ("maja@example.org, nils@example.org", "Skriv bara en adress."),
        ("maja@example.org\r\nBcc: nils@example.org", "Det finns ett dolt tecken"),
        ("maja\0@example.org", "Det finns ett dolt tecken"),
        ("åsa@example.org", "Vi kan inte mejla till adresser med bokstäver som å"),
        ("maja", "Adressen ser inte rätt ut."),
        ("maja@", "Adressen ser inte rätt ut."),
        ("maja@@example.org", "Adressen ser inte rätt ut."),
        ('"><script>alert(1)</script>@x', "Adressen ser inte rätt ut."),
    ],
)
def test_bad_address_gets_the_form_again_with_one_sentence(site: TestClient, typed: str, sentence: str) -> None:
    before = rows()
    answer = site.post("/norrvik/subscribe", data={"email": typed, **BOX})
    assert answer.status_code == 422
    assert "<title>Fel: " in answer.text
    assert answer.text.count(sentence) == 2  # in the summary on top, and by the field
    for part in (
        'role="alert" tabindex="-1" autofocus',
        'aria-describedby="email-problem email-hint"',
        'aria-invalid="true"',
        'href="#email"',
        'value="/norrvik/releases/bron"',
    ):
        assert part in answer.text, part
    assert "<script" not in answer.text
    assert rows() == before


def test_what_was_typed_is_kept(site: TestClient) -> None:
    assert 'value="maja@@example.org"' in site.post("/norrvik/subscribe", data={"email": "maja@@example.org"}).text


def test_idn_is_taken_as_a_label(site: TestClient) -> None:
    assert site.post("/norrvik/subscribe", data={"email": "maja@bräda.example"}).status_code == 202
    with database.reading() as session:
        assert session.scalars(select(Subscription)).one().address == "maja@xn--brda-moa.example"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"email": "maja@example.org"}'),
        ("", b"email=maja@example.org"),
        ("multipart/form-data", b"--"),
        ("multipart/form-data; boundary=x", b"--x\r\nbroken"),
        (
            "multipart/form-data; boundary=x; charset=rot13",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n',
        ),
        *(
            (
                "multipart/form-data; boundary=x; charset=unicode_escape",
                b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n\\ud800@example.org\r\n--x--\r\n' % name,
            )
            for name in (b"email", b"page", b"language")
        ),
        ("application/x-www-form-urlencoded", b"&" * 5000),
        ("application/x-www-form-urlencoded", b"%ff%fe=%00"),
    ],
)
def test_broken_form_counts_as_an_empty_one(site: TestClient, kind: str, body: bytes) -> None:
    answer = site.post("/norrvik/subscribe", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 422
    assert "Skriv din e-postadress." in answer.text


def _chunks() -> Iterator[bytes]:
    yield b"email="
    for _ in range(20):
        yield b"a" * 60_000


@pytest.mark.parametrize("content", [b"email=" + b"a" * 1_100_000, _chunks], ids=["declared", "chunked"])
def test_body_over_one_megabyte_is_refused(site: TestClient, content: object) -> None:
    sent = content() if callable(content) else content
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = site.post("/norrvik/subscribe", content=sent, headers=kind)
    assert answer.status_code == 413
    assert "större än 1 MB" in answer.text


def test_unknown_newsroom(site: TestClient) -> None:
    assert site.post("/nowhere/subscribe", data={"email": "maja@example.org"}).status_code == 404


def test_client_that_overdoes_it_waits(site: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, VISITOR_LIMIT=2)
    answers = [site.post("/norrvik/subscribe", data={"email": f"n{n}@example.org"}) for n in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 3600
    assert "Inget har sparats. Försök igen om" in answers[2].text
    assert site.post("/norrvik/subscribe", data={"email": "wrong"}).status_code == 422  # a slip costs nothing
    with database.reading() as session:
        assert len(session.scalars(select(Subscription)).all()) == 2


def test_newsroom_that_too_many_want_to_follow(site: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, NEWSROOM_LIMIT=1)
    answers = [site.post("/norrvik/subscribe", data={"email": f"n{n}@example.org"}) for n in range(2)]
    assert [answer.status_code for answer in answers] == [202, 503]
    assert "Retry-After" in answers[1].headers
    assert site.post("/karhula/subscribe", data={"email": "n@example.org"}).status_code == 202


def test_broker_away_loses_nothing(site: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, BROKER_URL="redis://127.0.0.1:1/0")
    assert site.post("/norrvik/subscribe", data={"email": "maja@example.org"}).status_code == 202
    with database.reading() as session:
        assert session.scalars(select(Delivery)).one().state == "queued"
    broker.app.cache_clear()


@pytest.mark.parametrize(
    ("client", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", "unknown"),
        ("nobody", "unknown"),
    ],
)
def test_a_network_counts_as_one_client(client: str, network: str) -> None:
    assert limits.network(client) == network


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("redis+socket:///run/utskick/broker.sock", "redis+unix:///run/utskick/broker.sock?db=0"),
        ("redis+socket:///b.sock?virtual_host=2", "redis+unix:///b.sock?db=2"),
        ("redis://127.0.0.1:6379/1", "redis://127.0.0.1:6379/1"),
        ("sentinel://a:1;sentinel://b:2", "redis+sentinel://a:1,b:2/mymaster"),
    ],
)
def test_celerys_urls_become_those_of_limits(url: str, known: str) -> None:
    assert limits.storage_url(url) == known

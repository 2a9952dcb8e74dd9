"""The courier against a real SMTP server: an outcome for whatever the relay does, and never a mail twice."""

import socket
import ssl
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any, Self

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from service.smtp import (
    Accepted,
    Answer,
    Courier,
    Envelope,
    NotBegun,
    Pace,
    Refused,
    Relay,
    RelayAway,
    Uncertain,
    dotted,
    relay_of,
)
from tests.conftest import Authority
from tests.servers import Sink, free_port

SENDER = "studs@example.org"
CONTENT = b"Message-ID: <one@example.org>\r\nSubject: x\r\n\r\nText.\r\n"


@dataclass
class Pile:
    """Mails to send, and what became of each, by its number."""

    mails: list[Envelope]
    fence: bool = True
    heard: dict[int, Answer] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        return len(self.mails)

    def next(self) -> Envelope | None:
        return self.mails.pop(0) if self.mails else None

    def may_begin(self, envelope: Envelope) -> bool:
        return self.fence

    def answered(self, envelope: Envelope, answer: Answer) -> None:
        assert envelope.number not in self.heard, "two answers for one mail"
        self.heard[envelope.number] = answer


class Hand:
    """Hands mails over one by one, with a courier each until the relay is away."""

    def __init__(self, relay: Relay, tls: ssl.SSLContext | None) -> None:
        self.relay, self.tls = relay, tls
        self.courier = Courier(relay, Pace(1), tls)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.courier.__exit__(None, None, None)

    def send(self, mail: Envelope, *, fence: bool = True) -> Answer:
        """Hand one over and return what became of it."""
        pile = Pile([mail], fence)
        self.courier.serve(pile)
        while not pile.heard and not self.courier.away:
            self.courier.turn(0.25)
        if not pile.heard:
            return RelayAway(self.courier.away)
        if self.courier.away:
            self.courier = Courier(self.relay, Pace(1), self.tls)
        return pile.heard[mail.number]


def way(sink: Sink, login: str = "", timeout: float = 5, scheme: str = "") -> Relay:
    at = f"{login}@" if login else ""
    return relay_of(f"{scheme or sink.scheme}://{at}127.0.0.1:{sink.port}", timeout=timeout, helo="mail.example.org")


def courier(sink: Sink, *, ca: str = "", **options: Any) -> Hand:
    return Hand(way(sink, **options), ssl.create_default_context(cafile=ca) if ca else None)


def envelope(to: str = "anna@example.org", content: bytes = CONTENT, sender: str = SENDER, number: int = 1) -> Envelope:
    return Envelope(number, sender, to, dotted(content))


def send(sink: Sink, to: str = "anna@example.org", content: bytes = CONTENT, **options: Any) -> Answer:
    with courier(sink, **options) as wire:
        return wire.send(envelope(to, content))


@pytest.fixture(scope="module")
def shared() -> Iterator[Sink]:
    """A sink that behaves as its recipients ask, or as told and told back."""
    server = Sink()
    yield server
    server.close()


def test_a_mail_arrives_as_it_was_sent(sink: Sink) -> None:
    answer = send(sink)
    assert isinstance(answer, Accepted)
    assert (answer.code, answer.words) == (250, "2.0.0 taken as 1")
    (mail,) = sink.log()
    assert (mail.sender, mail.recipient, mail.content) == (SENDER, "anna@example.org", CONTENT)


@pytest.mark.parametrize(("code", "permanent"), [("450", False), ("452", False), ("550", True), ("554", True)])
def test_a_refused_recipient(shared: Sink, code: str, permanent: bool) -> None:
    answer = send(shared, f"defer{code}-anna@example.org")
    assert isinstance(answer, Refused)
    assert (answer.permanent, answer.code) == (permanent, int(code))
    assert answer.words.startswith(f"{code[0]}.1.1")


@pytest.mark.parametrize(("code", "permanent"), [("451", False), ("552", True)])
def test_a_refused_message(shared: Sink, code: str, permanent: bool) -> None:
    answer = send(shared, f"dot{code}-anna@example.org")
    assert isinstance(answer, Refused)
    assert (answer.permanent, answer.code) == (permanent, int(code))


@pytest.mark.parametrize(("reply", "permanent"), [("451 4.3.0 later", False), ("554 5.7.1 no", True)])
def test_data_refused(sink: Sink, reply: str, permanent: bool) -> None:
    sink.behave(data=reply)
    answer = send(sink)
    assert answer == Refused(permanent, int(reply[:3]), reply[4:])
    assert sink.count() == 0


def test_a_sender_refused_for_good_is_not_the_relays_matter(sink: Sink) -> None:
    sink.behave(mail="553 5.7.1 not you")
    assert send(sink) == Refused(False, 553, "5.7.1 not you")
    assert sink.count() == 0


def test_a_message_too_large_for_the_relay_is_refused_alone(sink: Sink) -> None:
    sink.behave(mail="552 5.3.4 too large")
    assert send(sink) == Refused(True, 552, "5.3.4 too large")
    assert sink.count() == 0


@pytest.mark.parametrize("reply", ["451 4.3.0 later", "421 4.3.2 closing", "530 5.7.0 authenticate"])
def test_a_refused_sender_is_the_relays_matter(sink: Sink, reply: str) -> None:
    sink.behave(mail=reply)
    assert send(sink) == RelayAway(reply)


@pytest.mark.parametrize("banner", ["554 5.3.2 no service", "421 4.3.2 busy"])
def test_a_banner_that_says_no(sink: Sink, banner: str) -> None:
    sink.behave(banner=banner)
    answer = send(sink)
    assert isinstance(answer, RelayAway)
    assert answer.words.startswith(banner[:3])
    assert not answer.on_wire


@pytest.mark.parametrize(("step", "on_wire"), [("rcpt", True), ("data", True)])
def test_421_before_the_message_is_the_relays_matter(sink: Sink, step: str, on_wire: bool) -> None:
    with courier(sink) as wire:
        sink.behave(**{step: "421 4.7.0 too many errors"})
        answer = wire.send(envelope())
        assert answer == RelayAway("421 4.7.0 too many errors", on_wire=on_wire)
        sink.behave(**{step: ""})
        assert isinstance(wire.send(envelope("bo@example.org")), Accepted)


def test_421_to_the_dot_is_an_answer(sink: Sink) -> None:
    with courier(sink) as wire:
        sink.behave(dot="421 4.3.2 closing")
        assert wire.send(envelope()) == Refused(False, 421, "4.3.2 closing")
        sink.behave(dot="")
        assert isinstance(wire.send(envelope()), Accepted)
    assert sink.count() == 1


@pytest.mark.parametrize("reply", ["600 what", "100 hm", "nonsense", "354 more"])
def test_an_answer_to_the_dot_that_means_nothing_is_a_doubt(sink: Sink, reply: str) -> None:
    with courier(sink) as wire:
        sink.behave(dot=reply)
        assert isinstance(wire.send(envelope()), Uncertain)
        sink.behave(dot="")
        assert isinstance(wire.send(envelope()), Accepted)


@pytest.mark.parametrize(("step", "on_wire"), [("ehlo", False), ("mail", False), ("rcpt", True), ("data", True)])
def test_a_connection_that_ends_before_the_message(sink: Sink, step: str, on_wire: bool) -> None:
    sink.behave(drop=step)
    answer = send(sink)
    assert isinstance(answer, RelayAway)
    assert answer.on_wire == on_wire
    assert sink.count() == 0


def test_a_connection_that_ends_in_the_message(shared: Sink) -> None:
    before = shared.count()
    answer = send(shared, "drop-before-dot-anna@example.org", CONTENT + b"x" * 70 + b"\r\n")
    assert isinstance(answer, RelayAway | Uncertain)
    assert shared.count() == before


def test_a_connection_that_ends_after_the_dot_is_a_doubt(shared: Sink) -> None:
    before = shared.count()
    assert isinstance(send(shared, "drop-after-dot-anna@example.org"), Uncertain)
    assert shared.count() == before + 1


@pytest.mark.parametrize("step", ["connect", "ehlo", "mail", "rcpt", "data"])
def test_a_relay_that_hangs(sink: Sink, step: str) -> None:
    sink.behave(hang=step)
    answer = send(sink, timeout=0.5)
    assert isinstance(answer, RelayAway)
    assert answer.words
    assert answer.on_wire == (step in ("rcpt", "data"))


def test_a_relay_that_hangs_after_the_dot_is_a_doubt(sink: Sink) -> None:
    sink.behave(hang="dot")
    assert isinstance(send(sink, timeout=0.5), Uncertain)
    assert sink.count() == 1


def test_a_relay_that_is_not_there() -> None:
    relay = relay_of(f"smtp://127.0.0.1:{free_port()}", timeout=1, helo="mail.example.org")
    with Hand(relay, None) as wire:
        answer = wire.send(envelope())
    assert isinstance(answer, RelayAway)
    assert "refused" in answer.words


def test_a_relay_whose_name_is_unknown() -> None:
    with Hand(relay_of("smtp://relay.invalid:25", timeout=1, helo="mail.example.org"), None) as wire:
        assert isinstance(wire.send(envelope()), RelayAway)


def test_a_password(sink: Sink) -> None:
    sink.behave(auth="press:h:e@m/ligt")
    assert isinstance(send(sink, login="press:h%3Ae%40m%2Fligt"), Accepted)
    wrong = send(sink, login="press:wrong")
    assert wrong == RelayAway("535 5.7.8 wrong user or password")
    assert isinstance(send(sink, login="press:h%C3%A5"), RelayAway)
    assert isinstance(send(sink), RelayAway), "without one"


@pytest.fixture(params=["starttls", "smtps"])
def secure(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Sink]:
    implicit = request.param == "smtps"
    server = Sink(cert=authority.cert, tls=implicit, auth="press:right", **({} if implicit else {"starttls": True}))
    yield server
    server.close()


def test_tls_that_is_trusted(secure: Sink, authority: Authority) -> None:
    assert isinstance(send(secure, login="press:right", ca=authority.ca), Accepted)


def test_tls_that_is_not_trusted_gets_no_password_and_no_mail(secure: Sink) -> None:
    answer = send(secure, login="press:right")
    assert isinstance(answer, RelayAway)
    assert "CERTIFICATE_VERIFY_FAILED" in answer.words
    assert secure.count() == 0


def test_tls_trusted_by_the_environment(secure: Sink, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", authority.ca)
    assert isinstance(send(secure, login="press:right"), Accepted)


def test_a_relay_that_offers_no_tls_gets_nothing_in_clear(sink: Sink) -> None:
    answer = send(sink, scheme="smtp+starttls", login="press:right")
    assert isinstance(answer, RelayAway)
    assert sink.count() == 0


def test_non_ascii_addresses(sink: Sink) -> None:
    assert isinstance(send(sink, "åsa@example.org"), Accepted)
    assert sink.log()[0].recipient == "åsa@example.org"
    sink.behave(smtputf8=False)
    with courier(sink) as wire:
        answer = wire.send(envelope("åsa@example.org"))
        assert isinstance(answer, Refused)
        assert answer.permanent
        assert isinstance(wire.send(envelope()), Accepted)


def test_a_non_ascii_sender(sink: Sink) -> None:
    with courier(sink) as wire:
        assert isinstance(wire.send(envelope(sender="åsa@example.org")), Accepted)
    assert sink.log()[0].sender == "åsa@example.org"
    sink.behave(smtputf8=False)
    with courier(sink) as wire:
        answer = wire.send(envelope(sender="åsa@example.org"))
        assert isinstance(answer, Refused)
        assert not answer.permanent
        assert "SMTPUTF8" in answer.words
        assert isinstance(wire.send(envelope()), Accepted)


def test_one_connection_carries_many_mails_past_refusals(sink: Sink) -> None:
    asked = ["anna", "refuse550-bo", "eva", "dot552-per", "defer450-ulf", "lars"]
    with courier(sink) as wire:
        answers = [wire.send(envelope(f"{name}@example.org")) for name in asked]
    kinds = [type(answer) for answer in answers]
    assert kinds == [Accepted, Refused, Accepted, Refused, Refused, Accepted]
    log = sink.log()
    assert [mail.recipient.split("@")[0] for mail in log] == ["anna", "eva", "lars"]
    assert len({mail.connection for mail in log}) == 1


def test_a_new_connection_after_one_that_died(sink: Sink) -> None:
    with courier(sink) as wire:
        assert isinstance(wire.send(envelope()), Accepted)
        sink.kill()
        assert isinstance(wire.send(envelope()), RelayAway)
        sink.start()
        assert isinstance(wire.send(envelope()), Accepted)
    assert sink.count() == 2


def test_a_connection_that_is_reset_while_idle_ends_alone() -> None:
    listener, reset = socket.create_server(("127.0.0.1", 0)), Event()
    answers = {b"DATA": b"354 go on\r\n", b".": b"250 2.0.0 taken\r\n"}

    def serve() -> None:
        for last in (b".", b"QUIT"):
            wire, _ = listener.accept()
            wire.sendall(b"220 relay\r\n")
            content = False
            for line in wire.makefile("rb"):
                verb = line.split()[0] if line.strip() else b""
                content = content and verb != b"."
                if not content:
                    wire.sendall(answers.get(verb, b"250 ok\r\n"))
                content = content or verb == b"DATA"
                if verb == last:
                    break
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.close()
            reset.set()

    relay = Thread(target=serve)
    relay.start()
    with Hand(
        relay_of(f"smtp://127.0.0.1:{listener.getsockname()[1]}", timeout=5, helo="mail.example.org"), None
    ) as hand:
        assert hand.send(envelope(number=1)) == Accepted(250, "2.0.0 taken")
        assert reset.wait(5)
        assert isinstance(hand.send(envelope(number=2)), RelayAway), "it was not begun, and goes again"
        assert not hand.courier.away
        assert hand.send(envelope(number=2)) == Accepted(250, "2.0.0 taken")
    relay.join(5)
    listener.close()


def test_nothing_is_sent_once_the_fence_is_down(sink: Sink) -> None:
    with courier(sink) as wire:
        assert isinstance(wire.send(envelope(), fence=False), NotBegun)
        assert sink.count() == 0
        assert isinstance(wire.send(envelope("bo@example.org")), Accepted)
    assert [mail.recipient for mail in sink.log()] == ["bo@example.org"]


@pytest.mark.parametrize("body", [b".", b"..", b".x", b"", b"x\r\n.\r\n..\r\ny", b".\r\n.\r\n."])
def test_lines_that_begin_with_dots_arrive_as_they_were(shared: Sink, body: bytes) -> None:
    content = b"Subject: x\r\n\r\n" + body + b"\r\n"
    assert isinstance(send(shared, content=content), Accepted)
    assert shared.log()[-1].content == content


@given(st.lists(st.sampled_from([b"", b".", b"..", b".x", b"text", b"\xc3\xa5", b"x."]), min_size=1, max_size=8))
@limits(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_lines_arrive_as_they_were(shared: Sink, lines: list[bytes]) -> None:
    content = b"\r\n".join(lines) + b"\r\n"
    assert isinstance(send(shared, content=content), Accepted)
    assert shared.log()[-1].content == content


def test_a_message_without_a_line_end_gets_one() -> None:
    assert dotted(b"a") == b"a\r\n."
    assert dotted(b".") == b"..\r\n."
    assert dotted(b"") == b"\r\n."


@pytest.mark.parametrize(
    ("url", "port", "security"),
    [
        ("smtp://relay.example.org", 25, "smtp"),
        ("smtp+starttls://relay.example.org", 587, "smtp+starttls"),
        ("smtps://relay.example.org", 465, "smtps"),
        ("smtp://[::1]:2525", 2525, "smtp"),
    ],
)
def test_the_relay_of_a_url(url: str, port: int, security: str) -> None:
    relay = relay_of(url, timeout=1, helo="mail.example.org")
    assert (relay.port, relay.security) == (port, security)


def test_words_of_a_relay_are_one_line_and_short(sink: Sink) -> None:
    sink.behave(rcpt="550-5.1.1 first" + "x" * 400 + "\r\n550-5.1.1 second \x07\x00" + "y" * 400 + "\r\n550 5.1.1 last")
    answer = send(sink)
    assert isinstance(answer, Refused)
    assert len(answer.words) <= 500
    assert answer.words.isprintable()

"""SMTP sessions without a wire: every recipient gets one answer, and `accepted` means that the relay said so."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.smtp.answers import Accepted, Answer, Envelope, NotBegun, Refused, RelayAway, Uncertain
from service.smtp.dialogue import MOST_MAILS, Dialogue, dotted
from service.smtp.relay import relay_of

RELAY = relay_of("smtp://127.0.0.1:25", timeout=5, helo="utskick.localhost")
CONTENT = b"Subject: x\r\n\r\n.dots\r\n..\r\nat the beginning\r\n"


def mail(number: int, content: bytes = CONTENT) -> Envelope:
    """Return a mail to a recipient of its own."""
    return Envelope(number, "press@example.org", f"r{number}@example.org", dotted(content))


@dataclass
class Pile:
    """Mails to send, and what became of each."""

    waiting: list[Envelope]
    may: Callable[[Envelope], bool] = lambda _: True
    taken: list[Envelope] = field(default_factory=list)
    heard: dict[str, Answer] = field(default_factory=dict)

    def next(self) -> Envelope | None:
        """Give the next."""
        if not self.waiting:
            return None
        self.taken.append(self.waiting.pop(0))
        return self.taken[-1]

    def may_begin(self, envelope: Envelope) -> bool:
        """Ask the fence."""
        return self.may(envelope)

    def answered(self, envelope: Envelope, answer: Answer) -> None:
        """Keep the answer, the only one."""
        assert envelope.recipient not in self.heard, "two answers for one mail"
        self.heard[envelope.recipient] = answer


def session(*mails: Envelope, offers: str = "PIPELINING", url: str = "", **more: Any) -> tuple[Dialogue, Pile]:
    """Return a session past its EHLO, with mails to send."""
    pile = Pile(list(mails))
    relay = relay_of(url, timeout=5, helo="utskick.localhost") if url else RELAY
    talk = Dialogue(relay, pile, **more)
    talk.receive(b"220 relay\r\n")
    assert said(talk) == b"EHLO utskick.localhost\r\n"
    talk.receive(b"".join(f"250-{one}\r\n".encode() for one in ["relay", *filter(None, offers.split(","))][:-1]))
    talk.receive(f"250 {['relay', *filter(None, offers.split(','))][-1]}\r\n".encode())
    return talk, pile


def said(talk: Dialogue) -> bytes:
    """Take what is to be sent."""
    found = bytes(talk.out)
    talk.out.clear()
    return found


def envelope(number: int) -> bytes:
    """Return a whole envelope as it is sent."""
    return b"MAIL FROM:<press@example.org>\r\nRCPT TO:<r%d@example.org>\r\nDATA\r\n" % number


BODY = dotted(CONTENT) + b"\r\n"


def test_the_next_envelope_goes_out_behind_the_dot() -> None:
    talk, pile = session(mail(1), mail(2))
    assert said(talk) == envelope(1)
    talk.receive(b"250 ok\r\n250 ok\r\n354 go on\r\n")
    assert said(talk) == BODY + envelope(2)
    talk.receive(b"250 2.0.0 taken\r\n250 ok\r\n250 ok\r\n354 go on\r\n")
    assert pile.heard == {"r1@example.org": Accepted(250, "2.0.0 taken")}
    assert said(talk) == BODY
    talk.receive(b"250-2.0.0\r\n250 taken\r\n")
    assert pile.heard["r2@example.org"] == Accepted(250, "2.0.0 taken")
    talk.part()
    assert said(talk) == b"QUIT\r\n"
    talk.receive(b"221 bye\r\n")
    assert talk.over
    assert talk.trouble == ""


def test_without_pipelining_each_command_waits() -> None:
    talk, pile = session(mail(1), mail(2), offers="SIZE 10000,HELP")
    for line in (f"MAIL FROM:<press@example.org> SIZE={len(dotted(CONTENT))}", "RCPT TO:<r1@example.org>", "DATA"):
        assert said(talk) == line.encode() + b"\r\n"
        talk.receive(b"250 ok\r\n" if line != "DATA" else b"354 go on\r\n")
    assert said(talk) == BODY
    talk.receive(b"250 taken\r\n")
    assert said(talk).startswith(b"MAIL FROM")
    talk.receive(b"250 ok\r\n")
    said(talk)
    talk.receive(b"550 5.1.1 nobody here\r\n")
    assert said(talk) == b"RSET\r\n"
    assert pile.heard["r2@example.org"] == Refused(True, 550, "5.1.1 nobody here")


@pytest.mark.parametrize(
    ("replies", "answer"),
    [
        (b"250 ok\r\n550 no\r\n503 no recipient\r\n", Refused(True, 550, "no")),
        (b"250 ok\r\n450 later\r\n554 no recipient\r\n", Refused(False, 450, "later")),
        (b"550 sender\r\n503 no\r\n503 no\r\n", Refused(False, 550, "sender")),
        (b"552 too large\r\n503 no\r\n503 no\r\n", Refused(True, 552, "too large")),
        (b"250 ok\r\n250 ok\r\n451 not now\r\n", Refused(False, 451, "not now")),
        (b"250 ok\r\n251 forwarded\r\n554 not that\r\n", Refused(True, 554, "not that")),
    ],
)
def test_a_refusal_is_one_mails_own_and_the_next_goes_on(replies: bytes, answer: Answer) -> None:
    talk, pile = session(mail(1), mail(2))
    said(talk)
    talk.receive(replies)
    assert pile.heard == {"r1@example.org": answer}
    assert said(talk) == b"RSET\r\n" + envelope(2)
    talk.receive(b"250 reset\r\n250 ok\r\n250 ok\r\n354 go on\r\n")
    assert said(talk) == BODY


def test_a_relay_that_waits_for_content_without_a_recipient_gets_a_lone_dot() -> None:
    talk, pile = session(mail(1), mail(2))
    said(talk)
    talk.receive(b"250 ok\r\n550 no\r\n354 go on\r\n")
    assert said(talk) == b".\r\n"
    assert pile.heard == {}
    talk.receive(b"554 no recipient\r\n")
    assert pile.heard == {"r1@example.org": Refused(True, 550, "no")}
    assert said(talk) == envelope(2)


@pytest.mark.parametrize(
    ("replies", "answer"),
    [
        (b"421 closing\r\n", RelayAway("421 closing")),
        (b"451 later\r\n", RelayAway("451 later")),
        (b"530 log in first\r\n", RelayAway("530 log in first")),
        (b"250 ok\r\n421 closing\r\n", RelayAway("421 closing", on_wire=True)),
        (b"250 ok\r\n250 ok\r\n421 closing\r\n", RelayAway("421 closing", on_wire=True)),
        (b"250 ok\r\n550 no\r\n421 closing\r\n", Refused(True, 550, "no")),
        (b"nonsense\r\n", RelayAway("the relay speaks no SMTP: nonsense")),
        (b"x" * 5000, RelayAway("the relay sends a line without an end")),
    ],
)
def test_what_ends_the_session_before_the_content(replies: bytes, answer: Answer) -> None:
    talk, pile = session(mail(1), mail(2))
    said(talk)
    talk.receive(replies)
    assert talk.over
    assert pile.heard == {"r1@example.org": answer}
    assert talk.trouble == ""


@pytest.mark.parametrize(
    ("reply", "answer", "over"),
    [
        (b"250 ok\r\n", Accepted(250, "ok"), False),
        (b"451 later\r\n", Refused(False, 451, "later"), False),
        (b"554 spam\r\n", Refused(True, 554, "spam"), False),
        (b"421 closing\r\n", Refused(False, 421, "closing"), True),
        (b"354 what\r\n", Uncertain("354 what"), True),
        (b"", Uncertain("gone"), True),
        (b"25", Uncertain("gone"), True),
        (b"250-ok\r\n", Uncertain("gone"), True),
    ],
)
def test_replies_to_the_dot_with_the_next_envelope_behind_it(reply: bytes, answer: Answer, over: bool) -> None:
    talk, pile = session(mail(1), mail(2))
    said(talk)
    talk.receive(b"250 ok\r\n250 ok\r\n354 go on\r\n")
    said(talk)
    assert talk.doubtful == 1
    talk.receive(reply)
    if isinstance(answer, Uncertain):
        talk.lost("gone")
    assert pile.heard["r1@example.org"] == answer
    assert talk.over is over
    assert isinstance(pile.heard.get("r2@example.org", RelayAway("", on_wire=False)), RelayAway)
    assert over == ("r2@example.org" in pile.heard)
    if over:
        assert pile.heard["r2@example.org"] == RelayAway(
            {b"421 closing\r\n": "421 closing", b"354 what\r\n": "354 what"}.get(reply, "gone")
        )


@pytest.mark.parametrize(
    ("replies", "on_wire", "suspect"),
    [(b"", False, True), (b"250 ok\r\n", True, False), (b"250 ok\r\n250", True, False)],
)
def test_a_connection_that_ends_over_what_was_sent_together(replies: bytes, *, on_wire: bool, suspect: bool) -> None:
    talk, pile = session(mail(1), mail(2))
    talk.receive(replies)
    talk.lost("gone")
    assert pile.heard == {"r1@example.org": RelayAway("gone", on_wire=on_wire)}
    assert talk.suspect is suspect


def test_a_mail_whose_fence_is_down_is_not_begun() -> None:
    talk, pile = session(mail(1), mail(2))
    pile.may = lambda _: False
    said(talk)
    talk.receive(b"250 ok\r\n250 ok\r\n354 go on\r\n")
    assert pile.heard == {"r1@example.org": NotBegun()}
    assert talk.over
    assert said(talk) == b""


def test_draining_begins_nothing_more_and_hears_what_is_in_doubt() -> None:
    talk, pile = session(mail(1), mail(2), mail(3))
    said(talk)
    talk.receive(b"250 ok\r\n250 ok\r\n354 go on\r\n")
    said(talk)
    talk.drain()
    assert not talk.over
    talk.receive(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go on\r\n")
    assert pile.heard == {"r1@example.org": Accepted(250, "ok"), "r2@example.org": NotBegun()}
    assert talk.over
    assert said(talk) == b""
    assert len(pile.waiting) == 1


def test_a_retired_connection_takes_no_further_mail_and_parts() -> None:
    talk, pile = session(mail(1), mail(2))
    talk.retire()
    talk.receive(b"250 ok\r\n250 ok\r\n354 go on\r\n")
    assert said(talk) == envelope(1) + BODY
    talk.receive(b"250 taken\r\n")
    assert said(talk) == b"QUIT\r\n"
    assert len(pile.waiting) == 1


def test_where_it_should_not_be_ahead_the_next_envelope_waits_for_the_reply() -> None:
    talk, _ = session(mail(1), mail(2), ahead=False)
    said(talk)
    talk.receive(b"250 ok\r\n250 ok\r\n354 go on\r\n")
    assert said(talk) == BODY
    talk.receive(b"250 taken\r\n")
    assert said(talk) == envelope(2)


@pytest.mark.parametrize(
    ("replies", "fruitless"),
    [(b"421 busy\r\n", "421 busy"), (b"250 ok\r\n550 no\r\n554 no\r\n421 busy\r\n", ""), (b"", "gone")],
)
def test_a_session_without_one_verdict_was_fruitless(replies: bytes, fruitless: str) -> None:
    talk, _ = session(mail(1))
    talk.receive(replies)
    talk.lost("gone")
    assert talk.fruitless == fruitless


def test_a_connection_carries_so_many_mails_and_parts() -> None:
    talk, pile = session(*(mail(number) for number in range(MOST_MAILS + 1)))
    for _ in range(MOST_MAILS):
        talk.receive(b"250 ok\r\n250 ok\r\n354 go on\r\n")
        said(talk)
        talk.receive(b"250 taken\r\n")
    assert len(pile.heard) == MOST_MAILS
    assert said(talk) == b"QUIT\r\n"
    assert len(pile.waiting) == 1


@pytest.mark.parametrize(
    ("offers", "steps"),
    [
        (
            "AUTH LOGIN PLAIN",
            [(b"AUTH PLAIN AHVzZXIAcEBzcw==\r\n", b"235 welcome\r\n")],
        ),
        (
            "AUTH LOGIN",
            [
                (b"AUTH LOGIN\r\n", b"334 VXNlcm5hbWU6\r\n"),
                (b"dXNlcg==\r\n", b"334 UGFzc3dvcmQ6\r\n"),
                (b"cEBzcw==\r\n", b"235 welcome\r\n"),
            ],
        ),
    ],
)
def test_logging_in(offers: str, steps: list[tuple[bytes, bytes]]) -> None:
    talk, pile = session(mail(1), offers=offers, url="smtp://user:p%40ss@127.0.0.1")
    for line, reply in steps:
        assert said(talk) == line
        assert not pile.taken
        talk.receive(reply)
    assert said(talk).startswith(b"MAIL FROM")


@pytest.mark.parametrize(
    ("offers", "reply", "words"),
    [
        ("AUTH PLAIN", b"535 wrong\r\n", "535 wrong"),
        ("AUTH PLAIN", b"334 \r\n", "334"),
        ("AUTH CRAM-MD5", b"", "neither AUTH PLAIN nor AUTH LOGIN"),
        ("", b"", "neither AUTH PLAIN nor AUTH LOGIN"),
    ],
)
def test_a_log_in_that_fails_is_the_relays_matter(offers: str, reply: bytes, words: str) -> None:
    talk, pile = session(mail(1), offers=offers, url="smtp://user:p%40ss@127.0.0.1")
    talk.receive(reply)
    assert talk.over
    assert words in talk.trouble
    assert pile.taken == []


def test_nothing_goes_in_clear_where_tls_is_wanted() -> None:
    talk, _ = session(mail(1), offers="PIPELINING", url="smtp+starttls://127.0.0.1")
    assert talk.trouble == "the relay offers no STARTTLS"
    talk, pile = session(mail(1), offers="STARTTLS,PIPELINING", url="smtp+starttls://127.0.0.1")
    assert said(talk) == b"STARTTLS\r\n"
    talk.receive(b"220 go on\r\n")
    assert talk.wants_tls
    talk.secured()
    assert said(talk) == b"EHLO utskick.localhost\r\n"
    talk.receive(b"250 relay\r\n")
    assert said(talk) == b"MAIL FROM:<press@example.org>\r\n", "what was offered in clear does not count"
    assert len(pile.taken) == 1


@pytest.mark.parametrize("behind", [b"250 injected\r\n", b"25"])
def test_what_comes_in_clear_behind_starttls_ends_it(behind: bytes) -> None:
    talk, _ = session(mail(1), offers="STARTTLS", url="smtp+starttls://127.0.0.1")
    talk.receive(b"220 go on\r\n" + behind)
    assert talk.over


def test_an_old_relay_is_greeted_by_helo() -> None:
    talk = Dialogue(RELAY, Pile([mail(1)]))
    talk.receive(b"220 relay\r\n")
    said(talk)
    talk.receive(b"502 what\r\n")
    assert said(talk) == b"HELO utskick.localhost\r\n"
    talk.receive(b"250 relay\r\n")
    assert said(talk) == b"MAIL FROM:<press@example.org>\r\n"


def test_a_mail_too_large_for_the_relay_is_refused_unsent() -> None:
    talk, pile = session(mail(1, b"x" * 101), mail(2, b"y"), offers="PIPELINING,SIZE 100")
    assert pile.heard["r1@example.org"] == Refused(True, 552, "5.3.4 The relay takes mails of at most 100 octets")
    assert b"r2@example.org" in said(talk)


def test_addresses_that_need_smtputf8() -> None:
    foreign = Envelope(1, "press@example.org", "å@example.org", b"x")
    sender = Envelope(2, "å@example.org", "r@x.se", b"x")
    _, pile = session(foreign)
    assert pile.heard["å@example.org"] == Refused(
        True, 553, "5.6.7 The relay offers no SMTPUTF8, which this address needs"
    )
    _, pile = session(sender)
    assert pile.heard["r@x.se"] == Refused(
        False, 553, "5.6.7 The relay offers no SMTPUTF8, which the sender's address needs"
    )
    talk, _ = session(foreign, offers="SMTPUTF8,8BITMIME,PIPELINING")
    assert said(talk).startswith("MAIL FROM:<press@example.org> SMTPUTF8 BODY=8BITMIME\r\nRCPT TO:<å@".encode())


def test_a_relay_that_closes_while_nothing_is_on_its_way_is_no_trouble() -> None:
    talk, pile = session()
    talk.receive(b"421 idle for too long\r\n")
    assert talk.over
    assert talk.trouble == ""
    assert pile.heard == {}


# --- a relay that does whatever it likes -------------------------------------------------------------------------


class Server:
    """A relay that keeps to the protocol, and answers whatever is drawn."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self.draw = draw
        self.back = b"220 relay\r\n"
        self.rest = b""
        self.content = False
        self.sender = self.recipient = ""
        self.complete: list[tuple[str, bytes]] = []
        self.agreed: list[str] = []
        self.gone = False

    def reply(self, *usual: str) -> str:
        """Draw a reply: mostly the usual."""
        odd = [
            "421 closing",
            "450 later",
            "451 later",
            "452 full",
            "550 no",
            "552 large",
            "554 no",
            "",
            "250 ok",
            "354 x",
        ]
        chosen = str(self.draw(st.sampled_from([*usual * 12, *odd])))
        self.gone = self.gone or chosen == "" or chosen.startswith("421")
        lines = [f"{chosen[:3]}-more", chosen] if chosen and self.draw(st.booleans()) else [chosen]
        self.back += "".join(f"{line}\r\n" for line in lines if line).encode()
        return chosen

    def take(self, data: bytes) -> None:
        """Take what the client sent, as a server with a buffer does."""
        self.rest += data
        while not self.gone:
            end = b"\r\n.\r\n" if self.content and not self.rest.startswith(b".\r\n") else b"\r\n"
            piece, found, rest = self.rest.partition(end)
            if not found:
                return
            self.rest = rest
            if self.content:
                self.done(b"" if end == b"\r\n" else piece + b"\r\n")
            else:
                self.command(piece.decode())

    def done(self, content: bytes) -> None:
        """Judge a whole message."""
        self.content = False
        if self.recipient:
            self.complete.append((self.recipient, content))
        said = self.reply("250 taken" if self.recipient else "554 nobody")
        if self.recipient and said.startswith("2"):
            self.agreed.append(self.recipient)
        self.sender = self.recipient = ""

    def command(self, line: str) -> None:
        """Judge a command."""
        verb, _, rest = line.partition(" ")
        match verb:
            case "EHLO":
                self.back += (
                    b"250-relay\r\n250 " + str(self.draw(st.sampled_from(["PIPELINING", "HELP"]))).encode() + b"\r\n"
                )
            case "MAIL":
                assert not self.sender, "MAIL within a transaction"
                self.sender = "x" if self.reply("250 ok")[:3] == "250" else ""
            case "RCPT":
                assert not self.recipient
                said = self.reply("250 ok") if self.sender else self.reply("503 no MAIL")
                taken = self.sender and said[:3] in ("250", "251")
                self.recipient = rest.removeprefix("TO:<").removesuffix(">") if taken else ""
            case "DATA":
                self.content = self.reply("354 go on" if self.recipient else "554 no RCPT")[:3] == "354"
            case "RSET":
                self.sender = self.recipient = ""
                self.reply("250 reset")
            case "QUIT":
                self.back += b"221 bye\r\n"
                self.gone = True
            case _:
                raise AssertionError(f"no command: {line!r}")


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_each_recipient_gets_one_answer_whatever_the_relay_does(data: st.DataObject) -> None:
    pile = Pile([mail(number) for number in range(data.draw(st.integers(1, 6)))])
    pile.may = lambda _: bool(data.draw(st.sampled_from([True] * 15 + [False])))
    complete: list[tuple[str, bytes]] = []
    agreed: list[str] = []
    for _ in range(8):
        server, talk = Server(data.draw), Dialogue(RELAY, pile, pipelined=data.draw(st.booleans()))
        while not talk.over:
            if talk.out:
                cut = data.draw(st.integers(1, len(talk.out)))
                server.take(bytes(talk.out[:cut]))
                del talk.out[:cut]
            elif server.back:
                cut = data.draw(st.integers(1, len(server.back)))
                piece, server.back = server.back[:cut], server.back[cut:]
                talk.receive(piece)
            elif server.gone:
                talk.lost("the connection ended")
            elif data.draw(st.sampled_from([False] * 5 + [True])):
                talk.drain()
            else:
                talk.part()
                if not talk.out and not talk.over:
                    talk.lost("no answer in time")
            if data.draw(st.sampled_from([False] * 40 + [True])):
                talk.lost("the connection ended")
        complete += server.complete
        agreed += server.agreed
    assert sorted(pile.heard) == sorted(one.recipient for one in pile.taken), "one answer for each that was taken"
    for recipient, content in complete:
        assert content == CONTENT.replace(b"\r\n.", b"\r\n.."), "whole, or not at all"
        assert isinstance(pile.heard[recipient], Accepted | Refused | Uncertain)
    for recipient, answer in pile.heard.items():
        if isinstance(answer, Accepted):
            assert recipient in agreed
        if recipient in agreed:
            assert isinstance(answer, Accepted | Uncertain)
        if isinstance(answer, NotBegun | RelayAway):
            assert recipient not in dict(complete)

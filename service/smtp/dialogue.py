"""One SMTP session without the wire: the relay's bytes in, bytes for it and answers out.

Where the relay offers PIPELINING (RFC 2920) the next envelope goes out right behind the final dot, so that a mail
costs one round trip. Nothing is ever sent before the relay has said 354, and no body where no recipient was taken.

A refusal belongs to whom it is about. What happens before RCPT (greeting, TLS, AUTH, a MAIL put off) belongs to the
relay; a sender refused for good is that mail's own trouble, for now; from RCPT on it is the recipient's; a
connection that ends between the final dot and the reply leaves the mail uncertain (RFC 5321 §4.2.5, RFC 1047).
"""

from collections import deque
from typing import Protocol

from service.smtp.answers import Accepted, Answer, Envelope, NotBegun, Refused, RelayAway, Uncertain
from service.smtp.greeting import Greeting, Unfit
from service.smtp.lines import Flight, Lines, Step
from service.smtp.relay import Relay
from service.smtp.replies import Nonsense, Replies, Reply

CLOSING = 421
TOO_LARGE = 552
LOGIN_WANTED = (530, 535, 538)
MOST_MAILS = 1000
"""Mails over one connection; then a new one, so that the hosts behind a relay's name share the load."""


class Post(Protocol):
    """Whoever has mail to send, and wants to hear what became of it."""

    def next(self) -> Envelope | None:
        """Return the next mail, or None where there is none now."""

    def may_begin(self, envelope: Envelope) -> bool:
        """Tell, at the last moment before its content is sent, whether a mail may still go."""

    def answered(self, envelope: Envelope, answer: Answer) -> None:
        """Hear what became of a mail; said once for each."""


class Dialogue:
    """One session: `receive` what comes, send `out`, and it takes mail from `post` as fast as the relay does.

    `over`: close the connection; `trouble` then says why no mail could be handed over at all, `fruitless` why none of
    those tried was judged. `suspect`: it ended over commands sent together, none of which was answered; one at a time
    tells what it minds. `wants_tls`: wrap the connection, then call `secured`.
    """

    def __init__(self, relay: Relay, post: Post, *, pipelined: bool = True, ahead: bool = True) -> None:
        self.post, self.pipelined, self.ahead = post, pipelined, ahead
        self.lines = Lines()
        self.greeting = Greeting(relay, self.lines)
        self.over = self.draining = self.parting = self.suspect = False
        self.trouble = self.fruitless = ""
        self.mails = self.judged = 0
        self._replies = Replies()
        self._flights: deque[Flight] = deque()

    @property
    def out(self) -> bytearray:
        """Bytes to be sent; take from its beginning what was."""
        return self.lines.out

    @property
    def patience(self) -> float:
        """Seconds that the relay may take for what it is asked now; 0 while it is asked nothing."""
        return self.lines.patience

    @property
    def wants_tls(self) -> bool:
        """Tell whether TLS is to begin now."""
        return self.greeting.wants_tls

    @property
    def ready(self) -> bool:
        """Tell whether the relay has let us in, and still does."""
        return self.greeting.ready and not self.over

    @property
    def busy(self) -> bool:
        """Tell whether a mail is on its way."""
        return bool(self._flights)

    @property
    def doubtful(self) -> int:
        """How many mails are between the final dot and its reply."""
        return sum(flight.begun for flight in self._flights)

    def secured(self) -> None:
        """Go on over TLS."""
        self.greeting.secured()
        self.lines.push()

    def receive(self, data: bytes) -> None:
        """Take what the relay said."""
        try:
            for reply in self._replies.feed(data):
                if self.over:
                    return
                self._hear(reply)
            if self.wants_tls and self._replies.rest:
                raise Nonsense("the relay says something in clear behind its STARTTLS")
        except (Nonsense, Unfit) as error:
            self.lost(str(error))
        self.lines.push()

    def lost(self, words: str) -> None:
        """End: the connection is gone, or no good any more. Every mail on its way gets its answer."""
        if self.over:
            return
        self.over = True
        self.trouble = "" if self.greeting.ready else words
        self.fruitless = self.trouble or (words if self._flights and not self.judged else "")
        head = True
        while self._flights:
            flight = self._flights.popleft()
            away = RelayAway(words, on_wire=head and self.lines.welcomed(flight))
            self.suspect |= self.lines.pipelined and not flight.begun and not self.lines.welcomed(flight) and head
            head = False  # what stood behind it was never judged
            self.post.answered(flight.envelope, flight.answer or (Uncertain(words) if flight.begun else away))

    def fill(self) -> None:
        """Take mail where there is room for it."""
        self._fill()
        self.lines.push()

    def retire(self) -> None:
        """Take no further mail, and part once those on their way have their answers."""
        self.mails = MOST_MAILS
        self.part()

    def drain(self) -> None:
        """Begin nothing more: hear what is in doubt, then end."""
        self.draining = True
        if self.greeting.ready and not self.doubtful:
            self._stop()

    def part(self) -> None:
        """Say goodbye, unless a mail is on its way."""
        if self.greeting.ready and not (self.over or self.parting or self.busy):
            self.parting = True
            self.lines.say(Step.QUIT, b"QUIT")
            self.lines.push()

    def _fill(self) -> None:
        while self._has_room() and (envelope := self.post.next()) is not None:
            self._begin(envelope)
        if self.mails >= MOST_MAILS:
            self.part()

    def _has_room(self) -> bool:
        if self.over or self.draining or self.parting or not self.greeting.ready or self.mails >= MOST_MAILS:
            return False
        return not self._flights or (self.ahead and self.lines.pipelined and self._flights[-1].begun)

    def _hear(self, reply: Reply) -> None:
        try:
            step, flight = self.lines.answered()
        except LookupError:  # said unasked: it is about to close
            self.lost(_said(reply))
            return
        if flight is not None:
            self._judge(step, flight, reply)
        elif not self.greeting.ready:
            self.greeting.hear(step, reply)
            if self.greeting.ready:
                self._be_ready()
        elif step is Step.QUIT or reply.code != 250:
            self.lost(_said(reply))

    def _be_ready(self) -> None:
        self.lines.pipelined = self.pipelined and "PIPELINING" in self.greeting.extensions
        if self.draining:
            self._stop()
        else:
            self._fill()

    def _begin(self, envelope: Envelope) -> None:
        """Send the envelope, unless it is plain by now that it cannot go."""
        self.mails += 1
        options = self._options(envelope)
        if not isinstance(options, str):
            self.post.answered(envelope, options)
            return
        flight = Flight(envelope)
        self._flights.append(flight)
        self.lines.say(Step.MAIL, f"MAIL FROM:<{envelope.sender}>{options}".encode(), flight)
        self.lines.say(Step.RCPT, f"RCPT TO:<{envelope.recipient}>".encode(), flight)
        self.lines.say(Step.DATA, b"DATA", flight)

    def _options(self, envelope: Envelope) -> str | Refused:
        offered, options = self.greeting.extensions, ""
        if "SIZE" in offered:
            size, limit = len(envelope.content), offered["SIZE"]
            if limit.isdecimal() and 0 < int(limit) < size:
                return Refused(True, TOO_LARGE, f"5.3.4 The relay takes mails of at most {limit} octets")
            options = f" SIZE={size}"
        if (envelope.sender + envelope.recipient).isascii():
            return options
        if "SMTPUTF8" in offered:
            return f"{options} SMTPUTF8 BODY=8BITMIME"
        if envelope.sender.isascii():
            return Refused(True, 553, "5.6.7 The relay offers no SMTPUTF8, which this address needs")
        return Refused(False, 553, "5.6.7 The relay offers no SMTPUTF8, which the sender's address needs")

    def _judge(self, step: Step, flight: Flight, reply: Reply) -> None:
        code = reply.code
        if step is Step.DOT:
            self._conclude(flight, reply)
        elif step is Step.DATA and code == 354:
            self._content(flight)
        elif code == CLOSING or code < 250:
            flight.answer = flight.answer or RelayAway(_said(reply), on_wire=step is not Step.MAIL)
            self.lost(_said(reply))
        elif flight.answer is None and (step is Step.DATA or code not in (250, 251)):
            self._refuse(step, flight, reply)
        elif step is Step.DATA:
            self._settle(flight, reset=True)

    def _refuse(self, step: Step, flight: Flight, reply: Reply) -> None:
        """Judge a refusal before the content."""
        code = reply.code
        lasting = code >= 500 and code not in LOGIN_WANTED
        if code < 400 or (step is Step.MAIL and not lasting):
            flight.answer = RelayAway(_said(reply), on_wire=step is not Step.MAIL)
            self.lost(_said(reply))
            return
        about_sender = step is Step.MAIL and code != TOO_LARGE  # other newsrooms' mail goes on
        flight.answer = Refused(lasting and not about_sender, code, reply.words)
        if self.lines.forget(flight):
            self._settle(flight, reset=True)

    def _content(self, flight: Flight) -> None:
        if flight.answer is not None:  # a relay that waits for content though it took no recipient gets none
            self.lines.say(Step.DOT, b".", flight)
        elif self.draining or not self.post.may_begin(flight.envelope):
            self._stop()  # 354 was said: only closing the connection takes it back
        else:
            flight.begun = True
            self.lines.say(Step.DOT, flight.envelope.content, flight)
            self._fill()

    def _conclude(self, flight: Flight, reply: Reply) -> None:
        """Judge the reply to the dot: 421 is an answer too, and the last one."""
        code = reply.code
        if flight.answer is None and code // 100 == 2:
            flight.answer = Accepted(code, reply.words)
        elif flight.answer is None and code >= 400:
            flight.answer = Refused(code >= 500, code, reply.words)
        if flight.answer is None or code == CLOSING:
            self.judged += flight.answer is not None
            self.lost(_said(reply))
        else:
            self._settle(flight)

    def _settle(self, flight: Flight, *, reset: bool = False) -> None:
        """Tell what became of a mail, and go on."""
        assert flight.answer is not None  # noqa: S101 - it is judged
        self._flights.remove(flight)
        self.judged += 1
        if reset:
            self.lines.say(Step.RSET, b"RSET")
        self.post.answered(flight.envelope, flight.answer)
        if self.draining and not self.doubtful:
            self._stop()
        else:
            self._fill()

    def _stop(self) -> None:
        for flight in self._flights:
            if not flight.begun:
                flight.answer = flight.answer or NotBegun()
        self.lost("")


def dotted(content: bytes) -> bytes:
    """Return the message as DATA sends it, without its last line end: dots stuffed, the final dot behind it.

    See RFC 5321 §4.5.2.
    """
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    stuffed = b"." + stuffed if stuffed.startswith(b".") else stuffed
    return stuffed + (b"." if stuffed.endswith(b"\r\n") else b"\r\n.")


def _said(reply: Reply) -> str:
    return f"{reply.code} {reply.words}"

"""The beginning of a session: greeting, EHLO, TLS, AUTH."""

from base64 import b64encode

from service.smtp.lines import Lines, Step
from service.smtp.relay import Relay
from service.smtp.replies import Reply


class Unfit(Exception):
    """The relay cannot be used like this; the text says why."""


class Greeting:
    """Says what comes before the first mail. `ready`: mail may go. `wants_tls`: wrap the connection, then `secured`."""

    def __init__(self, relay: Relay, lines: Lines) -> None:
        self.relay, self.lines = relay, lines
        self.ready = self.wants_tls = False
        self.secure = relay.security == "smtps"
        self.extensions: dict[str, str] = {}
        self._login: list[bytes] = []

    def secured(self) -> None:
        """Go on over TLS: whatever was said in clear does not count (RFC 3207 §4.2)."""
        self.wants_tls, self.secure = False, True
        self.extensions = {}
        self._hello(Step.EHLO)

    def hear(self, step: Step, reply: Reply) -> None:
        """Go on by a reply; raise Unfit."""
        match step, reply.code:
            case Step.GREETING, 220:
                self._hello(Step.EHLO)
            case Step.EHLO, 250:
                self._learn(reply)
                self._next()
            case Step.EHLO, code if 500 <= code < 600:  # a relay of before 1993, or a proxy
                self._hello(Step.HELO)
            case Step.HELO, 250:
                self._next()
            case Step.STARTTLS, 220:
                self.wants_tls = True
            case Step.AUTH, 235:
                self.ready = True
            case Step.AUTH, 334 if self._login:
                self.lines.say(Step.AUTH, b64encode(self._login.pop(0)))
            case _:
                raise Unfit(f"{reply.code} {reply.words}")

    def _hello(self, step: Step) -> None:
        self.lines.say(step, f"{step.name} {self.relay.helo}".encode())

    def _learn(self, reply: Reply) -> None:
        for line in reply.lines[1:]:
            name, _, given = line.decode("ascii", "replace").strip().partition(" ")
            self.extensions[name.upper()] = given.strip()

    def _next(self) -> None:
        """Do what comes before the first mail."""
        if self.relay.security == "smtp+starttls" and not self.secure:
            if "STARTTLS" not in self.extensions:
                raise Unfit("the relay offers no STARTTLS")
            self.lines.say(Step.STARTTLS, b"STARTTLS")
        elif self.relay.user:
            self._log_in()
        else:
            self.ready = True

    def _log_in(self) -> None:
        user, password = self.relay.user.encode(), self.relay.password.encode()
        offered = self.extensions.get("AUTH", "").upper().split()
        if "PLAIN" in offered:
            self.lines.say(Step.AUTH, b"AUTH PLAIN " + b64encode(b"\0" + user + b"\0" + password))
        elif "LOGIN" in offered:
            self._login = [user, password]
            self.lines.say(Step.AUTH, b"AUTH LOGIN")
        else:
            raise Unfit("the relay offers neither AUTH PLAIN nor AUTH LOGIN")

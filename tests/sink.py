"""A real SMTP server for tests and benchmarks: it takes every mail, notes it, and misbehaves when told to.

As a process: `python tests/sink.py --log FILE [--port N] [--keep DIR] …`. It says its port on one line. One
line of tab-separated fields is in the log before the final dot is answered. With `--control`, each line on
standard input is a JSON object of behaviours (see `Behaviour`), answered by "ok"; its end stops the sink.

A recipient's local part can ask for a behaviour too: `refuse550-x`, `defer450-x` (the reply to RCPT, any
code), `defer450once-x` (the first time only), `hang-x`, `drop-x` (at RCPT), `drop-before-dot-x`,
`drop-after-dot-x`, `drop-after-dot-once-x`, `dot552-x` (the reply to the final dot).
"""

import argparse
import asyncio
import base64
import json
import os
import re
import signal
import ssl
import sys
import time
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

MESSAGE_ID = re.compile(rb"^message-id:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
PATH = re.compile(rb"<([^>]*)>")
ASKED = re.compile(
    r"(?P<what>refuse|defer|hang|dot|drop-before-dot|drop-after-dot|drop)(?P<code>\d{3})?(?P<once>-?once)?-"
)


@dataclass
class Behaviour:
    """What the sink does just now; a reply is a line like "451 4.3.0 busy", empty for the usual one."""

    delay_ms: float = 0
    listen: bool = True
    banner: str = ""
    most: int = 0
    """Connections taken at a time; further ones get 421."""
    mail: str = ""
    rcpt: str = ""
    data: str = ""
    dot: str = ""
    hang: str = ""
    drop: str = ""
    drop_at: int = 0
    """Log the mail of this number, then drop its connection unanswered."""
    auth: str = ""
    starttls: bool = False
    smtputf8: bool = True


@dataclass
class Shared:
    """What all connections have in common."""

    behaviour: Behaviour
    log: int
    keep: Path | None
    tls: ssl.SSLContext | None
    connections: set["Connection"]
    opened: int = 0
    mails: int = 0
    seen_once: frozenset[str] = frozenset()


class Connection(asyncio.Protocol):
    """One client: lines in, replies out in order, pipelining welcome."""

    transport: asyncio.Transport

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.buffer = bytearray()
        self.replies: list[bytes] = []
        self.waiting = False
        self.secure = False
        self.authenticated = False
        self.dialogue: str = ""
        self.reset()
        self.in_data = False
        self.scanned = 0

    def reset(self) -> None:
        """Forget the envelope."""
        self.sender: bytes | None = None
        self.recipients: list[bytes] = []
        self.asked: set[tuple[str, str]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, once: TLS after STARTTLS comes here again."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self.secure:
            return
        self.shared.opened += 1
        self.number = f"{os.getpid()}-{self.shared.opened}"
        self.shared.connections.add(self)
        most = self.shared.behaviour.most
        crowded = 0 < most < len(self.shared.connections)
        banner = self.shared.behaviour.banner or ("421 4.7.0 too many connections" if crowded else "")
        if self.shared.behaviour.hang == "connect":
            self.waiting = True
            return
        transport.write((banner or "220 sink.example.org ESMTP").encode() + b"\r\n")
        if banner[:1] in ("4", "5"):
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.waiting = True
        self.shared.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.work()

    def work(self) -> None:
        """Take what is complete in the buffer, then send all replies at once."""
        while not self.waiting and (self.take_message() if self.in_data else self.take_line()):
            pass
        if self.replies and not self.transport.is_closing():
            self.transport.write(b"".join(self.replies))
        self.replies.clear()

    def take_line(self) -> bool:
        end = self.buffer.find(b"\n")
        if end < 0:
            return False
        line = bytes(self.buffer[:end]).rstrip(b"\r")
        del self.buffer[: end + 1]
        if self.dialogue:
            self.auth_answer(line)
            return True
        verb = line[:4].upper().decode("latin-1")
        if self.misbehaves(verb.lower()):
            return False
        handler = getattr(self, f"on_{verb.lower()}", None)
        if handler is None:
            self.reply(b"500 5.5.1 what?")
        else:
            handler(line)
        return True

    def misbehaves(self, step: str) -> bool:
        """Hang or drop at this step, where the behaviour says so."""
        if self.shared.behaviour.hang == step:
            self.waiting = True
        if self.shared.behaviour.drop == step:
            self.drop()
        return self.waiting

    def drop(self) -> None:
        """End the connection without another word."""
        if self.replies:
            self.transport.write(b"".join(self.replies))
            self.replies.clear()
        self.waiting = True
        self.transport.close()

    def reply(self, line: bytes) -> None:
        self.replies.append(line + b"\r\n")

    def on_ehlo(self, _line: bytes) -> None:
        self.reset()
        behaviour = self.shared.behaviour
        offers = ["sink.example.org", "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SIZE 52428800"]
        offers += ["SMTPUTF8"] if behaviour.smtputf8 else []
        offers += ["STARTTLS"] if behaviour.starttls and not self.secure else []
        offers += ["AUTH PLAIN LOGIN"] if behaviour.auth and (self.secure or not behaviour.starttls) else []
        last = len(offers) - 1
        for index, offer in enumerate(offers):
            self.reply(f"250{' ' if index == last else '-'}{offer}".encode())

    def on_helo(self, _line: bytes) -> None:
        self.reply(b"250 sink.example.org")

    def on_noop(self, _line: bytes) -> None:
        self.reply(b"250 2.0.0 ok")

    def on_rset(self, _line: bytes) -> None:
        self.reset()
        self.reply(b"250 2.0.0 ok")

    def on_quit(self, _line: bytes) -> None:
        self.reply(b"221 2.0.0 bye")
        self.drop()

    def on_star(self, _line: bytes) -> None:
        if self.shared.tls is None or self.secure:
            self.reply(b"502 5.5.1 no TLS here")
            return
        self.waiting = True
        self.transport.write(b"220 2.0.0 go ahead\r\n")
        task = asyncio.get_running_loop().create_task(self.start_tls(self.shared.tls))
        task.add_done_callback(lambda done: None if done.cancelled() else done.exception())

    async def start_tls(self, context: ssl.SSLContext) -> None:
        self.buffer.clear()
        self.secure = True
        loop = asyncio.get_running_loop()
        transport = await loop.start_tls(self.transport, self, context, server_side=True)
        assert transport is not None
        self.transport = transport
        self.waiting = False
        self.work()

    def on_auth(self, line: bytes) -> None:
        words = line.decode("latin-1").split()
        mechanism = words[1].upper() if len(words) > 1 else ""
        if mechanism == "PLAIN" and len(words) == 3:
            self.check_plain(words[2])
        elif mechanism == "LOGIN" and len(words) == 3:
            self.dialogue = "LOGIN"
            self.auth_answer(words[2].encode())
        elif mechanism in ("PLAIN", "LOGIN"):
            self.dialogue = mechanism
            self.reply(b"334 VXNlcm5hbWU6" if mechanism == "LOGIN" else b"334 ")
        else:
            self.reply(b"504 5.5.4 PLAIN or LOGIN")

    def auth_answer(self, line: bytes) -> None:
        if self.dialogue == "PLAIN":
            self.dialogue = ""
            self.check_plain(line.decode("latin-1"))
        elif self.dialogue == "LOGIN":
            self.dialogue = "LOGIN " + base64.b64decode(line).decode()
            self.reply(b"334 UGFzc3dvcmQ6")
        else:
            user = self.dialogue.removeprefix("LOGIN ")
            self.dialogue = ""
            self.check(user, base64.b64decode(line).decode())

    def check_plain(self, encoded: str) -> None:
        _, user, password = base64.b64decode(encoded).decode().split("\0")
        self.check(user, password)

    def check(self, user: str, password: str) -> None:
        self.authenticated = f"{user}:{password}" == self.shared.behaviour.auth
        self.reply(b"235 2.7.0 welcome" if self.authenticated else b"535 5.7.8 wrong user or password")

    def on_mail(self, line: bytes) -> None:
        behaviour = self.shared.behaviour
        if behaviour.starttls and not self.secure:
            self.reply(b"530 5.7.0 STARTTLS first")
        elif behaviour.auth and not self.authenticated:
            self.reply(b"530 5.7.0 authenticate first")
        elif behaviour.mail:
            self.reply(behaviour.mail.encode())
        else:
            self.reset()
            self.sender = path_of(line)
            self.reply(b"250 2.1.0 ok")

    def on_rcpt(self, line: bytes) -> None:
        recipient = path_of(line)
        asked = self.asked_by(recipient.decode("utf-8", "replace"))
        what, code = asked or ("", "")
        if self.sender is None:
            self.reply(b"503 5.5.1 MAIL first")
        elif self.shared.behaviour.rcpt:
            self.reply(self.shared.behaviour.rcpt.encode())
        elif what in ("refuse", "defer"):
            said = code or ("550" if what == "refuse" else "450")
            self.reply(f"{said} {said[0]}.1.1 <{recipient.decode('utf-8', 'replace')}> as you asked".encode())
        elif what == "hang":
            self.waiting = True
        elif what == "drop":
            self.drop()
        else:
            if asked:
                self.asked.add(asked)
            self.recipients.append(recipient)
            self.reply(b"250 2.1.5 ok")

    def asked_by(self, recipient: str) -> tuple[str, str] | None:
        """Return what a recipient's local part asks for and the reply code in it."""
        match = ASKED.match(recipient)
        if match is None or recipient in self.shared.seen_once:
            return None
        if match["once"]:
            self.shared.seen_once |= {recipient}
        return match["what"], match["code"] or ""

    def on_data(self, _line: bytes) -> None:
        if self.shared.behaviour.data:
            self.reply(self.shared.behaviour.data.encode())
        elif not self.recipients:
            self.reply(b"554 5.5.1 no valid recipients")
        else:
            self.in_data = True
            self.scanned = 0
            self.reply(b"354 go on")

    def take_message(self) -> bool:
        if self.buffer and ("drop-before-dot", "") in self.asked:
            self.drop()
            return False
        if self.buffer.startswith(b".\r\n"):
            end, length = 0, 3
        else:
            end, length = self.buffer.find(b"\r\n.\r\n", self.scanned), 5
        if end < 0:
            self.scanned = max(0, len(self.buffer) - 4)
            return False
        content = bytes(self.buffer[: end + 2 if length == 5 else 0])
        del self.buffer[: end + length]
        self.in_data = False
        self.answer_dot(content)
        return True

    def answer_dot(self, content: bytes) -> None:
        behaviour = self.shared.behaviour
        asked = dict(self.asked)
        said = behaviour.dot or (f"{asked['dot'] or 552} 5.3.4 as you asked" if "dot" in asked else "")
        if not said:
            self.note(content)
        due = not said and behaviour.drop_at and self.shared.mails == behaviour.drop_at
        if "drop-after-dot" in asked or due:
            self.drop()
        elif not self.misbehaves("dot"):
            self.reset()
            said = said or f"250 2.0.0 taken as {self.shared.mails}"
            self.answer_after(behaviour.delay_ms / 1000, said.encode())

    def answer_after(self, delay: float, line: bytes) -> None:
        if not delay:
            self.reply(line)
            return
        self.waiting = True
        asyncio.get_running_loop().call_later(delay, self.answer_late, line)

    def answer_late(self, line: bytes) -> None:
        self.waiting = False
        self.reply(line)
        self.work()

    def note(self, content: bytes) -> None:
        """Write the mail's line: by the time the client reads our reply, the log has it."""
        shared = self.shared
        shared.mails += 1
        head = content[: content.find(b"\r\n\r\n") + 2]
        found = MESSAGE_ID.search(head)
        kept = b""
        if shared.keep is not None:
            path = shared.keep / f"{os.getpid()}-{shared.mails:06d}.eml"
            path.write_bytes(content.replace(b"\r\n..", b"\r\n.").removeprefix(b"."))
            kept = str(path).encode()
        recipients = b",".join(self.recipients)
        message_id = found[1] if found else b""
        start = f"{time.time():.6f}\t{self.number}\t".encode()
        os.write(shared.log, start + b"\t".join((self.sender or b"", recipients, message_id, kept)) + b"\n")


def path_of(line: bytes) -> bytes:
    """Return the address between the angle brackets."""
    found = PATH.search(line)
    return found[1] if found else b""


class Control:
    """Changes the behaviour while the sink runs."""

    def __init__(self, shared: Shared, host: str, port: int, implicit_tls: bool) -> None:
        self.shared = shared
        self.host, self.port = host, port
        self.context = shared.tls if implicit_tls else None
        self.server: asyncio.Server | None = None
        self.stopped = asyncio.Event()

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        make = partial(Connection, self.shared)
        self.server = await loop.create_server(make, self.host, self.port, ssl=self.context, backlog=512)
        self.port = self.server.sockets[0].getsockname()[1]

    async def obey(self, line: bytes) -> None:
        for name, value in json.loads(line).items():
            setattr(self.shared.behaviour, name, value)
        if not self.shared.behaviour.listen and self.server is not None:
            self.server.close()
            self.server = None
            for connection in list(self.shared.connections):
                connection.transport.abort()
        elif self.shared.behaviour.listen and self.server is None:
            await self.listen()

    async def follow(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            await self.obey(line)
            sys.stdout.write("ok\n")
            sys.stdout.flush()
        self.stopped.set()


async def serve(options: argparse.Namespace) -> None:
    """Listen until told to stop."""
    tls = None
    if options.cert:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(options.cert)
    behaviour = Behaviour(**json.loads(options.behaviour))
    unknown = set(json.loads(options.behaviour)) - {field.name for field in fields(Behaviour)}
    assert not unknown, unknown
    log = os.open(options.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    shared = Shared(behaviour, log, Path(options.keep) if options.keep else None, tls, set())
    control = Control(shared, options.host, options.port, options.tls)
    await control.listen()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, control.stopped.set)
    sys.stdout.write(f"{control.port}\n")
    sys.stdout.flush()
    if options.control:
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        following = loop.create_task(control.follow(reader))
        following.add_done_callback(lambda _: control.stopped.set())
    await control.stopped.wait()


def main() -> None:
    """Run the sink as a process."""
    parser = argparse.ArgumentParser(description="A real SMTP server that takes every mail and notes it.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", required=True, help="time, connection, from, to, Message-ID, file of each mail")
    parser.add_argument("--keep", default="", help="a directory for whole messages")
    parser.add_argument("--cert", default="", help="certificate and key, PEM, for STARTTLS or --tls")
    parser.add_argument("--tls", action="store_true", help="TLS from the first byte")
    parser.add_argument("--behaviour", default="{}", help="JSON, see Behaviour")
    parser.add_argument("--control", action="store_true", help="read behaviours from standard input")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()

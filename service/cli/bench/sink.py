"""The built-in sink: an SMTP server that takes every mail and notes when and for whom.

`python -m service.cli.bench.sink --port N --log FILE [--delay SECONDS]`. A line in the log is a moment (Unix time)
and a recipient, taken just before the final dot is answered. `--delay` is how long that answer waits, on each
connection by itself, as a real relay waits for its disk.
"""

import argparse
import asyncio
import signal
from functools import partial
from pathlib import Path
from time import time

FLUSH = 0.1
"""Seconds after which what came is in the log."""
OFFERS = b"250-sink.example.org\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 52428800\r\n"
ANSWERS = {
    b"EHLO": OFFERS,
    b"HELO": b"250 sink.example.org\r\n",
    b"MAIL": b"250 2.1.0 ok\r\n",
    b"RCPT": b"250 2.1.5 ok\r\n",
    b"DATA": b"354 go on\r\n",
    b"RSET": b"250 2.0.0 ok\r\n",
    b"NOOP": b"250 2.0.0 ok\r\n",
    b"QUIT": b"221 2.0.0 bye\r\n",
}
TAKEN = b"250 2.0.0 taken\r\n"
END = b"\r\n.\r\n"


class Log:
    """What came, written down every now and then: a write for each mail would cost as much as taking it."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("ab", buffering=0)
        self.lines: list[bytes] = []

    def note(self, recipient: bytes) -> None:
        """Note a mail."""
        self.lines.append(b"%.6f\t%s\n" % (time(), recipient))

    def flush(self) -> None:
        """Write down what came."""
        if self.lines:
            self.file.write(b"".join(self.lines))
            self.lines.clear()


class Connection(asyncio.Protocol):
    """One client: commands in, answers out in order, pipelined or not."""

    transport: asyncio.Transport

    def __init__(self, log: Log, delay: float) -> None:
        self.log, self.delay = log, delay
        self.coming = bytearray()
        self.going = bytearray()
        self.recipient = b""
        self.in_message = self.waiting = False
        self.searched = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a TCP server's is
        self.transport = transport
        transport.write(b"220 sink.example.org ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self.coming += data
        self._work()

    def _work(self) -> None:
        while not self.waiting and (self._message() if self.in_message else self._command()):
            pass
        if self.going and not self.transport.is_closing():
            self.transport.write(bytes(self.going))
            self.going.clear()

    def _command(self) -> bool:
        line, end, rest = self.coming.partition(b"\n")
        if not end:
            return False
        self.coming = rest
        verb = bytes(line[:4]).upper()
        if verb == b"RCPT":
            self.recipient = bytes(line[line.find(b"<") + 1 : line.rfind(b">")])
        self.in_message, self.searched = verb == b"DATA", 0
        self.going += ANSWERS.get(verb, b"500 5.5.1 what?\r\n")
        if verb == b"QUIT":
            self.transport.write(bytes(self.going))
            self.going.clear()
            self.transport.close()
        return verb != b"QUIT"

    def _message(self) -> bool:
        end = self.coming.find(END, self.searched)
        if end < 0:
            self.searched = max(0, len(self.coming) - len(END) + 1)
            return False
        del self.coming[: end + len(END)]
        self.in_message = False
        if self.delay:
            self.waiting = True
            asyncio.get_running_loop().call_later(self.delay, self._late)
        else:
            self._take()
        return True

    def _late(self) -> None:
        self.waiting = False
        self._take()
        self._work()

    def _take(self) -> None:
        self.log.note(self.recipient)
        self.going += TAKEN


async def serve(port: int, log: Log, delay: float) -> None:
    """Take mail until SIGTERM."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    await loop.create_server(partial(Connection, log, delay), "127.0.0.1", port, backlog=1024)
    while not stopped.is_set():
        try:
            await asyncio.wait_for(stopped.wait(), FLUSH)
        except TimeoutError:
            log.flush()
    log.flush()


def main() -> None:
    """Run the sink."""
    asked = argparse.ArgumentParser(description="An SMTP server that takes every mail and notes when and for whom.")
    asked.add_argument("--port", type=int, required=True)
    asked.add_argument("--log", type=Path, required=True)
    asked.add_argument("--delay", type=float, default=0.0)
    given = asked.parse_args()
    asyncio.run(serve(given.port, Log(given.log), given.delay))


if __name__ == "__main__":
    main()

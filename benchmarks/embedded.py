"""How fast the embedded default mails a release, and how much memory each process takes for it.

The whole path is measured, from the publish command to the last mail accepted, through the Procfile's
processes on SQLite and Valkey, against a sink on this machine. A naive sender (Jinja, EmailMessage and
smtplib on one kept connection, no ledger) runs before and after: compare the ratio, not the seconds.
"""

import argparse
import smtplib
import sys
import tempfile
import time
from email.message import EmailMessage
from pathlib import Path

from jinja2 import Template

from tests.conftest import Backend
from tests.servers import Broker, Sink
from tests.stack import Stack
from tests.workers.mailing import Mailing

PAGE = Template("<html><body><h1>{{ headline }}</h1>{% for p in paragraphs %}<p>{{ p }}</p>{% endfor %}</body></html>")
PARAGRAPHS = ["Från och med måndag är badet öppet för alla, varje dag. " * 4] * 20


def naive(sink: Sink, mails: int) -> float:
    """Send mails as a simple script would; return mails a second."""
    began = time.perf_counter()
    with smtplib.SMTP("127.0.0.1", sink.port) as wire:
        for number in range(mails):
            message = EmailMessage()
            message["From"], message["To"] = "badet@example.org", f"n{number}@example.org"
            message["Subject"] = "Badet öppnar på måndag"
            message.set_content("\n\n".join(PARAGRAPHS))
            message.add_alternative(PAGE.render(headline="Badet öppnar", paragraphs=PARAGRAPHS), subtype="html")
            wire.send_message(message)
    return mails / (time.perf_counter() - began)


def memory(pid: int) -> int:
    """Return a process's peak memory in MB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--followers", type=int, default=10_000)
    asked.add_argument("--naive", type=int, default=1_000, help="mails of the naive sender, before and after")
    given = asked.parse_args()
    sink, broker = Sink(keep=False), Broker()
    with tempfile.TemporaryDirectory() as folder:
        url = Backend(Path(folder), None).fresh()
        usual = {"lease": 30, "sweep_every": 5, "smtp_timeout": 60}
        with Stack(Path(folder) / "stack", url, broker, sink, **usual) as stack:
            mailing = Mailing(stack, given.followers)
            before = naive(sink, given.naive)
            stack.start()
            sink.clear()
            began = time.perf_counter()
            mailing.publish()
            mailing.finish(timeout=given.followers / 20 + 60)
            speed = given.followers / (time.perf_counter() - began)
            mailing.check(duplicates=0)
            peaks = {name: memory(process.pid) for name, process in stack.processes.items()}
        after = naive(sink, given.naive)
    sink.close()
    broker.close()
    baseline = (before + after) / 2
    sys.stdout.write(f"{given.followers:,} mails, books balanced: {speed:,.0f} mails/s from publish to finished\n")
    ratio = speed / baseline
    sys.stdout.write(f"naive sender, no ledger: {before:,.0f} before, {after:,.0f} after; ratio {ratio:.2f}\n")
    sys.stdout.write("peak memory, MB: " + ", ".join(f"{name} {peak}" for name, peak in peaks.items()) + "\n")


if __name__ == "__main__":
    main()

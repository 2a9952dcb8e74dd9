"""What the courier reaches without the ledger: the release's mail joined and handed over, and nothing written down.

`python -m service.cli.bench.courier_alone PORT MAILS CONNECTIONS` sends it and prints its lap.
"""

import sys
from collections import deque

from service import mail
from service.cli.bench import press
from service.cli.bench.installation import SITE
from service.cli.bench.lap import Follower, followers, timed
from service.cli.bench.process import Broken
from service.cli.bench.relays import HOST
from service.mail import Compiled
from service.smtp import Accepted, Answer, Courier, Envelope, Pace, dotted, relay_of

TIMEOUT = 60.0


class Mails:
    """The mails, given to the courier one by one (a `Post`, see service/smtp/courier.py)."""

    def __init__(self, compiled: Compiled, everyone: list[Follower]) -> None:
        self.sender, self.form = compiled.sender, mail.form(dotted(compiled.content))
        self.everyone = deque(everyone)
        self.left = len(everyone)
        self.octets = 0

    @property
    def waiting(self) -> int:
        """Return how many there are to send."""
        return len(self.everyone)

    def next(self) -> Envelope | None:
        """Join the next mail."""
        if not self.everyone:
            return None
        one = self.everyone.popleft()
        content = self.form.fill(address=one.address, public_id=one.public_id, leave_token=one.leave_token)
        self.octets = len(content)
        return Envelope(len(self.everyone), self.sender, one.address, content)

    def may_begin(self, envelope: Envelope) -> bool:  # noqa: ARG002 - a Post
        """Every mail may go."""
        return True

    def answered(self, envelope: Envelope, answer: Answer) -> None:  # noqa: ARG002
        """Count it; the sink takes every mail."""
        if not isinstance(answer, Accepted):
            raise Broken(f"the sink did not take a mail: {answer}")
        self.left -= 1


def send(mails: Mails, port: int, connections: int) -> int:
    """Hand all mails over and return the octets of the last."""
    relay = relay_of(f"smtp://{HOST}:{port}", timeout=TIMEOUT, helo=SITE.removeprefix("https://"))
    with Courier(relay, Pace(connections)) as courier:
        courier.serve(mails)
        while mails.left:
            courier.turn(TIMEOUT)
            if courier.away:
                raise Broken(f"the sink is away: {courier.away}")
    return mails.octets


def main(port: int, count: int, connections: int) -> None:
    """Send and print the lap."""
    mails = Mails(press.compiled(), followers(count))
    sys.stdout.write(f"{timed(count, lambda: send(mails, port, connections))}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

"""How fast the relay takes our mail: fewer connections and a growing pause where it asks for that, and back again.

A relay that is short of something says so by 421, 450, 451, 452 or 454 (RFC 5321 §4.2.3, RFC 3463 §3.5). One such
reply may be about its recipient (a full mailbox, greylisting); several on end are about us.
"""

from time import monotonic

from service.smtp.answers import Accepted, Answer, Refused

CLOSING = 421
THROTTLING = (CLOSING, 450, 451, 452, 454)
ON_END = 3
"""So many such replies with no mail accepted between them mean that we are too fast."""

SHORTEST, LONGEST = 0.1, 10.0
"""Seconds between two mails, while there is a pause at all."""

FEWEST_AT_ONCE, MOST_AT_ONCE = 50, 20_000
"""Mails that are claimed at once."""

CALM = 50
"""Mails accepted, or seconds passed, before it opens a further connection."""


class Pace:
    """The connections that may be open, and the pause between two mails in seconds (0: none).

    `in_vain`: how many connections on end got no mail judged.
    """

    def __init__(self, most: int) -> None:
        """Begin at full speed: `most` connections."""
        self.most = self.connections = most
        self.pause = 0.0
        self.in_vain = 0
        self._next_at = 0.0
        self._put_off = 0
        self._accepted = 0
        self._stepped_at = monotonic()
        self._speed = 200.0

    def worth(self, seconds: float) -> int:
        """Return how many mails are so many seconds of work at the present speed."""
        return min(max(int(self._speed * seconds), FEWEST_AT_ONCE), MOST_AT_ONCE)

    def measured(self, mails: int, seconds: float) -> None:
        """Learn how long so many mails took."""
        if mails >= FEWEST_AT_ONCE:
            self._speed = mails / max(seconds, 0.001)

    @property
    def slowed(self) -> bool:
        """Tell whether it is slower than it could be."""
        return self.pause > 0 or self.connections < self.most

    def may_take(self) -> bool:
        """Take the turn to begin a mail, where the pause after the last one is over."""
        if not self.pause:
            return True
        moment = monotonic()
        if moment < self._next_at:
            return False
        self._next_at = moment + self.pause
        return True

    def heard(self, answer: Answer) -> None:
        """Learn from what became of a mail."""
        if isinstance(answer, Accepted):
            self._put_off = self.in_vain = 0
            if self.slowed:
                self._recover()
        elif isinstance(answer, Refused):
            self.in_vain = 0
            if answer.code in THROTTLING:
                self._put_off += 1
                if self._put_off >= ON_END or answer.code == CLOSING:
                    self.slow_down()

    def slow_down(self) -> None:
        """Halve the connections; with one left, double the pause."""
        self._put_off = self._accepted = 0
        self._stepped_at = monotonic()
        if self.connections > 1:
            self.connections //= 2
        else:
            self.pause = min(max(2 * self.pause, SHORTEST), LONGEST)

    def crowded(self, open_ones: int) -> None:
        """Learn that the relay takes no more connections than these."""
        self.connections = max(1, min(self.connections, open_ones))
        self._accepted = 0
        self._stepped_at = monotonic()

    def _recover(self) -> None:
        """Halve the pause with each mail; then open a further connection now and then."""
        if self.pause:
            self.pause = self.pause / 2 if self.pause > SHORTEST else 0.0
            return
        self._accepted += 1
        if self._accepted >= CALM or monotonic() > self._stepped_at + CALM:
            self._accepted, self._stepped_at = 0, monotonic()
            self.connections += 1

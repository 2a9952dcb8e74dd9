"""A dispatch under way on an installation of the test's own, and what must be true of it in the end."""

from collections import Counter

from tests.journeys.people import Room, room
from tests.stack import Stack

ENDINGS = "CREATE TABLE endings (pending integer NOT NULL)"
NOTE = """INSERT INTO endings SELECT count(*) FROM deliveries
 WHERE dispatch_id = NEW.id AND state IN ('queued', 'claimed', 'deferred')"""
WHEN = "AFTER UPDATE OF state, finished_at ON dispatches FOR EACH ROW WHEN (NEW.state = 'finished')"
WATCH_SQLITE = (f"CREATE TRIGGER ending {WHEN} BEGIN {NOTE}; END",)
QUOTED = NOTE.replace("'", "''")
FUNCTION = "CREATE FUNCTION note_ending() RETURNS trigger LANGUAGE plpgsql AS"
WATCH_POSTGRESQL = (
    f"{FUNCTION} 'BEGIN {QUOTED}; RETURN NULL; END'",
    f"CREATE TRIGGER ending {WHEN} EXECUTE FUNCTION note_ending()",
)


class Mailing:
    """One release mailed to many, whose books are read straight from the rows: that is quick."""

    def __init__(self, stack: Stack, followers: int) -> None:
        self.stack = stack
        self.bath: Room = room(stack)
        self.followers = [f"f{n}@example.org" for n in range(followers)]
        self.bath.import_followers(*self.followers)
        self.dispatch = 0

    def publish(self) -> None:
        """Publish the release and come back at once."""
        self.dispatch = int(str(self.bath.publish("storm")["dispatch"]))

    def state(self) -> str:
        """Return the dispatch's state."""
        found = self.stack.value("SELECT state FROM dispatches WHERE id = :id", id=self.dispatch)
        return str(found)

    def counts(self) -> dict[str, int]:
        """Return the number of rows in each state."""
        sql = "SELECT state, count(*) AS n FROM deliveries WHERE dispatch_id = :id GROUP BY state"
        return {row["state"]: row["n"] for row in self.stack.rows(sql, id=self.dispatch)}

    def pending(self) -> int:
        """Return how many are still to come."""
        counts = self.counts()
        return sum(counts.get(state, 0) for state in ("queued", "claimed", "deferred"))

    def finish(self, timeout: float = 90) -> None:
        """Wait until the dispatch is finished."""
        self.stack.wait(lambda: self.state() == "finished", timeout, f"finished; {self.counts()}")

    def watch(self) -> None:
        """Let the database itself note each time that a dispatch is called finished, and what was pending then."""
        sqlite = self.stack.database_url.startswith("sqlite")
        for statement in (ENDINGS, *(WATCH_SQLITE if sqlite else WATCH_POSTGRESQL)):
            self.stack.write(statement)

    def endings(self) -> list[int]:
        """Return how many were pending each time that the dispatch became finished."""
        return [row["pending"] for row in self.stack.rows("SELECT pending FROM endings")]

    def duplicates(self) -> int:
        """Return how many mails the relay took more than once; each of them under one Message-ID."""
        log = self.stack.sink.log()
        times = Counter(mail.recipient for mail in log)
        ids = {(mail.recipient, mail.message_id) for mail in log}
        assert len(ids) == len(times), "somebody got the release under two Message-IDs"
        return sum(times.values()) - len(times)

    def check(self, *, lost: int = 0, duplicates: int) -> None:
        """See that the books are the sink's log: nobody without a mail, doubles only where a row says uncertain."""
        recipients = {mail.recipient for mail in self.stack.sink.log()}
        assert len(set(self.followers) - recipients) == lost
        assert self.duplicates() <= duplicates
        rows = self.stack.rows(
            "SELECT s.address, d.state, d.public_id, d.uncertain_events FROM deliveries d"
            " JOIN subscriptions s ON s.id = d.subscription_id WHERE d.dispatch_id = :id",
            id=self.dispatch,
        )
        assert {row["address"] for row in rows if row["state"] == "accepted"} == recipients
        sent = Counter(mail.message_id.strip("<>").split("@")[0] for mail in self.stack.sink.log())
        for row in rows:
            assert sent[row["public_id"]] <= 1 + row["uncertain_events"], row
        books = self.bath.books(self.dispatch)
        assert (books["recipients"], books["pending"]) == (len(self.followers), 0)
        assert books["accepted"] == len(self.followers) - lost

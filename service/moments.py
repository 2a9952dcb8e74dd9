"""Times as people write them: local to a newsroom's zone, or with an offset."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


class BadMoment(Exception):
    """A time that cannot be meant; the text says why and offers the alternatives.

    Codes: unreadable, far, twice, never, past. `choices`: what may be meant, as `parse` takes them.
    """

    def __init__(self, code: str, line: str, *choices: str) -> None:
        super().__init__(line)
        self.code, self.choices = code, choices


def parse(text: str, zone: str) -> datetime:
    """Return the UTC moment of an ISO 8601 time; raise BadMoment for one that is malformed, skipped or ambiguous."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        line = f"{text!r} is not a time; write it like 2026-03-01 09:30 or 2026-03-01T09:30+01:00"
        raise BadMoment("unreadable", line) from None
    if not 1900 <= found.year <= 2999:  # beyond, other zones may have no date for it
        raise BadMoment("far", f"{text!r} is too far away; write a year from 1900 to 2999")
    if found.tzinfo is not None:
        return found.astimezone(UTC)
    return _settle(found, ZoneInfo(zone), zone)


def _settle(local: datetime, zone: ZoneInfo, name: str) -> datetime:
    first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first.astimezone(UTC)
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == local:
        choices = first.isoformat(" ", "minutes"), second.isoformat(" ", "minutes")
        line = f"{local:%Y-%m-%d %H:%M} happens twice in {name} (the clocks go back); write {' or '.join(choices)}"
        raise BadMoment("twice", line, *choices)
    before, after = (f"{moment.astimezone(UTC).astimezone(zone):%Y-%m-%d %H:%M}" for moment in (second, first))
    line = f"{local:%Y-%m-%d %H:%M} does not exist in {name} (the clocks go forward); write {before} or {after}"
    raise BadMoment("never", line, before, after)


def parse_future(text: str, zone: str, now: datetime) -> datetime:
    """Return the UTC moment of a time to come; raise BadMoment for a past one too."""
    found = parse(text, zone)
    if found <= now:
        soon = f"{(now + timedelta(hours=1)).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"
        line = f"{text} has passed; leave --at out to publish now, or name a later time, say {soon}"
        raise BadMoment("past", line, soon)
    return found

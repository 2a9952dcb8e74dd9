"""`make check`: migrate an empty database of each kind and compare it with the models (`alembic check`)."""

import io
import os
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from service import database, settings
from tests.servers import Missing, Postgres


def check(url: str) -> str:
    """Migrate and compare; return what differs."""
    os.environ["UTSKICK_DATABASE_URL"] = url
    settings.current.cache_clear()
    database.migrate()
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(settings.ROOT / "migrations").replace("%", "%%"))
    try:
        command.check(config)
    except CommandError as error:
        return str(error)
    return ""


def say(name: str, difference: str) -> bool:
    """Print one line and tell whether all is well."""
    sys.stdout.write(f"migrations on {name}: {difference or 'as the models say'}\n")
    return not difference


def main() -> int:
    """Check each kind of database that is on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        fine = say("SQLite", check(f"sqlite:///{Path(folder) / 'schema.db'}"))
    try:
        server = Postgres()
    except Missing as missing:
        sys.stdout.write(f"migrations on PostgreSQL: not checked, {missing}\n")
        return int(not fine or os.environ.get("UTSKICK_TEST_ALL") == "1")
    try:
        return int(not (say("PostgreSQL", check(server.url(server.create()))) and fine))
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(main())

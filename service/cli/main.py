"""The `utskick` command: every failure is one clear line, exit 1; wrong use is exit 2."""

import os
import sys

import typer
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from service import database, logs, settings
from service.cli import demo, dispatches, newsroom, release, staff, subscribers, up
from service.cli.bench.command import bench
from service.files import FileError
from service.moments import BadMoment
from service.releases import PublishError
from service.settings import SettingsError

app = typer.Typer(
    name="utskick",
    help="Press releases by mail, with books that balance.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo.demo)
app.command()(up.up)
app.add_typer(newsroom.app, name="newsroom")
app.add_typer(release.app, name="release")
app.add_typer(dispatches.app, name="dispatch")
app.add_typer(subscribers.app, name="subscribers")
app.add_typer(staff.app, name="staff")
app.command()(bench)


@app.command()
def migrate() -> None:
    """Bring the database's tables up to date."""
    revision = database.migrate()
    place = make_url(settings.current().database).render_as_string(hide_password=True)
    typer.echo(f"The database is up to date (revision {revision}): {place}")


def main() -> None:
    """Run the command line."""
    os.umask(0o077)  # what it makes holds addresses
    logs.configure()
    try:
        app()
    except (SettingsError, database.PendingMigrations, FileError, PublishError, BadMoment) as error:
        _fail(str(error))
    except DBAPIError as error:
        if not database.is_away(error):
            raise
        why = " ".join(str(error.orig).split())[:200]
        _fail(f"the database cannot be reached just now ({why}); nothing was changed. Try again when it is back.")


def _fail(line: str) -> None:
    typer.echo(f"utskick: {line}", err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()

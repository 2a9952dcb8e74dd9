"""How Alembic meets the database: the same URL and engine as the service's own."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection

from service import database, models, settings
from service.columns import UTCDateTime

target_metadata = models.Newsroom.metadata


def render_item(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """A migration is frozen: it names the database's types, not ours."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UTCDateTime) else False


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=target_metadata,
        render_as_batch=True,
        compare_type=True,
        render_item=render_item,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    engine = database.engine(settings.current().database)
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            run(connection)
            connection.commit()
            return
        # Recreating a table deletes its children while foreign keys are on; the pragma is a no-op inside a transaction.
        raw = connection.connection.driver_connection
        assert raw is not None  # noqa: S101 - it has just been opened
        raw.execute("PRAGMA foreign_keys=OFF")
        try:
            run(connection)
            broken = raw.execute("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise RuntimeError(f"the migration would leave rows without their parents: {broken[:5]}")
            connection.commit()
        finally:
            raw.execute("PRAGMA foreign_keys=ON")


if context.is_offline_mode():
    raise SystemExit("run `utskick migrate` against a database; SQL scripts are not made")
main()

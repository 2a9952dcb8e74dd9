"""Migrations: from nothing to the models on both databases, again without harm, and never past what the code knows."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError

from service import database, settings
from service.columns import Base
from service.database import PendingMigrations
from tests.service.press import crowd, dispatched, everything, room, write


def engine() -> Engine:
    return database.engine(settings.current().database)


def test_an_empty_database_is_refused_with_the_command_that_helps(empty_database_url: str) -> None:
    with pytest.raises(PendingMigrations, match="run `utskick migrate`"):
        database.check_schema()


def test_an_older_database_is_refused(database_url: str) -> None:
    write("DELETE FROM alembic_version")
    with pytest.raises(PendingMigrations, match="run `utskick migrate`"):
        database.check_schema()


def test_a_newer_database_is_refused_and_left_alone(database_url: str) -> None:
    write("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(PendingMigrations):
        database.check_schema()
    with pytest.raises(PendingMigrations, match="newer"):
        database.migrate()


def test_migrating_makes_what_the_models_say(empty_database_url: str) -> None:
    revision = database.migrate()
    assert revision == database.check_schema()
    with engine().connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        assert set(inspect(connection).get_table_names()) == {*Base.metadata.tables, "alembic_version"}


def test_migrating_again_changes_nothing(database_url: str) -> None:
    crowd(room(), 3)
    before = everything()
    database.migrate()
    assert everything() == before


def test_sqlite_is_as_careful_as_the_house_says(database_url: str) -> None:
    if not database_url.startswith("sqlite"):
        return
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1, "busy_timeout": 10_000}
    with engine().connect() as connection:
        found = {name: connection.scalar(text(f"PRAGMA {name}")) for name in wanted}
    assert found == wanted


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE subscriptions SET state = 'ended'",
        "UPDATE subscriptions SET address = NULL",
        "UPDATE subscriptions SET address_hash = NULL",
        "UPDATE deliveries SET dispatch_id = NULL",
        "UPDATE deliveries SET kind = 'notice'",
        "UPDATE deliveries SET subscription_id = 999",
        "UPDATE subscriptions SET leave_token = 'same'",
        "DELETE FROM subscriptions",
        "INSERT INTO newsrooms SELECT * FROM newsrooms",
    ],
)
def test_the_database_itself_keeps_the_rules(database_url: str, statement: str) -> None:
    press = room()
    crowd(press, 2)
    dispatched(press)
    before = everything()
    with pytest.raises(IntegrityError):
        write(statement)
    assert everything() == before


def test_an_error_of_the_database_shows_no_address(database_url: str) -> None:
    crowd(room(), 2)
    with pytest.raises(IntegrityError) as caught:
        write("UPDATE subscriptions SET leave_token = 'x', address = :text", text="anna@example.org")
    assert "anna@" not in str(caught.value).split("DETAIL")[0]

"""The columns' own types, and the base of every table."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Enum, Integer, MetaData, TypeDecorator
from sqlalchemy.orm import DeclarativeBase

from service.states import (
    DeliveryKind,
    DeliveryState,
    DispatchState,
    Kind,
    ReleaseState,
    Role,
    SubscriptionState,
    SuppressionReason,
)


class UTCDateTime(TypeDecorator[datetime]):
    """A moment: aware and UTC inside, whatever the database gives back (SQLite gives it naive)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive moment; store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs its time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give the moment back as UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


BigId = BigInteger().with_variant(Integer, "sqlite")
"""For tables that grow with every mail; SQLite numbers rows only in an INTEGER, which is 64 bits there."""


def _states(enum: type[StrEnum]) -> Enum:
    return Enum(enum, native_enum=False, length=20, values_callable=lambda cls: [member.value for member in cls])


class Base(DeclarativeBase):
    """Naming convention and types shared by every table."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        datetime: UTCDateTime(),
        dict[str, Any]: JSON(),
        list[str]: JSON(),
        list[dict[str, Any]]: JSON(),
        Kind: _states(Kind),
        ReleaseState: _states(ReleaseState),
        SubscriptionState: _states(SubscriptionState),
        DispatchState: _states(DispatchState),
        DeliveryKind: _states(DeliveryKind),
        DeliveryState: _states(DeliveryState),
        SuppressionReason: _states(SuppressionReason),
        Role: _states(Role),
    }

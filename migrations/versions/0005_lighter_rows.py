"""lighter rows: no index and no foreign key that costs every mail of a mailing and guards next to nothing"""

from alembic import op

revision = "0005"
down_revision = "0004"

KEYS = {"dispatch_id": "dispatches", "subscription_id": "subscriptions"}


def upgrade() -> None:
    with op.batch_alter_table("deliveries") as batch_op:
        batch_op.drop_constraint(op.f("uq_deliveries_public_id"), type_="unique")
        for column in KEYS:
            batch_op.drop_constraint(op.f(f"fk_deliveries_{column}"), type_="foreignkey")


def downgrade() -> None:
    with op.batch_alter_table("deliveries") as batch_op:
        for column, table in KEYS.items():
            batch_op.create_foreign_key(op.f(f"fk_deliveries_{column}"), table, [column], ["id"])
        batch_op.create_unique_constraint(op.f("uq_deliveries_public_id"), ["public_id"])

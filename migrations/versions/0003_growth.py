"""growth: mailings are entered in ranges of followers, and their rows folded long after their end"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

TOTALS = ("folded_accepted", "folded_refused", "folded_skipped", "folded_uncertain")
ALONE = sa.text("dispatch_id IS NULL")


def upgrade() -> None:
    with op.batch_alter_table("dispatches") as batch_op:
        batch_op.add_column(sa.Column("expanded_to", sa.Integer(), nullable=True))
        for name in TOTALS:
            batch_op.add_column(sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("folded_at", sa.DateTime(timezone=True), nullable=True))
    with op.batch_alter_table("deliveries") as batch_op:
        batch_op.drop_index(op.f("ix_deliveries_subscription_id"))
        batch_op.drop_constraint(op.f("uq_deliveries_dispatch_id_subscription_id"), type_="unique")
        batch_op.create_unique_constraint(
            op.f("uq_deliveries_subscription_id_dispatch_id"), ["subscription_id", "dispatch_id"]
        )
    op.create_index(op.f("ix_subscriptions_newsroom_id_id"), "subscriptions", ["newsroom_id", "id"])
    op.create_index("ix_deliveries_alone", "deliveries", ["settled_at"], sqlite_where=ALONE, postgresql_where=ALONE)


def downgrade() -> None:
    op.drop_index("ix_deliveries_alone", "deliveries")
    op.drop_index(op.f("ix_subscriptions_newsroom_id_id"), "subscriptions")
    with op.batch_alter_table("deliveries") as batch_op:
        batch_op.drop_constraint(op.f("uq_deliveries_subscription_id_dispatch_id"), type_="unique")
        batch_op.create_unique_constraint(
            op.f("uq_deliveries_dispatch_id_subscription_id"), ["dispatch_id", "subscription_id"]
        )
        batch_op.create_index(op.f("ix_deliveries_subscription_id"), ["subscription_id"])
    with op.batch_alter_table("dispatches") as batch_op:
        for name in ("folded_at", *TOTALS, "expanded_to"):
            batch_op.drop_column(name)

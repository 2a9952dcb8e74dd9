"""outcomes in groups: claims say how many mails may be on their way; bells have numbers; fewer indexes"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

IN_HAND = sa.text("state = 'claimed'")


def upgrade() -> None:
    with op.batch_alter_table("dispatches") as batch_op:
        batch_op.add_column(sa.Column("bell", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("claims") as batch_op:
        # What the older code had handed over of a claim is the one mail that comes first in its order.
        batch_op.add_column(sa.Column("window", sa.Integer(), nullable=False, server_default="1"))
    with op.batch_alter_table("relay") as batch_op:
        batch_op.add_column(sa.Column("taken_until", sa.DateTime(timezone=True), nullable=True))
    op.drop_index("ix_deliveries_claim_id", "deliveries")
    with op.batch_alter_table("deliveries") as batch_op:
        batch_op.drop_constraint(op.f("ck_deliveries_handed_over_by_claim"), type_="check")
        batch_op.drop_constraint(op.f("fk_deliveries_claim_id"), type_="foreignkey")
        batch_op.drop_column("handed_over_at")
    op.create_index(
        "ix_deliveries_in_hand", "deliveries", ["claim_id"], sqlite_where=IN_HAND, postgresql_where=IN_HAND
    )


def downgrade() -> None:
    op.drop_index("ix_deliveries_in_hand", "deliveries")
    with op.batch_alter_table("deliveries") as batch_op:
        batch_op.add_column(sa.Column("handed_over_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.create_foreign_key(op.f("fk_deliveries_claim_id"), "claims", ["claim_id"], ["id"])
        batch_op.create_check_constraint(
            op.f("ck_deliveries_handed_over_by_claim"), "handed_over_at IS NULL OR claim_id IS NOT NULL"
        )
    op.create_index("ix_deliveries_claim_id", "deliveries", ["claim_id"], unique=False)
    with op.batch_alter_table("relay") as batch_op:
        batch_op.drop_column("taken_until")
    with op.batch_alter_table("claims") as batch_op:
        batch_op.drop_column("window")
    with op.batch_alter_table("dispatches") as batch_op:
        batch_op.drop_column("bell")

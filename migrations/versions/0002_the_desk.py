"""the desk: staff, keys, the audit, drafts that change, test mails"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ROLE = sa.Enum("editor", "publisher", "admin", name="role", native_enum=False, length=20)
NUMBERED = {"sqlite_autoincrement": True}
"""SQLite gives a number again once its row is deleted, unless told not to."""
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "staff",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.Column("address_hash", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("link_hash", sa.String(length=64), nullable=True),
        sa.Column("link_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff")),
        sa.UniqueConstraint("address_hash", name=op.f("uq_staff_address_hash")),
        sa.UniqueConstraint("link_hash", name=op.f("uq_staff_link_hash")),
    )
    op.create_table(
        "memberships",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("staff_id", sa.Integer(), nullable=False),
        sa.Column("newsroom_id", sa.Integer(), nullable=False),
        sa.Column("role", ROLE, nullable=False),
        sa.ForeignKeyConstraint(["newsroom_id"], ["newsrooms.id"], name=op.f("fk_memberships_newsroom_id")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_memberships_staff_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_memberships")),
        sa.UniqueConstraint("staff_id", "newsroom_id", name=op.f("uq_memberships_staff_id_newsroom_id")),
    )
    op.create_index(op.f("ix_memberships_newsroom_id"), "memberships", ["newsroom_id"], unique=False)
    op.create_table(
        "logins",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("staff_id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_logins_staff_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_logins")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_logins_token_hash")),
    )
    op.create_index(op.f("ix_logins_expires_at"), "logins", ["expires_at"], unique=False)
    op.create_index(op.f("ix_logins_staff_id"), "logins", ["staff_id"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("newsroom_id", sa.Integer(), nullable=False),
        sa.Column("role", ROLE, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("hint", sa.String(length=20), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["newsroom_id"], ["newsrooms.id"], name=op.f("fk_api_keys_newsroom_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
    )
    op.create_index(op.f("ix_api_keys_newsroom_id"), "api_keys", ["newsroom_id"], unique=False)
    op.create_table(
        "creations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("api_key_id", sa.Integer(), nullable=False),
        sa.Column("idempotency_key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("release_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["api_key_id"], ["api_keys.id"], name=op.f("fk_creations_api_key_id")),
        sa.ForeignKeyConstraint(
            ["release_id"], ["releases.id"], name=op.f("fk_creations_release_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_creations")),
        sa.UniqueConstraint("api_key_id", "idempotency_key", name=op.f("uq_creations_api_key_id_idempotency_key")),
    )
    op.create_index(op.f("ix_creations_created_at"), "creations", ["created_at"], unique=False)
    op.create_index(op.f("ix_creations_release_id"), "creations", ["release_id"], unique=False)
    op.create_table(
        "audit",
        sa.Column("id", BIG, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("newsroom_id", sa.Integer(), nullable=True),
        sa.Column("staff_id", sa.Integer(), nullable=True),
        sa.Column("actor", sa.String(length=320), nullable=False),
        sa.Column("act", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["newsroom_id"], ["newsrooms.id"], name=op.f("fk_audit_newsroom_id")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_audit_staff_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_newsroom_id_id"), "audit", ["newsroom_id", "id"], unique=False)
    with op.batch_alter_table("newsrooms") as batch_op:
        batch_op.add_column(sa.Column("follow_text", sa.String(length=500), nullable=False, server_default=""))
    with op.batch_alter_table("releases", table_kwargs=NUMBERED) as batch_op:
        batch_op.add_column(sa.Column("revision", sa.Integer(), nullable=False, server_default="1"))
        batch_op.add_column(sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE releases SET updated_at = created_at")
    with op.batch_alter_table("releases", table_kwargs=NUMBERED) as batch_op:
        batch_op.alter_column("updated_at", existing_type=sa.DateTime(timezone=True), nullable=False)
    with op.batch_alter_table("deliveries") as batch_op:
        batch_op.add_column(sa.Column("staff_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("version_id", sa.Integer(), nullable=True))
        batch_op.alter_column("subscription_id", existing_type=sa.Integer(), nullable=True)
        batch_op.create_foreign_key(op.f("fk_deliveries_staff_id"), "staff", ["staff_id"], ["id"])
        batch_op.create_foreign_key(
            op.f("fk_deliveries_version_id"), "versions", ["version_id"], ["id"], ondelete="SET NULL"
        )
        batch_op.create_check_constraint(
            op.f("ck_deliveries_test_to_staff"), "(kind = 'test') = (staff_id IS NOT NULL)"
        )
        batch_op.create_check_constraint(
            op.f("ck_deliveries_one_recipient"), "(staff_id IS NULL) = (subscription_id IS NOT NULL)"
        )
    for column in ("staff_id", "version_id"):
        its = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            op.f(f"ix_deliveries_{column}"), "deliveries", [column], sqlite_where=its, postgresql_where=its
        )


def downgrade() -> None:
    op.execute("DELETE FROM deliveries WHERE kind = 'test'")
    for column in ("staff_id", "version_id"):
        op.drop_index(op.f(f"ix_deliveries_{column}"), "deliveries")
    with op.batch_alter_table("deliveries") as batch_op:
        batch_op.drop_constraint(op.f("ck_deliveries_one_recipient"), type_="check")
        batch_op.drop_constraint(op.f("ck_deliveries_test_to_staff"), type_="check")
        batch_op.drop_constraint(op.f("fk_deliveries_version_id"), type_="foreignkey")
        batch_op.drop_constraint(op.f("fk_deliveries_staff_id"), type_="foreignkey")
        batch_op.alter_column("subscription_id", existing_type=sa.Integer(), nullable=False)
        batch_op.drop_column("version_id")
        batch_op.drop_column("staff_id")
    with op.batch_alter_table("releases") as batch_op:
        batch_op.drop_column("updated_at")
        batch_op.drop_column("revision")
    with op.batch_alter_table("newsrooms") as batch_op:
        batch_op.drop_column("follow_text")
    for table in ("audit", "creations", "api_keys", "logins", "memberships", "staff"):
        op.drop_table(table)

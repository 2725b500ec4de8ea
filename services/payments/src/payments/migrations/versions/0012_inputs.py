"""Inputs by their number, and commands of staff: what everything else can be derived from again.

What was applied before is numbered in the order in which it was noted as ingested, members first; the rules that it
was booked by are not known.

Revision ID: 0012
Revises: 0011
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# Statements are separated by blank lines.
SCRIPT = """
CREATE TABLE payments.staff_commands (
    id uuid NOT NULL PRIMARY KEY,
    name text NOT NULL,
    body jsonb NOT NULL,
    actor jsonb NOT NULL,
    reason text,
    recorded_at timestamptz NOT NULL
);

CREATE TABLE payments.inputs (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CONSTRAINT inputs_kind
        CHECK (kind IN ('event', 'alternative', 'conflict', 'fetched', 'refold', 'command')),
    delivery_id uuid,
    position integer,
    provider_event_id uuid,
    fetched_id uuid,
    command_id uuid,
    subject text,
    rules text,
    CONSTRAINT inputs_source CHECK (
        CASE kind WHEN 'fetched' THEN fetched_id IS NOT NULL
                  WHEN 'refold' THEN subject IS NOT NULL
                  WHEN 'command' THEN command_id IS NOT NULL
                  ELSE delivery_id IS NOT NULL AND position IS NOT NULL AND provider_event_id IS NOT NULL END)
);

CREATE UNIQUE INDEX inputs_command ON payments.inputs (command_id) WHERE command_id IS NOT NULL;

INSERT INTO payments.staff_commands (id, name, body, actor, reason, recorded_at)
    SELECT gen_random_uuid(), 'put_member',
           jsonb_build_object('member_id', m.id, 'name', m.name, 'customers', coalesce((
               SELECT jsonb_agg(jsonb_build_object('provider', c.provider, 'account', c.account,
                                                   'reference', c.reference)
                                ORDER BY c.provider, c.account, c.reference)
               FROM payments.member_customers AS c WHERE c.member_id = m.id), '[]')),
           '{"kind": "system", "id": "payments", "name": "Payments"}', 'known before commands were kept', m.updated_at
    FROM payments.members AS m;

INSERT INTO payments.inputs (kind, command_id)
    SELECT 'command', id FROM payments.staff_commands ORDER BY recorded_at, id;

INSERT INTO payments.inputs (kind, delivery_id, position, provider_event_id, fetched_id)
    SELECT kind, delivery_id, position, provider_event_id, fetched_id
    FROM (
        SELECT 'event' AS kind, delivery_id, position, id AS provider_event_id, NULL::uuid AS fetched_id,
               ingested_at AS at
        FROM payments.provider_events WHERE ingested_at IS NOT NULL
        UNION ALL
        SELECT 'fetched', NULL, NULL, NULL, f.id, f.read_at FROM payments.fetched_objects AS f
        WHERE NOT EXISTS (SELECT FROM payments.pending_events AS p WHERE p.fetched_id = f.id)
    ) AS applied ORDER BY at, provider_event_id, fetched_id;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON payments.inputs
    FOR EACH ROW EXECUTE FUNCTION payments.refuse_change();

CREATE TRIGGER no_truncate BEFORE TRUNCATE ON payments.inputs
    FOR EACH STATEMENT EXECUTE FUNCTION payments.refuse_change();

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON payments.staff_commands
    FOR EACH ROW EXECUTE FUNCTION payments.refuse_change();

CREATE TRIGGER no_truncate BEFORE TRUNCATE ON payments.staff_commands
    FOR EACH STATEMENT EXECUTE FUNCTION payments.refuse_change();

GRANT SELECT, INSERT ON payments.inputs, payments.staff_commands TO payments;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("what everything is derived from is not taken down by a migration")

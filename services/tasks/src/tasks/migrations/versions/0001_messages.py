"""Outbox, inbox, positions, dead letters and idempotency keys.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Statements are separated by blank lines.
SCRIPT = """
CREATE TABLE tasks.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    value bytea NOT NULL,
    headers jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT outbox_value_size CHECK (octet_length(value) <= 900000)
);

ALTER TABLE tasks.outbox ALTER COLUMN value SET STORAGE EXTERNAL;

ALTER TABLE tasks.outbox SET (
    toast_tuple_target = 8160,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000,
    toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 2000,
    toast.autovacuum_vacuum_cost_delay = 0
);

CREATE TABLE tasks.outbox_parked_keys (
    topic text NOT NULL,
    key text NOT NULL,
    event_id uuid NOT NULL,
    reason text NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, key)
);

CREATE TABLE tasks.inbox (
    consumer text NOT NULL,
    event_id text NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);

CREATE INDEX inbox_claimed_at ON tasks.inbox USING brin (claimed_at);

GRANT SELECT, INSERT, DELETE ON tasks.inbox TO tasks;

CREATE TABLE tasks.positions (
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL CONSTRAINT positions_next_offset CHECK (next_offset >= 0),
    last_event_id text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, topic, partition)
) WITH (fillfactor = 20);

GRANT SELECT, INSERT, UPDATE ON tasks.positions TO tasks;

CREATE TABLE tasks.dead_letters (
    id uuid NOT NULL PRIMARY KEY,
    owner text NOT NULL,
    consumer text NOT NULL,
    pointer text NOT NULL,
    reason_class text NOT NULL,
    reason text NOT NULL,
    message bytea NOT NULL,
    key bytea,
    headers jsonb,
    topic text,
    partition integer,
    record_offset bigint,
    event_id text,
    message_type text,
    created_at timestamptz NOT NULL DEFAULT now(),
    state text NOT NULL DEFAULT 'open' CONSTRAINT dead_letters_state CHECK (state IN ('open', 'retried')),
    attempts integer NOT NULL DEFAULT 0,
    retried_at timestamptz
);

CREATE INDEX dead_letters_open ON tasks.dead_letters (id) WHERE state = 'open';

GRANT SELECT, INSERT, DELETE ON tasks.outbox, tasks.outbox_parked_keys TO tasks;

GRANT SELECT, INSERT, UPDATE ON tasks.dead_letters TO tasks;

CREATE TABLE tasks.idempotency_keys (
    caller text NOT NULL,
    operation text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint NOT NULL,
    headers jsonb NOT NULL,
    answer bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (caller, operation, key),
    CONSTRAINT idempotency_keys_answer_size CHECK (octet_length(answer) <= 262144)
);

CREATE INDEX idempotency_keys_created_at ON tasks.idempotency_keys USING brin (created_at);

GRANT SELECT, INSERT, DELETE ON tasks.idempotency_keys TO tasks;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("messages are kept: going back is restoring a backup")

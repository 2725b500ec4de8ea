"""Provider deliveries, provider events and the worker's queue.

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
CREATE TABLE payments.webhook_deliveries (
    id uuid NOT NULL PRIMARY KEY,
    provider text NOT NULL,
    account text NOT NULL,
    state text NOT NULL CONSTRAINT webhook_deliveries_state
        CHECK (state IN ('accepted', 'rejected', 'processed', 'dead_lettered')),
    received_at timestamptz NOT NULL,
    last_received_at timestamptz NOT NULL,
    attempts integer NOT NULL,
    status_answered smallint NOT NULL,
    verified_by text,
    traceparent text,
    refusal text,
    headers bytea NOT NULL,
    body bytea,
    body_bytes bigint NOT NULL,
    sha256 bytea NOT NULL,
    events integer NOT NULL
) WITH (fillfactor = 90, toast_tuple_target = 8160);

-- Most bodies fit into their row and are read once: compressing them costs more than it saves.
ALTER TABLE payments.webhook_deliveries ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE INDEX webhook_deliveries_received ON payments.webhook_deliveries (received_at, id);

CREATE UNIQUE INDEX webhook_deliveries_rejected ON payments.webhook_deliveries (provider, sha256, status_answered)
    WHERE refusal IS NOT NULL;

CREATE TABLE payments.rejected_bytes (
    provider text NOT NULL PRIMARY KEY,
    kept_bytes bigint NOT NULL
);

INSERT INTO payments.rejected_bytes VALUES ('stripe', 0), ('gocardless', 0);

CREATE TABLE payments.rejections (
    provider text NOT NULL,
    minute timestamptz NOT NULL,
    refusal text NOT NULL,
    deliveries integer NOT NULL,
    told boolean NOT NULL,
    PRIMARY KEY (provider, minute, refusal)
);

CREATE INDEX rejections_untold ON payments.rejections (minute) WHERE NOT told;

CREATE TABLE payments.provider_events (
    id uuid NOT NULL PRIMARY KEY,
    provider text NOT NULL,
    account text NOT NULL,
    livemode boolean NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    api_version text,
    content_hash bytea NOT NULL,
    essence_hash bytea NOT NULL,
    delivery_id uuid NOT NULL,
    position integer NOT NULL,
    deliveries integer NOT NULL,
    outcome text,
    outcome_words text,
    payment_id uuid,
    ingested_at timestamptz,
    CONSTRAINT provider_events_identity UNIQUE (provider, account, livemode, event_id)
);

CREATE INDEX provider_events_delivery ON payments.provider_events (delivery_id);

CREATE TABLE payments.fetched_objects (
    id uuid NOT NULL PRIMARY KEY,
    key text NOT NULL,
    read_at timestamptz NOT NULL,
    body bytea NOT NULL
);

CREATE INDEX fetched_objects_key ON payments.fetched_objects (key, read_at);

CREATE TABLE payments.fetches (
    key text NOT NULL PRIMARY KEY,
    why text NOT NULL,
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL,
    last_error text
);

CREATE INDEX fetches_due ON payments.fetches (due_at);

CREATE TABLE payments.pending_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CONSTRAINT pending_events_kind
        CHECK (kind IN ('event', 'alternative', 'conflict', 'unreadable', 'fetched', 'refold')),
    delivery_id uuid REFERENCES payments.webhook_deliveries,
    position integer,
    provider_event_id uuid,
    fetched_id uuid REFERENCES payments.fetched_objects,
    subject text,
    received_at timestamptz NOT NULL,
    CONSTRAINT pending_events_input CHECK (
        CASE kind WHEN 'fetched' THEN fetched_id IS NOT NULL
                  WHEN 'refold' THEN subject IS NOT NULL
                  ELSE delivery_id IS NOT NULL AND position IS NOT NULL END)
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000
);

CREATE INDEX pending_events_delivery ON payments.pending_events (delivery_id);

-- What arrived is evidence: the service may note what became of it and change nothing else.
GRANT SELECT, INSERT, UPDATE (state, attempts, last_received_at) ON payments.webhook_deliveries TO payments;

GRANT SELECT, INSERT, UPDATE (deliveries, outcome, outcome_words, payment_id, ingested_at)
    ON payments.provider_events TO payments;

GRANT SELECT, UPDATE (kept_bytes) ON payments.rejected_bytes TO payments;

GRANT SELECT, INSERT, UPDATE (deliveries, told) ON payments.rejections TO payments;

GRANT SELECT, INSERT ON payments.fetched_objects TO payments;

GRANT SELECT, INSERT, UPDATE, DELETE ON payments.pending_events, payments.fetches TO payments;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("deliveries are kept: going back is restoring a backup")

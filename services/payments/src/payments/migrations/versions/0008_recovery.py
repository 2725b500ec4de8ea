"""Holds on members, retries with their attempts, replays, and how far the consumer of task outcomes has come.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Statements are separated by blank lines. Leases and claims are the schedule's (chassis.schedule).
SCRIPT = """
CREATE TABLE payments.member_holds (
    id uuid NOT NULL PRIMARY KEY,
    member_id text NOT NULL REFERENCES payments.members,
    kind text NOT NULL CONSTRAINT member_holds_kind CHECK (kind IN ('medical', 'bereavement', 'dispute')),
    state text NOT NULL
        CONSTRAINT member_holds_state CHECK (state IN ('planned', 'in_force', 'ended', 'expired', 'withdrawn')),
    starts_at timestamptz NOT NULL,
    ends_at timestamptz CONSTRAINT member_holds_ends CHECK (ends_at >= starts_at),
    reason text NOT NULL,
    version bigint NOT NULL
);

CREATE INDEX member_holds_member ON payments.member_holds (member_id, id);

CREATE INDEX member_holds_open ON payments.member_holds (starts_at) WHERE state IN ('planned', 'in_force');

CREATE TABLE payments.payment_retries (
    payment_id uuid NOT NULL PRIMARY KEY REFERENCES payments.payments,
    state text NOT NULL
        CONSTRAINT payment_retries_state CHECK (state IN ('scheduled', 'held', 'calling', 'provider', 'recovery', 'closed')),
    owner text NOT NULL CONSTRAINT payment_retries_owner CHECK (owner IN ('provider', 'us', 'member', 'nobody')),
    why text NOT NULL,
    decline_class text,
    decline_table text NOT NULL,
    failures integer NOT NULL,
    number integer NOT NULL,
    manual boolean NOT NULL,
    planned_for timestamptz,
    due_at timestamptz,
    held_by text,
    version bigint NOT NULL,
    lease_token text,
    leased_until timestamptz,
    claims integer NOT NULL DEFAULT 0
);

CREATE INDEX payment_retries_due ON payments.payment_retries (due_at) WHERE due_at IS NOT NULL;

CREATE INDEX payment_retries_held ON payments.payment_retries (planned_for, payment_id) WHERE state = 'held';

CREATE TABLE payments.retry_attempts (
    payment_id uuid NOT NULL REFERENCES payments.payments,
    number integer NOT NULL,
    manual boolean NOT NULL,
    idempotency_key text NOT NULL UNIQUE,
    state text NOT NULL
        CONSTRAINT retry_attempts_state CHECK (state IN ('calling', 'accepted', 'declined', 'unknown', 'not_made')),
    failures_known integer NOT NULL,
    recorded_at timestamptz NOT NULL,
    called_at timestamptz NOT NULL,
    told text,
    PRIMARY KEY (payment_id, number)
);

CREATE TABLE payments.replays (
    id uuid NOT NULL PRIMARY KEY,
    state text NOT NULL
        CONSTRAINT replays_state CHECK (state IN ('requested', 'running', 'completed', 'cancelled', 'refused')),
    provider text,
    received_from timestamptz,
    received_until timestamptz,
    types text[] NOT NULL,
    delivery_state text,
    purpose text NOT NULL,
    incident_id text,
    dry_run boolean NOT NULL,
    rate_per_second integer NOT NULL,
    matched integer NOT NULL,
    replayed integer NOT NULL,
    unchanged integer NOT NULL,
    refused integer NOT NULL,
    failed integer NOT NULL,
    requested_by jsonb NOT NULL,
    requested_at timestamptz NOT NULL,
    ended_at timestamptz,
    version bigint NOT NULL,
    due_at timestamptz,
    lease_token text,
    leased_until timestamptz,
    claims integer NOT NULL DEFAULT 0
);

CREATE INDEX replays_due ON payments.replays (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE payments.replay_items (
    replay_id uuid NOT NULL REFERENCES payments.replays,
    number integer NOT NULL,
    provider_event_id uuid NOT NULL,
    outcome text
        CONSTRAINT replay_items_outcome CHECK (outcome IN ('replayed', 'unchanged', 'refused', 'failed')),
    why text,
    PRIMARY KEY (replay_id, number)
);

CREATE INDEX replay_items_open ON payments.replay_items (replay_id, number) WHERE outcome IS NULL;

CREATE TABLE payments.positions (
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL CONSTRAINT positions_next_offset CHECK (next_offset >= 0),
    last_event_id text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, topic, partition)
) WITH (fillfactor = 20);

GRANT SELECT, INSERT, UPDATE ON payments.member_holds, payments.payment_retries, payments.retry_attempts,
    payments.replays, payments.replay_items, payments.positions TO payments;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("attempts to collect are kept: going back is restoring a backup")

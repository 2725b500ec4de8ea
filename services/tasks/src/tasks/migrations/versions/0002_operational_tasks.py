"""Operational tasks, their history, what they are about, and the conditions that have ended.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Statements are separated by blank lines. History, occurrences and conditions are append-only: nobody may change them.
SCRIPT = """
CREATE TABLE tasks.operational_tasks (
    id uuid NOT NULL PRIMARY KEY,
    kind text NOT NULL,
    title text NOT NULL,
    note text,
    queue text NOT NULL,
    state text NOT NULL,
    priority text NOT NULL,
    owner_id text,
    owner_name text,
    state_since timestamptz NOT NULL,
    due_on date,
    due_at timestamptz,
    start_by timestamptz,
    paused_seconds bigint NOT NULL DEFAULT 0,
    deadline_at timestamptz,
    pause_ends_at timestamptz,
    blocked_code text,
    blocked_text text,
    blocked_since timestamptz,
    blocked_paused_from timestamptz,
    blocked_until timestamptz,
    unblocked_by text,
    outcome_code text,
    outcome_note text,
    outcome_evidence jsonb,
    ended_by_id text,
    ended_by_name text,
    ended_reason text,
    source_workflow_name text NOT NULL,
    source_workflow_id text NOT NULL,
    source_entity_type text NOT NULL,
    source_entity_id text NOT NULL,
    source_event_id text,
    source_pointer text,
    member_id text,
    dedupe_key text,
    gates text[] NOT NULL DEFAULT '{}',
    occurrences integer NOT NULL DEFAULT 1,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT operational_tasks_state CHECK (state IN
        ('open', 'claimed', 'in_progress', 'completed', 'cancelled', 'entered_in_error')),
    CONSTRAINT operational_tasks_owner CHECK ((owner_id IS NULL) = (owner_name IS NULL)
        AND CASE state WHEN 'open' THEN owner_id IS NULL
            WHEN 'claimed' THEN owner_id IS NOT NULL
            WHEN 'in_progress' THEN owner_id IS NOT NULL
            ELSE true END),
    CONSTRAINT operational_tasks_due CHECK (due_on IS NULL OR due_at IS NULL),
    CONSTRAINT operational_tasks_outcome CHECK ((state = 'completed') = (outcome_code IS NOT NULL)),
    CONSTRAINT operational_tasks_ended CHECK
        ((state IN ('completed', 'cancelled', 'entered_in_error')) = (ended_by_id IS NOT NULL)),
    CONSTRAINT operational_tasks_blocked CHECK ((blocked_code IS NULL) = (blocked_since IS NULL)
        AND (blocked_code IS NULL OR state IN ('open', 'claimed', 'in_progress')))
);

CREATE UNIQUE INDEX operational_tasks_dedupe ON tasks.operational_tasks (dedupe_key)
    WHERE state IN ('open', 'claimed', 'in_progress');

CREATE INDEX operational_tasks_key ON tasks.operational_tasks (dedupe_key, id);

CREATE INDEX operational_tasks_queue ON tasks.operational_tasks (queue, id);

CREATE INDEX operational_tasks_owner_id ON tasks.operational_tasks (owner_id, id);

CREATE INDEX operational_tasks_member ON tasks.operational_tasks (member_id, id);

CREATE INDEX operational_tasks_entity ON tasks.operational_tasks (source_entity_id, id);

CREATE INDEX operational_tasks_workflow ON tasks.operational_tasks (source_workflow_id, id);

CREATE INDEX operational_tasks_live ON tasks.operational_tasks (id)
    WHERE state IN ('open', 'claimed', 'in_progress');

CREATE INDEX operational_tasks_condition ON tasks.operational_tasks (unblocked_by) WHERE unblocked_by IS NOT NULL;

CREATE INDEX operational_tasks_until ON tasks.operational_tasks (blocked_until) WHERE blocked_until IS NOT NULL;

CREATE TABLE tasks.task_history (
    task_id uuid NOT NULL REFERENCES tasks.operational_tasks (id),
    version bigint NOT NULL,
    change text NOT NULL,
    at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    reason text,
    comment text,
    after jsonb NOT NULL,
    PRIMARY KEY (task_id, version)
);

CREATE TABLE tasks.task_occurrences (
    task_id uuid NOT NULL REFERENCES tasks.operational_tasks (id),
    number integer NOT NULL,
    at timestamptz NOT NULL,
    event_id text,
    pointer text,
    fields jsonb NOT NULL,
    note text,
    PRIMARY KEY (task_id, number)
);

CREATE TABLE tasks.ended_conditions (
    condition text NOT NULL PRIMARY KEY,
    ended_at timestamptz NOT NULL,
    event_id text NOT NULL
);

GRANT SELECT, INSERT, UPDATE ON tasks.operational_tasks TO tasks;

GRANT SELECT, INSERT ON tasks.task_history, tasks.task_occurrences, tasks.ended_conditions TO tasks;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("tasks are kept: going back is restoring a backup")

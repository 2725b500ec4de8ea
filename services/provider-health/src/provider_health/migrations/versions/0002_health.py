"""Positions; checks and what they showed; incidents with their timelines; pauses with their head.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Statements are separated by blank lines.
TABLES = """
CREATE TABLE provider_health.positions (
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL CONSTRAINT positions_next_offset CHECK (next_offset >= 0),
    last_event_id text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, topic, partition)
) WITH (fillfactor = 20);

CREATE TABLE provider_health.provider_health_checks (
    id text NOT NULL PRIMARY KEY,
    provider text NOT NULL,
    category text NOT NULL,
    status text NOT NULL
        CHECK (status IN ('up', 'degraded', 'flapping', 'down', 'unknown', 'maintenance')),
    status_since timestamptz NOT NULL,
    score integer NOT NULL,
    failures_in_row integer NOT NULL,
    detector jsonb NOT NULL,
    latency_ms integer,
    last_observed_at timestamptz,
    last_success_at timestamptz,
    last_failure_at timestamptz,
    evidence text,
    cadence_seconds integer,
    dwell_seconds integer NOT NULL,
    due_at timestamptz,
    lease_token text,
    leased_until timestamptz,
    claims integer NOT NULL DEFAULT 0,
    version integer NOT NULL
);

CREATE INDEX provider_health_checks_due ON provider_health.provider_health_checks (due_at);

CREATE TABLE provider_health.check_observations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    check_id text NOT NULL,
    observed_at timestamptz NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('ok', 'impaired', 'failed', 'limited', 'early', 'absent')),
    latency_ms integer,
    evidence text NOT NULL,
    status text NOT NULL
);

CREATE INDEX check_observations_check ON provider_health.check_observations (check_id, id);

CREATE TABLE provider_health.maintenance_windows (
    id text NOT NULL PRIMARY KEY,
    provider text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    reason text NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    version integer NOT NULL,
    CHECK (ends_at > starts_at AND ends_at <= starts_at + interval '7 days')
);

CREATE INDEX maintenance_windows_provider ON provider_health.maintenance_windows (provider, ends_at);

CREATE TABLE provider_health.provider_incidents (
    id uuid NOT NULL PRIMARY KEY,
    title text NOT NULL,
    provider text NOT NULL,
    cause text NOT NULL,
    dedupe_key text NOT NULL,
    gathers boolean NOT NULL,
    state text NOT NULL CHECK (state IN ('detected', 'acknowledged', 'mitigated', 'resolved', 'reviewed')),
    severity integer NOT NULL CHECK (severity BETWEEN 1 AND 4),
    impact text,
    at_risk_minor bigint,
    at_risk_currency text,
    owner_id text,
    owner_name text,
    prevention_task_id text,
    replay_ids text[] NOT NULL,
    pause_ids text[] NOT NULL,
    recovery_action text,
    decision text,
    detected_at timestamptz NOT NULL,
    recovered_at timestamptz,
    resolved_at timestamptz,
    reviewed_at timestamptz,
    relapses integer NOT NULL,
    noticed_at timestamptz[] NOT NULL,
    version integer NOT NULL
);

CREATE UNIQUE INDEX provider_incidents_gathering ON provider_health.provider_incidents (dedupe_key) WHERE gathers;

CREATE INDEX provider_incidents_state ON provider_health.provider_incidents (state, id);

CREATE TABLE provider_health.incident_timeline (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id uuid NOT NULL,
    at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    kind text NOT NULL,
    words text NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    reference text,
    notice boolean NOT NULL
);

CREATE INDEX incident_timeline_incident ON provider_health.incident_timeline (incident_id, id);

CREATE TABLE provider_health.waiting_payments (
    payment_id text NOT NULL PRIMARY KEY,
    provider text NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    waits boolean NOT NULL,
    told_at timestamptz NOT NULL
);

CREATE INDEX waiting_payments_provider ON provider_health.waiting_payments (provider) WHERE waits;

CREATE TABLE provider_health.automation_pauses (
    id uuid NOT NULL PRIMARY KEY,
    scope text NOT NULL,
    provider text,
    account text,
    action text NOT NULL CHECK (action IN ('collection', 'notices', 'replays', 'all')),
    mode text NOT NULL CHECK (mode IN ('hold', 'shadow', 'reject')),
    state text NOT NULL CHECK (state IN ('active', 'released', 'expired')),
    reason text NOT NULL,
    incident_id uuid,
    binds_staff boolean NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    by_policy boolean NOT NULL,
    epoch bigint NOT NULL,
    set_at timestamptz NOT NULL,
    anchored_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    due_at timestamptz,
    lease_token text,
    leased_until timestamptz,
    claims integer NOT NULL DEFAULT 0,
    version integer NOT NULL,
    CHECK (expires_at > anchored_at AND expires_at <= anchored_at + interval '24 hours'),
    CHECK ((state = 'active') = (ended_at IS NULL)),
    CHECK ((state = 'active') = (due_at IS NOT NULL))
);

CREATE UNIQUE INDEX automation_pauses_active ON provider_health.automation_pauses (scope) WHERE state = 'active';

CREATE INDEX automation_pauses_due ON provider_health.automation_pauses (due_at);

CREATE TABLE provider_health.automation_pause_changes (
    epoch bigint NOT NULL PRIMARY KEY,
    pause_id uuid NOT NULL,
    change text NOT NULL,
    state text NOT NULL,
    reason text NOT NULL,
    expires_at timestamptz NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX automation_pause_changes_pause ON provider_health.automation_pause_changes (pause_id, epoch);

CREATE TABLE provider_health.pause_head (
    id integer NOT NULL PRIMARY KEY CHECK (id = 1),
    epoch bigint NOT NULL,
    beaten_at timestamptz NOT NULL
);

INSERT INTO provider_health.pause_head (id, epoch, beaten_at) VALUES (1, 0, 'epoch');

CREATE TABLE provider_health.pause_instances (
    service text NOT NULL,
    instance text NOT NULL,
    epoch bigint NOT NULL,
    applied_at timestamptz NOT NULL,
    leased_until timestamptz NOT NULL,
    PRIMARY KEY (service, instance)
);

CREATE TABLE provider_health.pause_stops (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service text NOT NULL,
    instance text NOT NULL,
    epoch bigint NOT NULL,
    applied_at timestamptz NOT NULL
);

CREATE UNIQUE INDEX pause_stops_epoch ON provider_health.pause_stops (service, instance, epoch);
"""

# The states of an incident form one line. What the domain decides is held here too, even against the service's role:
# one step at a time, one version at a time, and no review of a severe incident without what prevents another.
GUARDS = """
CREATE FUNCTION provider_health.guard_incident() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    steps CONSTANT text[] := ARRAY['detected', 'acknowledged', 'mitigated', 'resolved', 'reviewed'];
    step CONSTANT integer := array_position(steps, NEW.state) - array_position(steps, OLD.state);
BEGIN
    IF NEW.version <> OLD.version + 1 THEN
        RAISE EXCEPTION 'incident % goes from version % to %', OLD.id, OLD.version, NEW.version
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF step NOT IN (0, 1) OR (OLD.state = 'reviewed' AND NEW.decision IS DISTINCT FROM OLD.decision) THEN
        RAISE EXCEPTION 'incident % cannot go from % to %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.state = 'reviewed' AND NEW.severity <= 2 AND NEW.prevention_task_id IS NULL THEN
        RAISE EXCEPTION 'incident % of severity % needs a prevention task', OLD.id, NEW.severity
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION provider_health.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER guarded BEFORE UPDATE ON provider_health.provider_incidents
    FOR EACH ROW EXECUTE FUNCTION provider_health.guard_incident();

ALTER TABLE provider_health.provider_incidents ENABLE ALWAYS TRIGGER guarded;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON provider_health.incident_timeline
    FOR EACH ROW EXECUTE FUNCTION provider_health.refuse_change();

CREATE TRIGGER no_truncate BEFORE TRUNCATE ON provider_health.incident_timeline
    FOR EACH STATEMENT EXECUTE FUNCTION provider_health.refuse_change();

ALTER TABLE provider_health.incident_timeline ENABLE ALWAYS TRIGGER append_only, ENABLE ALWAYS TRIGGER no_truncate;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON provider_health.automation_pause_changes
    FOR EACH ROW EXECUTE FUNCTION provider_health.refuse_change();

CREATE TRIGGER no_truncate BEFORE TRUNCATE ON provider_health.automation_pause_changes
    FOR EACH STATEMENT EXECUTE FUNCTION provider_health.refuse_change();

ALTER TABLE provider_health.automation_pause_changes
    ENABLE ALWAYS TRIGGER append_only, ENABLE ALWAYS TRIGGER no_truncate;
"""

GRANTS = """
GRANT SELECT, INSERT, UPDATE ON provider_health.positions, provider_health.provider_health_checks,
    provider_health.maintenance_windows, provider_health.provider_incidents, provider_health.waiting_payments,
    provider_health.automation_pauses, provider_health.pause_instances TO provider_health;

GRANT SELECT, INSERT, DELETE ON provider_health.check_observations TO provider_health;

GRANT SELECT, INSERT ON provider_health.incident_timeline, provider_health.automation_pause_changes,
    provider_health.pause_stops TO provider_health;

GRANT SELECT, UPDATE ON provider_health.pause_head TO provider_health;
"""


def upgrade() -> None:
    for script in (TABLES, GUARDS, GRANTS):
        for statement in script.strip().split("\n\n"):
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("what happened is kept: going back is restoring a backup")

"""What is known of the tasks that prevent another incident; stops that are long past may be forgotten.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Statements are separated by blank lines.
TABLES = """
CREATE TABLE provider_health.prevention_tasks (
    task_id text NOT NULL PRIMARY KEY,
    incident_id uuid NOT NULL,
    owner_name text,
    due text,
    version integer NOT NULL
);

CREATE INDEX pause_stops_applied ON provider_health.pause_stops (applied_at);
"""

GUARDS = """
CREATE OR REPLACE FUNCTION provider_health.guard_incident() RETURNS trigger LANGUAGE plpgsql AS $$
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
    IF step = 1 AND NEW.state = 'reviewed' AND NEW.severity <= 2 AND NOT EXISTS (
        SELECT FROM provider_health.prevention_tasks
        WHERE task_id = NEW.prevention_task_id AND owner_name IS NOT NULL AND due IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'incident % of severity % needs a prevention task with owner and due date', OLD.id, NEW.severity
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
"""

GRANTS = """
GRANT SELECT, INSERT, UPDATE ON provider_health.prevention_tasks TO provider_health;

GRANT DELETE ON provider_health.pause_stops, provider_health.pause_instances TO provider_health;
"""


def upgrade() -> None:
    for script in (TABLES, GUARDS, GRANTS):
        for statement in script.strip().split("\n\n"):
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("what happened is kept: going back is restoring a backup")

"""The audit log with its guards, coverage, dedupe and search.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE audit.audit_log (
    seq bigint NOT NULL PRIMARY KEY,
    event_id text NOT NULL,
    source text NOT NULL,
    action text NOT NULL,
    version integer NOT NULL,
    schema_status text NOT NULL
        CONSTRAINT audit_log_status
        CHECK (schema_status IN ('known', 'unknown_type', 'unknown_version', 'unreadable_body')),
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    entity_type text NOT NULL,
    entity_id text NOT NULL,
    workflow_name text NOT NULL,
    workflow_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    incarnation integer NOT NULL,
    record_offset bigint NOT NULL,
    reason text,
    sentence text NOT NULL,
    value bytea NOT NULL
) PARTITION BY RANGE (seq);

CREATE INDEX audit_log_entity ON audit.audit_log (entity_type, entity_id, seq);

CREATE INDEX audit_log_workflow ON audit.audit_log (workflow_name, workflow_id, seq);

CREATE TABLE audit.log_head (
    id smallint NOT NULL PRIMARY KEY CONSTRAINT log_head_single CHECK (id = 1),
    last_seq bigint NOT NULL
);

INSERT INTO audit.log_head VALUES (1, 0);

CREATE TABLE audit.search_head (
    id smallint NOT NULL PRIMARY KEY CONSTRAINT search_head_single CHECK (id = 1),
    searchable_seq bigint NOT NULL
);

INSERT INTO audit.search_head VALUES (1, 0);

CREATE TABLE audit.event_ids (
    source text NOT NULL,
    event_id text NOT NULL,
    sha256 bytea NOT NULL,
    seal bytea NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (source, event_id)
);

CREATE TABLE audit.conflicts (
    id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    topic text NOT NULL,
    partition integer NOT NULL,
    incarnation integer NOT NULL,
    record_offset bigint NOT NULL,
    source text NOT NULL,
    event_id text NOT NULL,
    value bytea NOT NULL,
    found_at timestamptz NOT NULL,
    PRIMARY KEY (topic, partition, incarnation, record_offset)
);

CREATE TABLE audit.quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    topic text NOT NULL,
    partition integer NOT NULL,
    incarnation integer NOT NULL,
    record_offset bigint NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    seq bigint,
    dead_letter_id uuid UNIQUE,
    key bytea,
    value bytea,
    found_at timestamptz NOT NULL,
    PRIMARY KEY (topic, partition, incarnation, record_offset)
);

CREATE TABLE audit.reinterpreted (
    topic text NOT NULL,
    partition integer NOT NULL,
    incarnation integer NOT NULL,
    record_offset bigint NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (topic, partition, incarnation, record_offset)
);

CREATE TABLE audit.coverage (
    topic text NOT NULL,
    partition integer NOT NULL,
    incarnation integer NOT NULL,
    first_offset bigint NOT NULL,
    next_offset bigint NOT NULL,
    recorded bigint NOT NULL,
    duplicate bigint NOT NULL,
    quarantined bigint NOT NULL,
    technical bigint NOT NULL,
    explained_gap bigint NOT NULL,
    unexplained_gap bigint NOT NULL,
    PRIMARY KEY (topic, partition, incarnation)
);

CREATE TABLE audit.gaps (
    topic text NOT NULL,
    partition integer NOT NULL,
    incarnation integer NOT NULL,
    first_offset bigint NOT NULL,
    next_offset bigint NOT NULL,
    explanation text,
    found_at timestamptz NOT NULL,
    PRIMARY KEY (topic, partition, incarnation, first_offset)
);

CREATE TABLE audit.search (
    seq bigint NOT NULL PRIMARY KEY,
    actor_id text NOT NULL,
    action text NOT NULL,
    occurred_at timestamptz NOT NULL
);

CREATE INDEX search_actor ON audit.search (actor_id, seq);

CREATE INDEX search_action ON audit.search (action, seq);

CREATE INDEX search_time ON audit.search (occurred_at, seq);
"""

# A row trigger on the parent is inherited by every partition; a TRUNCATE trigger is not, so each partition gets its
# own. ENABLE ALWAYS, or session_replication_role would skip them. The tables beside the log that prove it are guarded
# alike. A partition is attached rather than created as one, because that waits for no reader of the log.
GUARDS = """
CREATE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: % on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION audit.guard_table(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = ('audit.' || name)::regclass AND tgname = 'append_only') THEN
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit.%I
            FOR EACH ROW EXECUTE FUNCTION audit.refuse_change()', name);
    END IF;
    EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON audit.%I
        FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', name);
    EXECUTE format('ALTER TABLE audit.%1$I ENABLE ALWAYS TRIGGER append_only,
        ENABLE ALWAYS TRIGGER no_truncate', name);
END $$;

SELECT audit.guard_table(name)
FROM unnest(ARRAY['audit_log', 'event_ids', 'conflicts', 'quarantine', 'reinterpreted', 'gaps']) AS name;

CREATE FUNCTION audit.ensure_partition(for_seq bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    size CONSTANT bigint := 5000000;
    lower_seq CONSTANT bigint := (for_seq / size) * size;
    name CONSTANT text := format('audit_log_%s', lpad((for_seq / size)::text, 6, '0'));
BEGIN
    IF to_regclass('audit.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE audit.%I (LIKE audit.audit_log INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format('ALTER TABLE audit.audit_log ATTACH PARTITION audit.%I FOR VALUES FROM (%s) TO (%s)',
        name, lower_seq, lower_seq + size);
    PERFORM audit.guard_table(name);
END $$;

REVOKE ALL ON FUNCTION audit.ensure_partition(bigint), audit.guard_table(text) FROM PUBLIC;

SELECT audit.ensure_partition(0), audit.ensure_partition(5000000);
"""

GRANTS = """
GRANT SELECT, INSERT ON audit.audit_log, audit.event_ids, audit.conflicts, audit.quarantine, audit.reinterpreted,
    audit.gaps TO audit;

GRANT SELECT, INSERT, UPDATE ON audit.coverage TO audit;

GRANT SELECT, INSERT ON audit.search TO audit;

GRANT SELECT, UPDATE ON audit.log_head, audit.search_head TO audit;

GRANT EXECUTE ON FUNCTION audit.ensure_partition(bigint) TO audit;
"""


def upgrade() -> None:
    for script in (TABLES, GUARDS, GRANTS):
        for statement in script.strip().split("\n\n"):
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("an audit log is not taken down by a migration")

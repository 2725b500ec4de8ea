"""Closed periods, and on which day a journal counts whose own day was closed before.

Neither is ever taken back: a closed period stays closed, whoever asks, and no journal counts in it any more.

Revision ID: 0014
Revises: 0013
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# Statements are separated by blank lines.
SCRIPT = """
CREATE TABLE payments.periods (
    period text NOT NULL PRIMARY KEY,
    ends_on date NOT NULL UNIQUE,
    closed_at timestamptz NOT NULL,
    closed_by text NOT NULL,
    closed_by_name text NOT NULL
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON payments.periods
    FOR EACH ROW EXECUTE FUNCTION payments.refuse_change();

CREATE TRIGGER no_truncate BEFORE TRUNCATE ON payments.periods
    FOR EACH STATEMENT EXECUTE FUNCTION payments.refuse_change();

ALTER TABLE payments.journals ADD COLUMN accounted_on date;

CREATE INDEX journals_accounted ON payments.journals ((coalesce(accounted_on, effective_on)), number);

CREATE FUNCTION payments.check_period() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wrong uuid;
BEGIN
    SELECT j.id INTO wrong FROM added AS j
        WHERE coalesce(j.accounted_on, j.effective_on) <= (SELECT max(ends_on) FROM payments.periods) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal % counts in a period that is closed', wrong
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_period_open';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER in_open_period AFTER INSERT ON payments.journals
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION payments.check_period();

GRANT SELECT, INSERT ON payments.periods TO payments;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken down by a migration")

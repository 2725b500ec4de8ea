"""Statements that cost the same however large the tables are: from a fact to its names, and the check of entries.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# Statements are separated by blank lines. The function does what that of 0002 did, in a form that finds the entries of
# each journal by index: a plan that was made while the tables were small would read them whole ever after.
SCRIPT = """
CREATE INDEX fact_names_fact ON payments.fact_names (fact_id, key);

CREATE OR REPLACE FUNCTION payments.check_entries() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    wrong record;
BEGIN
    SELECT touched.id, NOT whole.balanced AS unbalanced INTO wrong
        FROM (SELECT DISTINCT journal_id AS id FROM added) AS touched
        CROSS JOIN LATERAL (
            SELECT sum(e.amount_minor) = 0 AND min(e.currency) = max(e.currency) AND min(e.phase) = max(e.phase)
                AS balanced
            FROM payments.ledger_entries AS e WHERE e.journal_id = touched.id) AS whole
        CROSS JOIN LATERAL (
            SELECT j.written_by <> pg_current_xact_id() AS sealed
            FROM payments.journals AS j WHERE j.id = touched.id LIMIT 1) AS journal
        WHERE NOT whole.balanced OR journal.sealed
        ORDER BY whole.balanced LIMIT 1;
    IF FOUND AND wrong.unbalanced THEN
        RAISE EXCEPTION 'journal % does not balance in one currency and phase', wrong.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_balanced';
    END IF;
    IF FOUND THEN
        RAISE EXCEPTION 'journal % is sealed: entries join the transaction that wrote it', wrong.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_sealed';
    END IF;
    -- In the order of the key, so that two writers cannot wait for each other.
    INSERT INTO payments.balances AS held (account, currency, phase, amount_minor)
        SELECT e.account, e.currency, e.phase, sum(e.amount_minor) FROM added AS e
        GROUP BY e.account, e.currency, e.phase ORDER BY e.account, e.currency, e.phase
        ON CONFLICT (account, currency, phase)
        DO UPDATE SET amount_minor = held.amount_minor + excluded.amount_minor;
    RETURN NULL;
END $$;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a guard of the ledger is not taken down by a migration")

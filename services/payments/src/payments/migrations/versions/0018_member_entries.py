"""Members' ledgers by the time of their effect: what each journal moved for a member, found by index.

The index that this replaces found a member's entries by account, in no order of theirs.

Revision ID: 0018
Revises: 0017
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

# Statements are separated by blank lines. The key is the order of the lines as people read them, and all that a sum of
# them needs is in its index.
SCRIPT = """
CREATE TABLE payments.member_entries (
    member_id text COLLATE "C" NOT NULL,
    effective_at timestamptz NOT NULL,
    place smallint NOT NULL,
    economic_key text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    amount_minor bigint NOT NULL,
    CONSTRAINT member_entries_pkey PRIMARY KEY (member_id, effective_at, place, economic_key, currency, number)
        INCLUDE (recorded_at, amount_minor)
);

CREATE FUNCTION payments.place_of(economic_key text) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE split_part(economic_key, ':', 1)
        WHEN 'invoice' THEN 0 WHEN 'reversal' THEN 0 WHEN 'dispute_lost' THEN 0 WHEN 'refund_canceled' THEN 0
        WHEN 'credit_note_voided' THEN 0 WHEN 'refund_paid' THEN 2 ELSE 1 END::smallint
$$;

INSERT INTO payments.member_entries
    (member_id, effective_at, place, economic_key, currency, number, recorded_at, amount_minor)
    SELECT substr(e.account, strpos(e.account, ':') + 1), j.effective_at, payments.place_of(j.economic_key),
           j.economic_key, e.currency, j.number, j.recorded_at, sum(e.amount_minor)
    FROM payments.ledger_entries AS e JOIN payments.journals AS j ON j.id = e.journal_id
    WHERE e.phase = 'posted' AND left(e.account, 5) IN ('1100 ', '2200 ', '2300 ')
    GROUP BY 1, 2, 3, 4, 5, 6, 7 HAVING sum(e.amount_minor) <> 0;

DROP INDEX payments.ledger_entries_account;

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
    -- By the journal's number: no two writers meet.
    INSERT INTO payments.member_entries
        (member_id, effective_at, place, economic_key, currency, number, recorded_at, amount_minor)
        SELECT of_member.member_id, j.effective_at, payments.place_of(j.economic_key), j.economic_key,
               of_member.currency, j.number, j.recorded_at, of_member.amount_minor
        FROM (
            SELECT e.journal_id, substr(e.account, strpos(e.account, ':') + 1) AS member_id, e.currency,
                   sum(e.amount_minor) AS amount_minor
            FROM added AS e WHERE e.phase = 'posted' AND left(e.account, 5) IN ('1100 ', '2200 ', '2300 ')
            GROUP BY 1, 2, 3 HAVING sum(e.amount_minor) <> 0) AS of_member
        CROSS JOIN LATERAL (
            SELECT j.effective_at, j.economic_key, j.number, j.recorded_at
            FROM payments.journals AS j WHERE j.id = of_member.journal_id LIMIT 1) AS j
        ON CONFLICT ON CONSTRAINT member_entries_pkey
        DO UPDATE SET amount_minor = member_entries.amount_minor + excluded.amount_minor;
    RETURN NULL;
END $$;

GRANT SELECT ON payments.member_entries TO payments;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a guard of the ledger is not taken down by a migration")

"""The double-entry ledger with its guards.

Four things are refused to everybody, the service's own role and the owner included: a journal that does not balance
or mixes currencies or phases; a journal without entries; entries added to a journal of an earlier transaction; any
change or removal. Balances are kept by the same trigger that checks, so that no writer can make them differ.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Statements are separated by blank lines.
SCRIPT = """
CREATE TABLE payments.journals (
    id uuid NOT NULL PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    source text NOT NULL,
    source_key text NOT NULL,
    economic_key text NOT NULL,
    subject text NOT NULL,
    kind text NOT NULL CONSTRAINT journals_kind CHECK (kind IN ('original', 'reversal', 'correction')),
    words text NOT NULL,
    effective_at timestamptz NOT NULL,
    effective_on date NOT NULL,
    recorded_at timestamptz NOT NULL,
    reverses uuid REFERENCES payments.journals,
    caused_by uuid,
    payment_id uuid,
    invoice_id uuid,
    member_id text,
    written_by xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT journals_source UNIQUE (source, source_key)
);

CREATE INDEX journals_payment ON payments.journals (payment_id, number);

CREATE INDEX journals_subject ON payments.journals (subject);

CREATE TABLE payments.ledger_entries (
    journal_id uuid NOT NULL REFERENCES payments.journals,
    line smallint NOT NULL,
    account text NOT NULL,
    currency text NOT NULL CONSTRAINT ledger_entries_currency CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor bigint NOT NULL CONSTRAINT ledger_entries_amount CHECK (amount_minor <> 0),
    phase text NOT NULL CONSTRAINT ledger_entries_phase CHECK (phase IN ('pending', 'posted')),
    tax_code text NOT NULL CONSTRAINT ledger_entries_tax_code CHECK (tax_code IN ('GST', 'FRE', 'N-T')),
    PRIMARY KEY (journal_id, line)
);

CREATE INDEX ledger_entries_account ON payments.ledger_entries (account, journal_id);

CREATE TABLE payments.balances (
    account text NOT NULL,
    currency text NOT NULL,
    phase text NOT NULL,
    amount_minor bigint NOT NULL,
    PRIMARY KEY (account, currency, phase)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);

CREATE FUNCTION payments.stamp_journal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Whatever the writer says: a journal is sealed by the transaction that really wrote it.
    NEW.written_by := pg_current_xact_id();
    RETURN NEW;
END $$;

CREATE TRIGGER stamped BEFORE INSERT ON payments.journals
    FOR EACH ROW EXECUTE FUNCTION payments.stamp_journal();

CREATE FUNCTION payments.check_entries() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wrong uuid;
BEGIN
    SELECT e.journal_id INTO wrong FROM payments.ledger_entries AS e
        WHERE e.journal_id IN (SELECT journal_id FROM added)
        GROUP BY e.journal_id
        HAVING sum(e.amount_minor) <> 0 OR count(DISTINCT e.currency) > 1 OR count(DISTINCT e.phase) > 1
        LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal % does not balance in one currency and phase', wrong
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_balanced';
    END IF;
    SELECT e.journal_id INTO wrong FROM added AS e JOIN payments.journals AS j ON j.id = e.journal_id
        WHERE j.written_by <> pg_current_xact_id() LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal % is sealed: entries join the transaction that wrote it', wrong
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

CREATE TRIGGER checked AFTER INSERT ON payments.ledger_entries
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION payments.check_entries();

CREATE FUNCTION payments.check_journal() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (SELECT count(*) FROM (SELECT FROM payments.ledger_entries WHERE journal_id = NEW.id LIMIT 2) AS e) < 2 THEN
        RAISE EXCEPTION 'journal % has no entries', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_not_empty';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER not_empty AFTER INSERT ON payments.journals
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments.check_journal();

CREATE FUNCTION payments.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON payments.journals
    FOR EACH ROW EXECUTE FUNCTION payments.refuse_change();

CREATE TRIGGER no_truncate BEFORE TRUNCATE ON payments.journals
    FOR EACH STATEMENT EXECUTE FUNCTION payments.refuse_change();

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON payments.ledger_entries
    FOR EACH ROW EXECUTE FUNCTION payments.refuse_change();

CREATE TRIGGER no_truncate BEFORE TRUNCATE ON payments.ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION payments.refuse_change();

GRANT SELECT, INSERT ON payments.journals, payments.ledger_entries TO payments;

GRANT SELECT ON payments.balances TO payments;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken down by a migration")

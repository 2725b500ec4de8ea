-- The ledger's tables with its guards, as both baselines of posting write them. Frozen.

CREATE TABLE journals (
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
    reverses uuid REFERENCES journals,
    caused_by uuid,
    payment_id uuid,
    invoice_id uuid,
    member_id text,
    written_by xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT journals_source UNIQUE (source, source_key)
);

CREATE INDEX journals_payment ON journals (payment_id, number);

CREATE INDEX journals_subject ON journals (subject);

CREATE TABLE ledger_entries (
    journal_id uuid NOT NULL REFERENCES journals,
    line smallint NOT NULL,
    account text NOT NULL,
    currency text NOT NULL CONSTRAINT ledger_entries_currency CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor bigint NOT NULL CONSTRAINT ledger_entries_amount CHECK (amount_minor <> 0),
    phase text NOT NULL CONSTRAINT ledger_entries_phase CHECK (phase IN ('pending', 'posted')),
    tax_code text NOT NULL CONSTRAINT ledger_entries_tax_code CHECK (tax_code IN ('GST', 'FRE', 'N-T')),
    PRIMARY KEY (journal_id, line)
);

CREATE INDEX ledger_entries_account ON ledger_entries (account, journal_id);

CREATE TABLE balances (
    account text NOT NULL,
    currency text NOT NULL,
    phase text NOT NULL,
    amount_minor bigint NOT NULL,
    PRIMARY KEY (account, currency, phase)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);

CREATE FUNCTION stamp_journal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Whatever the writer says: a journal is sealed by the transaction that really wrote it.
    NEW.written_by := pg_current_xact_id();
    RETURN NEW;
END $$;

CREATE TRIGGER stamped BEFORE INSERT ON journals
    FOR EACH ROW EXECUTE FUNCTION stamp_journal();

CREATE FUNCTION check_entries() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    wrong uuid;
BEGIN
    SELECT e.journal_id INTO wrong FROM ledger_entries AS e
        WHERE e.journal_id IN (SELECT journal_id FROM added)
        GROUP BY e.journal_id
        HAVING sum(e.amount_minor) <> 0 OR count(DISTINCT e.currency) > 1 OR count(DISTINCT e.phase) > 1
        LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal % does not balance in one currency and phase', wrong
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_balanced';
    END IF;
    SELECT e.journal_id INTO wrong FROM added AS e JOIN journals AS j ON j.id = e.journal_id
        WHERE j.written_by <> pg_current_xact_id() LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal % is sealed: entries join the transaction that wrote it', wrong
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_sealed';
    END IF;
    -- In the order of the key, so that two writers cannot wait for each other.
    INSERT INTO balances AS held (account, currency, phase, amount_minor)
        SELECT e.account, e.currency, e.phase, sum(e.amount_minor) FROM added AS e
        GROUP BY e.account, e.currency, e.phase ORDER BY e.account, e.currency, e.phase
        ON CONFLICT (account, currency, phase)
        DO UPDATE SET amount_minor = held.amount_minor + excluded.amount_minor;
    RETURN NULL;
END $$;

CREATE TRIGGER checked AFTER INSERT ON ledger_entries
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_entries();

CREATE FUNCTION check_journal() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF (SELECT count(*) FROM (SELECT FROM ledger_entries WHERE journal_id = NEW.id LIMIT 2) AS e) < 2 THEN
        RAISE EXCEPTION 'journal % has no entries', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_not_empty';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER not_empty AFTER INSERT ON journals
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_journal();

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON journals
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER no_truncate BEFORE TRUNCATE ON journals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger_entries
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER no_truncate BEFORE TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

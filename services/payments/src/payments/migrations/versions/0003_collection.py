"""Facts, payments, invoices and members.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Statements are separated by blank lines. Keys sort by bytes: that order is the order of locks.
SCRIPT = """
CREATE TABLE payments.provider_objects (key text COLLATE "C" NOT NULL PRIMARY KEY);

CREATE TABLE payments.provider_facts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash bytea NOT NULL UNIQUE,
    input_id uuid NOT NULL,
    body jsonb NOT NULL
);

CREATE TABLE payments.fact_names (
    key text COLLATE "C" NOT NULL,
    fact_id bigint NOT NULL REFERENCES payments.provider_facts,
    PRIMARY KEY (key, fact_id)
);

CREATE TABLE payments.payments (
    id uuid NOT NULL PRIMARY KEY,
    key text COLLATE "C" NOT NULL UNIQUE,
    provider text NOT NULL,
    account text NOT NULL,
    reference text NOT NULL,
    state text NOT NULL,
    amount_minor bigint,
    currency text,
    customer text,
    member_id text,
    invoice_id uuid,
    created_at timestamptz NOT NULL,
    awaiting text[] NOT NULL,
    snapshot jsonb NOT NULL,
    superseded boolean NOT NULL,
    version bigint NOT NULL
);

CREATE INDEX payments_member ON payments.payments (member_id, id);

CREATE TABLE payments.payment_references (
    reference text NOT NULL,
    payment_id uuid NOT NULL REFERENCES payments.payments,
    PRIMARY KEY (reference, payment_id)
);

CREATE TABLE payments.payment_attempts (
    payment_id uuid NOT NULL REFERENCES payments.payments,
    attempt text NOT NULL,
    number integer NOT NULL,
    state text NOT NULL,
    at timestamptz NOT NULL,
    failure_code text,
    decline_code text,
    failure_message text,
    PRIMARY KEY (payment_id, attempt)
);

CREATE TABLE payments.invoices (
    id uuid NOT NULL PRIMARY KEY,
    key text COLLATE "C" NOT NULL UNIQUE,
    reference text NOT NULL,
    state text NOT NULL,
    implied boolean NOT NULL,
    total_minor bigint NOT NULL,
    gst_minor bigint NOT NULL,
    gst_rule text NOT NULL,
    currency text NOT NULL,
    issued_at timestamptz NOT NULL,
    paid_at timestamptz,
    due_on date,
    customer text,
    member_id text,
    version bigint NOT NULL
);

CREATE INDEX invoices_member ON payments.invoices (member_id, id);

CREATE TABLE payments.members (
    id text NOT NULL PRIMARY KEY,
    name text NOT NULL,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE payments.member_customers (
    provider text NOT NULL,
    account text NOT NULL,
    reference text NOT NULL,
    member_id text NOT NULL REFERENCES payments.members,
    PRIMARY KEY (provider, account, reference)
);

CREATE INDEX member_customers_member ON payments.member_customers (member_id);

GRANT SELECT, INSERT ON payments.provider_facts, payments.fact_names TO payments;

GRANT SELECT, INSERT, UPDATE ON payments.provider_objects, payments.payments, payments.invoices,
    payments.members TO payments;

GRANT SELECT, INSERT, UPDATE, DELETE ON payments.payment_attempts TO payments;

GRANT SELECT, INSERT ON payments.payment_references TO payments;

GRANT SELECT, INSERT, DELETE ON payments.member_customers TO payments;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("facts are kept: going back is restoring a backup")

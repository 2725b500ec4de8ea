-- The rows that both baselines write: the durable work of the product's hot paths, and no more than that.
-- Bodies stay uncompressed and in their row: pglz and a side table cost PostgreSQL more than they save.

CREATE TABLE webhook_deliveries (
    id uuid PRIMARY KEY,
    provider text NOT NULL,
    received_at timestamptz NOT NULL,
    headers bytea NOT NULL,
    body bytea STORAGE EXTERNAL NOT NULL,
    body_sha256 bytea NOT NULL,
    status smallint NOT NULL,
    state text NOT NULL
) WITH (toast_tuple_target = 8160);

CREATE TABLE provider_events (
    id uuid PRIMARY KEY,
    provider text NOT NULL,
    account text NOT NULL,
    livemode boolean NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    api_version text,
    content_sha256 bytea NOT NULL,
    delivery_id uuid NOT NULL,
    received_at timestamptz NOT NULL,
    UNIQUE (provider, account, livemode, event_id)
);

CREATE TABLE pending_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider_event_id uuid NOT NULL,
    available_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0
);

CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    value bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE inbox (
    consumer text NOT NULL,
    event_id text NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);

CREATE TABLE records (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    type text NOT NULL,
    entity_type text NOT NULL,
    entity_id text NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    workflow_name text NOT NULL,
    workflow_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    value bytea NOT NULL
);
CREATE INDEX records_by_entity ON records (entity_type, entity_id, seq);
CREATE INDEX records_by_workflow ON records (workflow_name, workflow_id, seq);

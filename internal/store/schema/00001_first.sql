-- +goose Up

-- Conventions: an id is 16 bytes and carries its bucket; instants are unix
-- microseconds; money is in minor units; there are no NULLs (the zero id, 0
-- and '' say "none"). Rows that acts change have a version, which each change
-- raises by one. No secondary index is written by a payment but due_when.

-- batch proves which COMMIT arrived (design section 2, "The answer to COMMIT got lost").
CREATE TABLE batch (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    PRIMARY KEY (id, bucket)
) WITH (fillfactor = 100);

-- counter gives blocks of integers, leased outside acts.
CREATE TABLE counter (
    name TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    next_number BIGINT NOT NULL,
    PRIMARY KEY (name, bucket)
) WITH (fillfactor = 50);

INSERT INTO counter (name, bucket, next_number) VALUES ('number', 0, 1);

CREATE TABLE process (
    epoch BIGINT NOT NULL,
    bucket INTEGER NOT NULL,
    instance TEXT NOT NULL,
    seen_us BIGINT NOT NULL,
    PRIMARY KEY (epoch, bucket)
) WITH (fillfactor = 50);

CREATE TABLE ref (
    scope TEXT COLLATE "C" NOT NULL,
    ref_text TEXT COLLATE "C" NOT NULL,
    bucket INTEGER NOT NULL,
    target UUID NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (scope, ref_text, bucket)
) WITH (fillfactor = 100);

CREATE TABLE customer (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    merchant_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (id, bucket)
) WITH (fillfactor = 80);

CREATE TABLE instrument (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    customer UUID NOT NULL,
    connector TEXT NOT NULL,
    account TEXT NOT NULL,
    token TEXT NOT NULL,
    label TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (id, bucket)
) WITH (fillfactor = 80);

CREATE TABLE payment (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    project_id BIGINT NOT NULL,
    amount_minor BIGINT NOT NULL,
    captured_minor BIGINT NOT NULL,
    refunded_minor BIGINT NOT NULL,
    refunding_minor BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    limit_us BIGINT NOT NULL,
    callback_delay_s BIGINT NOT NULL,
    callback_mute BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    last_operation UUID NOT NULL,
    last_event UUID NOT NULL,
    last_delivery UUID NOT NULL,
    status TEXT NOT NULL,
    type TEXT NOT NULL,
    method TEXT NOT NULL,
    currency TEXT NOT NULL,
    door TEXT NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    merchant_payment_id TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    description TEXT NOT NULL,
    callback_url TEXT NOT NULL,
    success_url TEXT NOT NULL,
    decline_url TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
) WITH (fillfactor = 40);

CREATE TABLE operation (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    payment UUID NOT NULL,
    prev UUID NOT NULL,
    attempt UUID NOT NULL,
    number BIGINT NOT NULL,
    amount_minor BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    currency TEXT NOT NULL,
    merchant_refund_id TEXT NOT NULL,
    description TEXT NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
) WITH (fillfactor = 40);

CREATE TABLE attempt (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    operation UUID NOT NULL,
    payment UUID NOT NULL,
    prev UUID NOT NULL,
    captured_by UUID NOT NULL,
    amount_minor BIGINT NOT NULL,
    provider_us BIGINT NOT NULL,
    late BIGINT NOT NULL,
    no_records BIGINT NOT NULL,
    no_record_us BIGINT NOT NULL,
    lookups BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    payee TEXT NOT NULL,
    connector TEXT NOT NULL,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    currency TEXT NOT NULL,
    captured_provider_id TEXT NOT NULL,
    provider_id TEXT NOT NULL,
    provider_code TEXT NOT NULL,
    provider_message TEXT NOT NULL,
    redirect TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
) WITH (fillfactor = 40);

CREATE TABLE account (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    minor BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    owner TEXT NOT NULL,
    purpose TEXT NOT NULL,
    currency TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
) WITH (fillfactor = 50);

-- transfer's postings lie in it, as ledger.EncodePostings writes them: they are
-- made and read together, and are never changed.
CREATE TABLE transfer (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    payment UUID NOT NULL,
    operation UUID NOT NULL,
    created_us BIGINT NOT NULL,
    kind TEXT NOT NULL,
    postings TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
) WITH (fillfactor = 100);

CREATE TABLE event (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    payment UUID NOT NULL,
    operation UUID NOT NULL,
    prev UUID NOT NULL,
    at_us BIGINT NOT NULL,
    kind TEXT NOT NULL,
    from_status TEXT NOT NULL,
    to_status TEXT NOT NULL,
    snapshot TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

CREATE TABLE request (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

CREATE TABLE delivery (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    event UUID NOT NULL,
    payment UUID NOT NULL,
    prev UUID NOT NULL,
    next UUID NOT NULL,
    tries BIGINT NOT NULL,
    last_status BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    door TEXT NOT NULL,
    state TEXT NOT NULL,
    url TEXT NOT NULL,
    last_error TEXT NOT NULL,
    log TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

CREATE INDEX delivery_dead ON delivery (id) WHERE state = 'dead';

CREATE TABLE inbox (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    tries BIGINT NOT NULL,
    received_us BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    connector TEXT NOT NULL,
    account TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    header TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

CREATE INDEX inbox_dead ON inbox (id) WHERE state = 'dead';

-- dispute_case, since CASE is a word of SQL.
CREATE TABLE dispute_case (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    payment UUID NOT NULL,
    created_us BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    details TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
) WITH (fillfactor = 80);

CREATE TABLE due (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    due_us BIGINT NOT NULL,
    owner BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    kind TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
) WITH (fillfactor = 80);

-- Not (due_us, id): with the id in it, PostgreSQL's planner takes this index for
-- looking up a row by id as long as it believes the table to be small.
CREATE INDEX due_when ON due (due_us);

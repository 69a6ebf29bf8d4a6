-- +goose Up

-- limit_window is what a customer did lately in one currency, exact (limits-and-risk.md section 0).
CREATE TABLE limit_window (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    customer UUID NOT NULL,
    ever_minor BIGINT NOT NULL,
    since_minor BIGINT NOT NULL,
    staked_minor BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    kind TEXT NOT NULL,
    currency TEXT NOT NULL,
    entries TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

-- source is what each instrument of a customer has paid in and got back, in one currency.
CREATE TABLE source (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    customer UUID NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    currency TEXT NOT NULL,
    entries TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

-- kyc_check is one verification of who a customer is.
CREATE TABLE kyc_check (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    customer UUID NOT NULL,
    level BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    until_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    state TEXT NOT NULL,
    provider TEXT NOT NULL,
    reference TEXT NOT NULL,
    reason TEXT NOT NULL,
    facts TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

-- person names the customers who are one person, by a keyed hash.
CREATE TABLE person (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    members TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

-- review is what a payout waits for, who approved it, and what was decided on what figures.
CREATE TABLE review (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    customer UUID NOT NULL,
    required_level BIGINT NOT NULL,
    next_us BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    approvals TEXT NOT NULL,
    editor TEXT NOT NULL,
    log TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

-- operator is a person who may act at the operators' door; hash is a keyed one of their token.
CREATE TABLE operator (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    created_us BIGINT NOT NULL,
    revoked_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    name TEXT NOT NULL,
    roles TEXT NOT NULL,
    hash TEXT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
) WITH (fillfactor = 80);

-- audit_head is the end of a bucket's chain of audit entries.
CREATE TABLE audit_head (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    last_entry UUID NOT NULL,
    number BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    hash TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
) WITH (fillfactor = 80);

-- note is the history of a customer's limits, restrictions and levels, and what they were told.
CREATE TABLE note (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    customer UUID NOT NULL,
    prev UUID NOT NULL,
    at_us BIGINT NOT NULL,
    kind TEXT NOT NULL,
    made_by TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

-- audit is what operators did: each entry holds the hash of the one before it.
CREATE TABLE audit (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    number BIGINT NOT NULL,
    at_us BIGINT NOT NULL,
    prev_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    about TEXT NOT NULL,
    details TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

ALTER TABLE customer ADD COLUMN level BIGINT NOT NULL DEFAULT 0;
ALTER TABLE customer ADD COLUMN level_until_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE customer ADD COLUMN restricted_until_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE customer ADD COLUMN ending_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE customer ADD COLUMN review BIGINT NOT NULL DEFAULT 0;
ALTER TABLE customer ADD COLUMN person UUID NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
ALTER TABLE customer ADD COLUMN last_note UUID NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
ALTER TABLE customer ADD COLUMN restriction TEXT NOT NULL DEFAULT '';
ALTER TABLE customer ADD COLUMN limits TEXT NOT NULL DEFAULT '';

ALTER TABLE dispute_case ADD COLUMN customer UUID NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
ALTER TABLE dispute_case ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE dispute_case ADD COLUMN log TEXT NOT NULL DEFAULT '';
ALTER TABLE dispute_case ADD COLUMN resolution TEXT NOT NULL DEFAULT '';

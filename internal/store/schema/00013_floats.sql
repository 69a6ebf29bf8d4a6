-- +goose Up

-- payout_float is what was paid out lately by one merchant or PSP account, to customers of all buckets.
CREATE TABLE payout_float (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    name TEXT NOT NULL,
    entries TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

-- payout_claim is the place of a payout in a float; it lies with the float.
CREATE TABLE payout_claim (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    payment UUID NOT NULL,
    minor BIGINT NOT NULL,
    at_us BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    currency TEXT NOT NULL,
    held_before TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

-- +goose Up

-- Endpoints of Standard Webhooks: where a project hears of its events. The
-- secrets are encrypted, so a dump of the database signs nothing.
CREATE TABLE endpoint (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    project_id BIGINT NOT NULL,
    old_until_us BIGINT NOT NULL,
    failing_us BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    warned_us BIGINT NOT NULL,
    wants_us BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    state TEXT NOT NULL,
    types TEXT NOT NULL,
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    reason TEXT NOT NULL,
    secret TEXT NOT NULL,
    old_secret TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
) WITH (fillfactor = 50);

-- The deliveries of a payment to endpoints are a chain of their own.
ALTER TABLE payment ADD COLUMN events BIGINT NOT NULL DEFAULT 0;
ALTER TABLE payment ADD COLUMN last_webhook UUID NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';

ALTER TABLE delivery ADD COLUMN endpoint UUID NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
ALTER TABLE delivery ADD COLUMN type TEXT NOT NULL DEFAULT '';

-- Callbacks to a payment's own address are not in it, so they cost as much as before.
CREATE INDEX delivery_endpoint ON delivery (endpoint, id) WHERE door = 'webhook';

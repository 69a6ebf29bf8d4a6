-- +goose Up

-- api_key's hash is a keyed one of the key's whole text, which nobody but its holder has.
CREATE TABLE api_key (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    project_id BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL,
    revoked_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    name TEXT NOT NULL,
    hash TEXT NOT NULL,
    scopes TEXT NOT NULL,
    default_customer TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
) WITH (fillfactor = 80);

-- answer is what a request was answered that may be repeated under its idempotency key.
CREATE TABLE answer (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    thing UUID NOT NULL,
    project_id BIGINT NOT NULL,
    owner BIGINT NOT NULL,
    status BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    route TEXT NOT NULL,
    key_text TEXT NOT NULL,
    print TEXT NOT NULL,
    media TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

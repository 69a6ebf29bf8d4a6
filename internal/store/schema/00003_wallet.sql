-- +goose Up

-- A customer's wallet: rounds, and the chain of their transfers in one
-- currency, whose head is in the row of their available account.
CREATE TABLE round (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    project_id BIGINT NOT NULL,
    customer UUID NOT NULL,
    rollback_transfer UUID NOT NULL,
    stakes BIGINT NOT NULL,
    wins BIGINT NOT NULL,
    staked_minor BIGINT NOT NULL,
    won_minor BIGINT NOT NULL,
    bonus_staked_minor BIGINT NOT NULL,
    bonus_won_minor BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    name TEXT NOT NULL,
    currency TEXT NOT NULL,
    rolled_back TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
) WITH (fillfactor = 50);

ALTER TABLE customer ADD COLUMN currencies TEXT NOT NULL DEFAULT '';
ALTER TABLE account ADD COLUMN last_transfer UUID NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
ALTER TABLE attempt ADD COLUMN transfer UUID NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
ALTER TABLE transfer ADD COLUMN customer UUID NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
ALTER TABLE transfer ADD COLUMN prev UUID NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
ALTER TABLE transfer ADD COLUMN round UUID NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
ALTER TABLE transfer ADD COLUMN project_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE transfer ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE transfer ADD COLUMN description TEXT NOT NULL DEFAULT '';

-- +goose Up

-- What is left of a customer's attempts to pay (payment page, "try again").
ALTER TABLE payment ADD COLUMN tries_left BIGINT NOT NULL DEFAULT 0;
ALTER TABLE payment ADD COLUMN retry_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE payment ADD COLUMN awaiting TEXT NOT NULL DEFAULT '';

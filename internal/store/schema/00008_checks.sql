-- +goose Up

-- checks is what is known of who a customer is: which checks bear their level, which are under way.
ALTER TABLE customer ADD COLUMN checks TEXT NOT NULL DEFAULT '';

-- +goose Up

-- What a deposit of a licensed project was paid with, and where a part of a payout goes.
ALTER TABLE attempt ADD COLUMN way TEXT NOT NULL DEFAULT '';

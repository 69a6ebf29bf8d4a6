-- +goose Up

-- How a customer is reached for their links with Google: the number sealed, and a keyed hash by which it is found.
ALTER TABLE fop_linked ADD COLUMN phone TEXT NOT NULL DEFAULT '';
ALTER TABLE fop_linked ADD COLUMN phone_hash TEXT NOT NULL DEFAULT '';
CREATE INDEX fop_linked_phone ON fop_linked (phone_hash) WHERE phone_hash <> '';

-- A code is sent once and never again, so nothing of its message is kept.
ALTER TABLE fop_code DROP COLUMN phone;
ALTER TABLE fop_code DROP COLUMN matching;
ALTER TABLE fop_code DROP COLUMN context;
ALTER TABLE fop_code DROP COLUMN sendings;
ALTER TABLE fop_code DROP COLUMN print;

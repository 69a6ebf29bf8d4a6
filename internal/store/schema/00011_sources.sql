-- +goose Up

-- What each instrument of a customer has paid in and got back lies in their window of deposits, which every deposit
-- changes anyway: one row of a customer's instead of two. Its rows change twice a payment and grow, so pages have room.
ALTER TABLE limit_window ADD COLUMN sources TEXT NOT NULL DEFAULT '';
ALTER TABLE limit_window SET (fillfactor = 70);
DROP TABLE source;

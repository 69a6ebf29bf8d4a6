-- +goose Up

-- When a limit of the customer's was last lowered, in the window that a capture changes anyway: it need not read the
-- customer then. The greatest number says that only the customer's row tells.
ALTER TABLE limit_window ADD COLUMN lower_us BIGINT NOT NULL DEFAULT 9223372036854775807;

-- Whom the offline store has to erase. One row an erasure; its number counts up from 1.
CREATE TABLE erasure_order (
    number BIGINT NOT NULL PRIMARY KEY,
    erasure TEXT NOT NULL UNIQUE,
    namespace TEXT NOT NULL,
    join_key TEXT NOT NULL,
    key_type TEXT NOT NULL,
    value_json TEXT NOT NULL,
    up_to_micros BIGINT NOT NULL,
    requested_at_micros BIGINT NOT NULL,
    caller TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    reason TEXT NOT NULL
);

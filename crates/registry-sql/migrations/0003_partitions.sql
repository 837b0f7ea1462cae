-- What is known of published partitions. One row a recorded revision; written once, never changed.
-- `record` is JSON of the port's own record: what it holds beyond the columns here is only told.
CREATE TABLE partition_record (
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    start_micros BIGINT NOT NULL,
    revision BIGINT NOT NULL CHECK (revision > 0),
    content_hash TEXT NOT NULL,
    record TEXT NOT NULL,
    author TEXT NOT NULL,
    at_micros BIGINT NOT NULL,
    PRIMARY KEY (namespace, name, version, start_micros, revision)
);

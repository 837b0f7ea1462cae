-- The registry. One text for SQLite and PostgreSQL: BIGINT and TEXT only, no defaults, no triggers.
-- Every row but the head's is written once and never changed.

-- One row: the head. An apply moves it by compare-and-set before it writes anything else.
CREATE TABLE registry_head (
    only_row BIGINT NOT NULL PRIMARY KEY CHECK (only_row = 1),
    revision BIGINT NOT NULL CHECK (revision >= 0)
);

INSERT INTO registry_head (only_row, revision) VALUES (1, 0);

-- One row an apply: who, when, why.
CREATE TABLE registry_revision (
    revision BIGINT NOT NULL PRIMARY KEY CHECK (revision > 0),
    author TEXT NOT NULL,
    at_micros BIGINT NOT NULL,
    reason TEXT NOT NULL
);

-- The accepted forms of a view version, as its author wrote them. `format` is the config format
-- that the text was read with, so that a later one can still read it as it was meant.
CREATE TABLE feature_view (
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    revision BIGINT NOT NULL REFERENCES registry_revision (revision),
    format BIGINT NOT NULL,
    config_text TEXT NOT NULL,
    sql_text TEXT,
    PRIMARY KEY (namespace, name, version, revision)
);

CREATE INDEX feature_view_by_revision ON feature_view (revision);

CREATE TABLE feature_service (
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    revision BIGINT NOT NULL REFERENCES registry_revision (revision),
    format BIGINT NOT NULL,
    config_text TEXT NOT NULL,
    PRIMARY KEY (namespace, name, version, revision)
);

CREATE INDEX feature_service_by_revision ON feature_service (revision);

-- One row a change.
CREATE TABLE audit (
    revision BIGINT NOT NULL REFERENCES registry_revision (revision),
    ordinal BIGINT NOT NULL CHECK (ordinal >= 0),
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (revision, ordinal)
);

CREATE INDEX audit_by_subject ON audit (subject, revision);

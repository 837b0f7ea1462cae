-- What was accepted stays: SQLite refuses to change or remove it, whoever asks. Run at every open.
CREATE TRIGGER IF NOT EXISTS registry_revision_is_kept BEFORE UPDATE ON registry_revision
BEGIN SELECT RAISE(ABORT, 'an accepted revision never changes'); END;
CREATE TRIGGER IF NOT EXISTS registry_revision_stays BEFORE DELETE ON registry_revision
BEGIN SELECT RAISE(ABORT, 'an accepted revision is never removed'); END;
CREATE TRIGGER IF NOT EXISTS feature_view_is_kept BEFORE UPDATE ON feature_view
BEGIN SELECT RAISE(ABORT, 'an accepted view version never changes'); END;
CREATE TRIGGER IF NOT EXISTS feature_view_stays BEFORE DELETE ON feature_view
BEGIN SELECT RAISE(ABORT, 'an accepted view version is never removed'); END;
CREATE TRIGGER IF NOT EXISTS feature_service_is_kept BEFORE UPDATE ON feature_service
BEGIN SELECT RAISE(ABORT, 'an accepted service version never changes'); END;
CREATE TRIGGER IF NOT EXISTS feature_service_stays BEFORE DELETE ON feature_service
BEGIN SELECT RAISE(ABORT, 'an accepted service version is never removed'); END;
CREATE TRIGGER IF NOT EXISTS audit_is_kept BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log never changes'); END;
CREATE TRIGGER IF NOT EXISTS audit_stays BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is never cut'); END;
CREATE TRIGGER IF NOT EXISTS partition_record_is_kept BEFORE UPDATE ON partition_record
BEGIN SELECT RAISE(ABORT, 'a recorded partition never changes'); END;
CREATE TRIGGER IF NOT EXISTS partition_record_stays BEFORE DELETE ON partition_record
BEGIN SELECT RAISE(ABORT, 'a recorded partition is never removed'); END;

-- Lets one at a time seal the audit log.
SELECT pg_advisory_xact_lock(hashtext('jobforge_audit'))

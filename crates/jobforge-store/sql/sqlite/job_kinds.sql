-- The kinds of a tenant, type or queue, that with the newest job first.
-- ?1 tenant, ?2 type, ?3 queue (each NULL for any), ?4 before this id, or NULL, ?5 at most so many
-- Index: primary key of jobforge_listed, once a kind. The newest so many jobs are of kinds whose newest job is among the
-- newest so many, so no other kind need be read.
SELECT kind
FROM (
    SELECT
        kind,
        (
            SELECT max(id)
            FROM jobforge_listed
            WHERE jobforge_listed.kind = jobforge_kinds.kind
              AND id < coalesce(?4, '~')
        ) AS newest
    FROM jobforge_kinds
    WHERE (?1 IS NULL OR tenant_id = ?1)
      AND (?2 IS NULL OR type = ?2)
      AND (?3 IS NULL OR queue = ?3)
)
WHERE newest IS NOT NULL
ORDER BY newest DESC
LIMIT ?5;

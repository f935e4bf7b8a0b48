-- Forgets silences that ended long ago.
-- ?1 before when
-- Index: idx_jobforge_silences_until.
DELETE FROM jobforge_silences
WHERE until < ?1;

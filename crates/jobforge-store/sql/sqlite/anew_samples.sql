-- Forgets what processes told of themselves where the copy was made.
-- Scans the samples, of which there are those of about an hour.
DELETE FROM jobforge_samples;

-- Who kept house last, and when. One row.
SELECT id, last_sign_at
FROM jobforge_housekeeper

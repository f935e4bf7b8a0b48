//! Reputation and badges.

use crate::site::{Site, succeeded};

const USERS: &str = "
INSERT INTO app.users (name, reputation) VALUES ('ada', 0), ('bob', 0), ('cyd', 5), ('dot', 0), ('eve', 0);
INSERT INTO app.clips (source_id, title, creator_id, votes, created_at)
SELECT 'ada-' || n, 'a', 1, 20, now() FROM generate_series(1, 10) AS n
UNION ALL SELECT 'bob', 'b', 2, -50, now()
UNION ALL SELECT 'eve-' || n, 'e', 5, 2000000000, now() FROM generate_series(1, 2) AS n";

const BADGES: &str = "
SELECT u.name || ' ' || b.badge FROM app.badges b JOIN app.users u ON u.id = b.user_id ORDER BY 1";

#[test]
fn process_what_users_earn_is_added_up_and_a_sum_that_does_not_fit_holds_nobody_else_back() {
    let site = Site::new();
    let worker = site.work();
    site.sql(USERS);
    let job = site.trigger("reputation_tasks");
    // Ada and Cyd have another reputation than before, Bob has made a clip, Dot has not, and Eve's votes are too many.
    assert_eq!(site.ended(&job), succeeded(3, 1, 1));
    let reputations = site.sql("SELECT string_agg(reputation::text, ' ' ORDER BY id) FROM app.users");
    assert_eq!(reputations, "200 0 0 0 0");
    assert_eq!(site.sql(BADGES), "ada first_clip\nada liked\nada ten_clips\nbob first_clip");
    worker.until_it_says("reputation_tasks: id 5 failed: db error: ERROR: integer out of range");
    let logged = site.jobforge(&["job", "logs", &job]);
    assert!(logged.contains("id 5 failed"), "{logged}");
    // A second run finds everything done.
    assert_eq!(site.run("reputation_tasks"), succeeded(0, 1, 4));
}

#[test]
fn process_a_run_in_which_most_items_fail_fails() {
    let site = Site::new();
    let _worker = site.work();
    site.sql(USERS);
    site.sql("DELETE FROM app.clips WHERE creator_id <> 5; DELETE FROM app.users WHERE id <> 5");
    let job = site.trigger("reputation_tasks");
    let ended = site.ended(&job);
    assert_eq!((ended.status.as_str(), ended.processed, ended.failed), ("failed", 0, 1));
    let error = site.job(&job, "error ->> 'kind' || ': ' || (error ->> 'message')");
    assert!(error.contains("mostly_failed: 1 of 1 items failed"), "{error}");
}

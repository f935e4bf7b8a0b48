//! Searches come upon what somebody's own SQL left, which no check of this engine keeps out.

use jobforge_core::time::Now;

use super::{Scratch, job, migrated};
use crate::rows::JobFilter;
use crate::traits::{Enqueue, Inspect};

#[tokio::test]
async fn text_that_is_no_json_breaks_no_search() {
    let scratch = Scratch::new();
    let store = migrated(&scratch).await;
    let jobs = [job(r#"{"a":1}"#), job(r#"{"a":1}"#), job(r#"{"a":1}"#)];
    store.enqueue(&jobs, Now::Database).await.expect("jobs");
    let raw = rusqlite::Connection::open(scratch.file()).expect("raw");
    let spoilt = "UPDATE jobforge_jobs SET payload = '{\"a\":1', error = 'Not JSON either' WHERE id = ?1";
    raw.execute(spoilt, [jobs[0].id.to_string()]).expect("no JSON");
    let foreign = "UPDATE jobforge_jobs SET error = '\"not an object\"' WHERE id = ?1";
    raw.execute(foreign, [jobs[1].id.to_string()]).expect("not ours");
    let found = async |filter: JobFilter| {
        let jobs = store.jobs(&JobFilter { limit: 10, ..filter }).await.expect("a search");
        jobs.iter().map(|job| job.id).collect::<Vec<_>>()
    };
    let payload = |text: &str| JobFilter { payload: text.parse().ok(), ..JobFilter::default() };
    let error = |text: &str| JobFilter { error: Some(text.to_owned()), ..JobFilter::default() };
    assert_eq!(found(payload("b:1")).await, []);
    let holds = found(payload("a:1")).await;
    assert!(holds.contains(&jobs[1].id) && holds.contains(&jobs[2].id));
    assert_eq!(found(error("not JSON")).await, [jobs[0].id]);
    assert_eq!(found(error("an object")).await, [jobs[1].id]);
    assert_eq!(found(error("nothing")).await, []);
}

//! Dead letters: by cause, discarded, and run again.

use std::sync::Arc;

use anyhow::Result;
use jobforge_core::audit::By;
use jobforge_core::dead::{DeadGroup, fingerprint};
use jobforge_core::job::{ClaimedJob, ErrorInfo, JobId, NewJob};
use jobforge_core::settle::Outcome;
use jobforge_core::state::Status;
use jobforge_store::Store;
use jobforge_store::rows::{DeadFilter, Latest, Move};

use crate::fixtures::{
    at, by, claim_one, end_with, ended_job, enqueue, error, failure, job, moment, read, register,
    running_job, settle_one, unknown_job,
};

/// A job that dies of this at this second.
async fn dead(store: &Arc<dyn Store>, new: NewJob, message: &str, second: i64) -> Result<JobId> {
    end_with(store, new, failure(message), at(second)).await
}

/// The causes that match, all of them named.
async fn causes(store: &Arc<dyn Store>, filter: &DeadFilter) -> Result<Vec<DeadGroup>> {
    store.name_causes().await?;
    Ok(store.dead_groups(filter).await?)
}

async fn listed(store: &Arc<dyn Store>, filter: &DeadFilter) -> Result<Vec<JobId>> {
    Ok(store.dead_jobs(filter, None, 100).await?.into_iter().map(|job| job.id).collect())
}

pub async fn the_dead_are_told_by_cause_the_most_frequent_first(store: Arc<dyn Store>) -> Result<()> {
    assert_eq!(causes(&store, &DeadFilter::default()).await?, []);
    dead(&store, job("mail"), "no route to 10.0.0.7:25", 1).await?;
    let other_type = dead(&store, job("fax"), "no route to 10.0.0.7:25", 2).await?;
    let last = dead(&store, job("mail"), "no route to 10.0.0.99:587\nand a trace", 3).await?;
    let told = causes(&store, &DeadFilter::default()).await?;
    let mail = DeadGroup {
        group: fingerprint("mail", &error("no route to 10.0.0.7:25")),
        job_type: "mail".to_owned(),
        kind: "error".to_owned(),
        pattern: "no route to #.#.#.#:#".to_owned(),
        count: 2,
        first_at: moment(1),
        last_at: moment(3),
        sample: last,
    };
    let fax = DeadGroup {
        group: fingerprint("fax", &error("no route to 10.0.0.7:25")),
        job_type: "fax".to_owned(),
        count: 1,
        first_at: moment(2),
        last_at: moment(2),
        sample: other_type,
        ..mail.clone()
    };
    assert_eq!(told, [mail, fax]);
    assert_eq!(read(&store, last).await?.dead_group, Some(told[0].group.clone()));
    Ok(())
}

pub async fn a_filter_narrows_causes_and_jobs_alike(store: Arc<dyn Store>) -> Result<()> {
    let acme = dead(&store, NewJob { tenant_id: "acme".to_owned(), ..job("mail") }, "boom", 1).await?;
    let slow = dead(&store, NewJob { queue: "slow".to_owned(), ..job("mail") }, "boom", 2).await?;
    let fax = dead(&store, job("fax"), "boom", 3).await?;
    let of_acme = DeadFilter { tenant_id: Some("acme".to_owned()), ..DeadFilter::default() };
    let of_slow = DeadFilter { queue: Some("slow".to_owned()), ..DeadFilter::default() };
    for (filter, expected) in [(of_acme, acme), (of_slow, slow)] {
        let told = causes(&store, &filter).await?;
        assert_eq!(told.iter().map(|group| (group.count, group.sample)).collect::<Vec<_>>(), [(1, expected)]);
        assert_eq!(listed(&store, &filter).await?, [expected]);
    }
    let of_fax = DeadFilter { job_type: Some("fax".to_owned()), ..DeadFilter::default() };
    assert_eq!(listed(&store, &of_fax).await?, [fax]);
    let group = read(&store, acme).await?.dead_group;
    assert_eq!(listed(&store, &DeadFilter { group, ..DeadFilter::default() }).await?, [slow, acme]);
    let nobody = DeadFilter { group: Some("0".repeat(16)), ..DeadFilter::default() };
    assert_eq!(listed(&store, &nobody).await?, []);
    Ok(())
}

pub async fn who_makes_a_job_dead_need_not_name_the_cause(store: Arc<dyn Store>) -> Result<()> {
    let id = dead(&store, job("mail"), "boom", 1).await?;
    assert_eq!(read(&store, id).await?.dead_group, None, "a settlement does not pay for it");
    assert_eq!(store.dead_groups(&DeadFilter::default()).await?, []);
    assert_eq!(listed(&store, &DeadFilter::default()).await?, [id], "it is listed all the same");
    assert_eq!((store.name_causes().await?, store.name_causes().await?), (1, 0));
    assert_eq!(read(&store, id).await?.dead_group, Some(fingerprint("mail", &error("boom"))));
    Ok(())
}

pub async fn a_person_may_say_once_that_a_job_stays_dead(store: Arc<dyn Store>) -> Result<()> {
    let id = dead(&store, job("mail"), "boom", 1).await?;
    assert_eq!(store.resolve_dead(&[id], &By::named("ada"), "the customer left", at(5)).await?, [id]);
    assert_eq!(store.resolve_dead(&[id], &By::named("bob"), "me too", at(6)).await?, []);
    let told = read(&store, id).await?;
    let resolved = told.resolved.expect("a resolution");
    assert_eq!(
        (resolved.at, resolved.by.as_str(), resolved.note.as_str()),
        (moment(5), "ada", "the customer left")
    );
    assert_eq!(told.status, Status::Dead);
    let all = DeadFilter { resolved: true, ..DeadFilter::default() };
    assert_eq!(
        (listed(&store, &DeadFilter::default()).await?, listed(&store, &all).await?),
        (vec![], vec![id])
    );
    assert_eq!(causes(&store, &DeadFilter::default()).await?, []);
    assert_eq!(causes(&store, &all).await?.len(), 1);
    Ok(())
}

pub async fn only_a_dead_job_can_be_discarded(store: Arc<dyn Store>) -> Result<()> {
    let (_, running) = running_job(&store, "w1", at(1)).await?;
    let waiting = enqueue(&store, job("mail"), at(1)).await?;
    let failed =
        ended_job(&store, Status::Failed, NewJob { queue: "other".to_owned(), ..job("mail") }, at(1)).await?;
    let ids = [running.id, waiting, failed, unknown_job()];
    assert_eq!(store.resolve_dead(&ids, &By::named("ada"), "enough", at(2)).await?, []);
    for id in [running.id, waiting, failed] {
        assert_eq!(read(&store, id).await?.resolved, None);
    }
    Ok(())
}

pub async fn an_operators_retry_forgets_cause_and_discard(store: Arc<dyn Store>) -> Result<()> {
    let id = dead(&store, job("mail"), "boom", 1).await?;
    store.name_causes().await?;
    store.resolve_dead(&[id], &By::named("ada"), "enough", at(2)).await?;
    store.move_jobs(&[id], Move::RETRY, &by(), at(3)).await?;
    let told = read(&store, id).await?;
    assert_eq!((told.status, told.dead_group, told.resolved), (Status::Queued, None, None));
    let again = ErrorInfo { kind: "io".to_owned(), ..error("boom") };
    let worker = register(&store, "w1", at(4)).await?;
    let held = claim_one(&store, &worker, at(4)).await?;
    let last = ClaimedJob { attempt: held.max_attempts, ..held };
    settle_one(&store, &worker, &last, Outcome::Retry { error: again.clone(), delay: None }, at(5)).await?;
    let told = causes(&store, &DeadFilter::default()).await?;
    assert_eq!(told.iter().map(|group| &group.group).collect::<Vec<_>>(), [&fingerprint("mail", &again)]);
    Ok(())
}

pub async fn news_of_the_dead_are_the_latest_causes(store: Arc<dyn Store>) -> Result<()> {
    dead(&store, job("mail"), "no route", 1).await?;
    dead(&store, job("mail"), "no route", 2).await?;
    let again = dead(&store, job("mail"), "no route", 9).await?;
    dead(&store, job("fax"), "no paper", 3).await?;
    let last = dead(&store, job("scan"), "no light", 10).await?;
    let since = |second| latest(20, 100, Some(moment(second)));
    let told = causes(&store, &since(9)).await?;
    let told: Vec<_> = told.iter().map(|group| (group.count, group.first_at, group.sample)).collect();
    assert_eq!(told, [(3, moment(1), again), (1, moment(10), last)], "a cause is told whole, not since then");
    assert_eq!(causes(&store, &since(11)).await?, []);
    let group = Some(fingerprint("mail", &error("no route")));
    let told = causes(&store, &DeadFilter { group, ..DeadFilter::default() }).await?;
    assert_eq!(told.iter().map(|group| group.count).collect::<Vec<_>>(), [3], "one cause alone");
    Ok(())
}

fn latest(causes: usize, cap: u64, since: Option<jiff::Timestamp>) -> DeadFilter {
    DeadFilter { latest: Some(Latest { causes, cap, since }), ..DeadFilter::default() }
}

pub async fn news_of_the_dead_are_bounded(store: Arc<dyn Store>) -> Result<()> {
    for second in 1..=12 {
        dead(&store, job(&format!("type-{}", second % 4)), "boom", second).await?;
    }
    let told = causes(&store, &latest(3, 2, None)).await?;
    let told: Vec<_> = told.iter().map(|group| (group.count, group.last_at)).collect();
    assert_eq!(
        told,
        [(2, moment(12)), (2, moment(11)), (2, moment(10))],
        "three of four causes, two jobs each"
    );
    Ok(())
}

pub async fn the_dead_are_listed_newest_first_page_by_page(store: Arc<dyn Store>) -> Result<()> {
    let mut ids = Vec::new();
    for second in 1..=5 {
        ids.push(dead(&store, job("mail"), "boom", second).await?);
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = store.dead_jobs(&DeadFilter::default(), before, 2).await?;
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        seen.extend(page.iter().map(|job| job.id));
    }
    ids.reverse();
    assert_eq!(seen, ids);
    Ok(())
}

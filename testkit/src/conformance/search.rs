//! Jobs are found by what they hold: a value in the payload, a text in the last error.

use std::sync::Arc;

use anyhow::Result;
use jobforge_core::job::{ErrorInfo, JobId, NewJob};
use jobforge_core::settle::Outcome;
use jobforge_core::state::Status;
use jobforge_core::stored_payload::StoredPayload;
use jobforge_store::Store;
use jobforge_store::rows::{JobFilter, MAX_PAGE, Move};

use crate::fixtures::{
    at, by, claim_one, end_with, ended_job, enqueue, error, failure, job, json, register, settle_one,
};

fn all() -> JobFilter {
    JobFilter { limit: MAX_PAGE, ..JobFilter::default() }
}

fn holding(asked: &str) -> JobFilter {
    JobFilter { payload: Some(asked.parse().expect("the test's own place and value")), ..all() }
}

fn failing(text: &str) -> JobFilter {
    JobFilter { error: Some(text.to_owned()), ..all() }
}

async fn listed(store: &Arc<dyn Store>, filter: JobFilter) -> Result<Vec<JobId>> {
    Ok(store.jobs(&filter).await?.iter().map(|job| job.id).collect())
}

/// The same page by page, as few at a time as can be.
async fn paged(store: &Arc<dyn Store>, filter: JobFilter) -> Result<Vec<JobId>> {
    let (mut page, mut found) = (JobFilter { limit: 1, ..filter }, Vec::new());
    loop {
        let one = store.job_page(&page).await?;
        found.extend(one.jobs.iter().map(|job| job.id));
        let Some(next) = one.next else { return Ok(found) };
        assert!(page.before.is_none_or(|before| next < before), "the next page begins further down");
        page.before = Some(next);
    }
}

/// Finds by hand in the payloads, then asks the store.
pub async fn a_payload_is_found_by_the_value_at_a_place(store: Arc<dyn Store>) -> Result<()> {
    let payloads = [
        r#"{"order": {"id": 1234, "paid": true, "note": null, "items": [{"sku": "a-7"}, {"sku": "b.8"}]}}"#,
        r#"{"order": {"id": "1234", "paid": "true", "note": "null"}}"#,
        r#"{"order": {"id": 1234.0, "paid": false}}"#,
        r#"{"order": {"id": 1.234e3}}"#,
        r#"{"order": {"id": 12345}}"#,
        r#"{"order": 1234}"#,
        r#"{"order": {"id": [1234]}}"#,
        r#"{"order": {"id": {"": 1234}}}"#,
        r#"[{"id": 9007199254740993}, {"id": 9007199254740992}, {"id": 12345678901234567890123456789012345678901234567890}]"#,
        r#"{"0": {"id": 9007199254740993}, "-1": "minus one", "01": "padded"}"#,
        r#""1234""#,
        "1234",
        "null",
        "[]",
        "{}",
        r#"{"who": "o'neill; DROP TABLE jobforge_jobs; --"}"#,
        r#"{"who": "100%", "it's": "a_c", "a\"b": "\\", "%": 1, "a\\b": 2}"#,
        r#"{"who": "abc", "its": "abc", "caf\u00e9": "na\u00efve", "\u0077\u0068o2": "\u0022"}"#,
        r#"{"who": "", "amount": 0.10, "zero": -0.0, "tiny": 1e-7, "{a}": "{b,c}"}"#,
        r#"{"who": " padded ", "first name": "Ann: Smith"}"#,
    ];
    let mut ids = Vec::new();
    for (second, payload) in payloads.iter().enumerate() {
        let new = NewJob { payload: json(payload), ..job("email") };
        ids.push(enqueue(&store, new, at(second as i64)).await?);
    }
    // As if it were in object storage.
    let outside = StoredPayload::describing(&json(payloads[0])).reference();
    enqueue(&store, NewJob { payload: outside, ..job("email") }, at(50)).await?;
    let cases: &[(&str, &[usize])] = &[
        ("order.id:1234", &[0, 1, 2, 3]),
        ("order.id:1234.0", &[0, 2, 3]),
        ("order.id:1.234e3", &[0, 2, 3]),
        ("order.id:01234", &[]),
        ("order.id: 1234", &[]),
        ("order.id:123", &[]),
        ("order.id:", &[]),
        ("order.id.0:1234", &[6]),
        ("order:1234", &[5]),
        ("order.paid:true", &[0, 1]),
        ("order.paid:TRUE", &[]),
        ("order.note:null", &[0, 1]),
        ("order.items.0.sku:a-7", &[0]),
        ("order.items.1.sku:b.8", &[0]),
        ("order.items.-1.sku:b.8", &[0]),
        ("order.items.-3.sku:a-7", &[]),
        ("order.items.2.sku:b.8", &[]),
        ("order.items.00.sku:a-7", &[0]),
        ("order.items.+1.sku:b.8", &[0]),
        ("order.items.0x1.sku:b.8", &[]),
        ("order.items.99999999999999999999.sku:b.8", &[]),
        ("order.items.-2147483648.sku:b.8", &[]),
        ("order.items.sku:a-7", &[]),
        ("order.items:[]", &[]),
        ("0.id:9007199254740993", &[8, 9]),
        ("1.id:9007199254740993", &[]),
        ("2.id:12345678901234567890123456789012345678901234567890", &[8]),
        ("-1:minus one", &[9]),
        ("01:padded", &[9]),
        ("1:padded", &[]),
        ("0:1234", &[]),
        ("nothing:1234", &[]),
        ("who:o'neill; DROP TABLE jobforge_jobs; --", &[15]),
        ("who:100%", &[16]),
        ("who:%", &[]),
        ("who:a_c", &[]),
        ("it's:a_c", &[16]),
        ("its:a_c", &[]),
        (r#"a"b:\"#, &[16]),
        ("%:1", &[16]),
        (r"a\b:2", &[16]),
        ("café:naïve", &[17]),
        (r#"who2:""#, &[17]),
        (r#"who2:"\u0022""#, &[]),
        ("who:", &[18]),
        ("amount:0.1", &[18]),
        ("zero:0", &[18]),
        ("tiny:0.0000001", &[18]),
        ("tiny:1e999999999", &[]),
        ("{a}:{b,c}", &[18]),
        ("who: padded ", &[19]),
        ("who:padded", &[]),
        ("first name:Ann: Smith", &[19]),
        ("$jobforge.payload.bytes:92", &[]),
    ];
    for (asked, wanted) in cases {
        let wanted: Vec<JobId> = wanted.iter().rev().map(|place| ids[*place]).collect();
        assert_eq!(listed(&store, holding(asked)).await?, wanted, "{asked}");
        assert_eq!(paged(&store, holding(asked)).await?, wanted, "page by page: {asked}");
    }
    let deepest = format!("{}:1", vec!["a"; jobforge_core::payload_match::MAX_STEPS].join("."));
    assert_eq!(listed(&store, holding(&deepest)).await?, []);
    Ok(())
}

pub async fn an_error_is_found_by_its_words(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let mut ids = Vec::new();
    for (second, (kind, message)) in [
        ("timeout", "Connection REFUSED by o'neill"),
        ("io", "100% of C:\\temp_1 is full"),
        ("io", "Ärger mit \"ä\" \u{130}"),
        ("error", "{\"message\": \"nested\"}"),
    ]
    .into_iter()
    .enumerate()
    {
        let error = ErrorInfo { kind: kind.to_owned(), ..error(message) };
        let now = at(second as i64);
        ids.push(end_with(&store, job("email"), Outcome::Failed { error }, now).await?);
    }
    // One that waits for another attempt, one that makes it, one whose other attempt went well, one that ran anew.
    let again = enqueue(&store, job("email"), at(10)).await?;
    let held = claim_one(&store, &worker, at(10)).await?;
    settle_one(&store, &worker, &held, failure("Refused again"), at(11)).await?;
    let running = claim_one(&store, &worker, at(1000)).await?;
    assert_eq!(listed(&store, failing("refused")).await?, [again, ids[0]]);
    settle_one(&store, &worker, &running, failure("refused twice"), at(1001)).await?;
    for (text, wanted) in [
        ("refused", vec![again, ids[0]]),
        ("REFUSED TWICE", vec![again]),
        ("refused again", vec![]),
        ("TimeOut", vec![ids[0]]),
        ("refused by o'neill", vec![ids[0]]),
        ("io", vec![ids[2], ids[1], ids[0]]),
        ("%", vec![ids[1]]),
        ("0%", vec![ids[1]]),
        ("%0", vec![]),
        ("c:\\TEMP_", vec![ids[1]]),
        ("tempx1", vec![]),
        ("\\", vec![ids[1]]),
        ("Ärger", vec![ids[2]]),
        ("ärger", vec![]),
        ("\"ä\" \u{130}", vec![ids[2]]),
        ("\"nested\"", vec![ids[3]]),
        ("timeoutConnection", vec![]),
        ("retryable", vec![]),
        (" ", vec![again, ids[3], ids[2], ids[1], ids[0]]),
    ] {
        assert_eq!(listed(&store, failing(text)).await?, wanted, "{text}");
        assert_eq!(paged(&store, failing(text)).await?, wanted, "page by page: {text}");
    }
    let last = claim_one(&store, &worker, at(5000)).await?;
    settle_one(&store, &worker, &last, crate::fixtures::success(), at(5001)).await?;
    store.move_jobs(&ids[..1], Move::RETRY, &by(), at(5002)).await?;
    assert_eq!(listed(&store, failing("refused")).await?, [], "what went well or begins anew has no error");
    let succeeded = JobFilter { statuses: vec![Status::Succeeded], ..failing("refused") };
    assert_eq!(listed(&store, succeeded).await?, []);
    Ok(())
}

/// With every other filter, whichever index the search goes along.
pub async fn searches_by_payload_and_error_narrow_every_other_filter(store: Arc<dyn Store>) -> Result<()> {
    let mut made = Vec::new();
    for number in 0..36_usize {
        let new = NewJob {
            tenant_id: format!("tenant-{}", number % 2),
            tags: if number % 3 == 0 { vec!["red".to_owned()] } else { Vec::new() },
            payload: json(&format!("{{\"n\": {}}}", number % 4)),
            idempotency_key: Some(format!("key-{number}")),
            ..job(if number % 5 == 0 { "email" } else { "invoice" })
        };
        let status = [Status::Succeeded, Status::Dead, Status::Failed, Status::Canceled][number / 3 % 4];
        made.push(ended_job(&store, status, new, at(number as i64)).await?);
    }
    let queued = NewJob { payload: json(r#"{"n": 1}"#), ..job("email") };
    made.push(enqueue(&store, queued, at(100)).await?);
    let every = store.jobs(&all()).await?;
    assert_eq!(every.len(), made.len());
    let some = |text: &str| Some(text.to_owned());
    for payload in [None, "n:1".parse().ok(), "n:9".parse().ok()] {
        for error in [None, some("BOOM"), some("nothing")] {
            for statuses in
                [vec![], vec![Status::Dead, Status::Failed], vec![Status::Queued, Status::Succeeded]]
            {
                for narrowed in [
                    all(),
                    JobFilter { tenant_id: some("tenant-1"), ..all() },
                    JobFilter { job_type: some("email"), ..all() },
                    JobFilter { tag: some("red"), ..all() },
                    JobFilter { idempotency_key: some("key-5"), ..all() },
                ] {
                    let filter = JobFilter {
                        payload: payload.clone(),
                        error: error.clone(),
                        statuses: statuses.clone(),
                        ..narrowed
                    };
                    let wanted: Vec<JobId> = every
                        .iter()
                        .filter(|job| {
                            let fits = |wanted: &Option<String>, has: &str| {
                                wanted.as_ref().is_none_or(|wanted| wanted == has)
                            };
                            let asked = filter.payload.as_ref();
                            let message = job.error.as_ref().map(|error| error.message.to_lowercase());
                            (statuses.is_empty() || statuses.contains(&job.status))
                                && fits(&filter.tenant_id, &job.tenant_id)
                                && fits(&filter.job_type, &job.job_type)
                                && filter.tag.as_ref().is_none_or(|tag| job.tags.contains(tag))
                                && fits(
                                    &filter.idempotency_key,
                                    job.idempotency_key.as_deref().unwrap_or_default(),
                                )
                                && asked
                                    .is_none_or(|asked| asked.holds(job.payload.as_str(), &asked.values()))
                                && error.as_ref().is_none_or(|error| {
                                    message.is_some_and(|has| has.contains(&error.to_lowercase()))
                                })
                        })
                        .map(|job| job.id)
                        .collect();
                    assert_eq!(listed(&store, filter.clone()).await?, wanted, "{filter:?}");
                    assert_eq!(paged(&store, filter.clone()).await?, wanted, "page by page: {filter:?}");
                }
            }
        }
    }
    Ok(())
}

/// More jobs than one look takes fell, then wait: errors are found among what fell and what is under way, then everywhere.
pub async fn errors_are_found_among_thousands_of_jobs_without_any(store: Arc<dyn Store>) -> Result<()> {
    let dead = ended_job(&store, Status::Dead, job("email"), at(0)).await?;
    let worker = register(&store, "worker-00000001", at(1)).await?;
    let many = async |canceled: bool| {
        let mut oldest = None;
        for _ in 0..3 {
            let batch: Vec<NewJob> = (0..800).map(|_| job("other")).collect();
            let ids: Vec<JobId> = batch.iter().map(|job| job.id).collect();
            oldest = oldest.or(ids.first().copied());
            store.enqueue(&batch, at(2)).await?;
            if canceled {
                store.move_jobs(&ids, Move::Cancel, &by(), at(2)).await?;
            }
        }
        anyhow::Ok(oldest)
    };
    many(true).await?;
    let again = enqueue(&store, job("email"), at(3)).await?;
    let held = claim_one(&store, &worker, at(3)).await?;
    settle_one(&store, &worker, &held, failure("Boom again"), at(4)).await?;
    many(true).await?;
    // In a queue where the one that waits for its other attempt is not in the way.
    let elsewhere = NewJob { queue: "mail".to_owned(), ..job("email") };
    let newest = ended_job(&store, Status::Failed, elsewhere, at(5)).await?;
    let wanted = vec![again, dead];
    assert_eq!(listed(&store, failing("boom")).await?, wanted);
    assert_eq!(paged(&store, failing("boom")).await?, wanted);
    assert_eq!(listed(&store, failing("no such account")).await?, [newest]);
    let first = store.job_page(&JobFilter { limit: 10, ..failing("nothing") }).await?;
    assert!(first.jobs.is_empty() && first.stopped_early);
    many(false).await?;
    assert_eq!(listed(&store, failing("boom")).await?, wanted);
    assert_eq!(paged(&store, failing("boom")).await?, wanted);
    let page = store.job_page(&JobFilter { limit: 10, ..holding("a:1") }).await?;
    assert!(page.jobs.is_empty() && page.stopped_early);
    assert_eq!(listed(&store, holding("a:1")).await?, []);
    Ok(())
}

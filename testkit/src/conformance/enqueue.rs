//! Putting jobs in: all or none, once per key, and nothing of a job is lost on the way.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jobforge_core::job::{JobId, Lease, NewJob, QueuedBecause, RunAt};
use jobforge_core::payload::Payload;
use jobforge_core::settle::RetryPolicy;
use jobforge_core::state::Status;
use jobforge_core::stored_payload::StoredPayload;
use jobforge_store::rows::{Enqueued, JobFilter};
use jobforge_store::{Store, StoreError};

use crate::fixtures::{at, claim, ended_job, enqueue, job, json, keyed, moment, read, register, s};

/// Counts the jobs that the store has.
async fn count(store: &Arc<dyn Store>) -> Result<usize> {
    Ok(store.jobs(&JobFilter { limit: 1000, ..JobFilter::default() }).await?.len())
}

pub async fn a_new_job_is_queued_and_due_at_once(store: Arc<dyn Store>) -> Result<()> {
    let new = job("email.send");
    let answer = store.enqueue(std::slice::from_ref(&new), at(0)).await?;
    assert_eq!(answer, [Enqueued { id: new.id, created: true }]);
    let stored = read(&store, new.id).await?;
    assert_eq!((stored.status, stored.queued_because), (Status::Queued, QueuedBecause::Enqueued));
    assert_eq!((stored.attempts, stored.misses, stored.lease), (0, 0, Lease(0)));
    assert_eq!((stored.run_at, stored.created_at, stored.updated_at), (moment(0), moment(0), moment(0)));
    assert_eq!((stored.started_at, stored.finished_at, stored.locked_by), (None, None, None));
    Ok(())
}

pub async fn everything_a_job_carries_comes_back(store: Arc<dyn Store>) -> Result<()> {
    let retry = RetryPolicy { base_ms: 250, factor: 1.5, max_ms: 60_000, jitter: 0.125 };
    let new = NewJob {
        tenant_id: "acme".to_owned(),
        queue: "mail".to_owned(),
        priority: -7,
        payload: json(r#"{"to":"a@example.org"}"#),
        max_attempts: 9,
        timeout: Some(Duration::from_millis(90_500)),
        idempotency_key: Some("Rechnung 4711 / ü".to_owned()),
        tags: vec!["invoice".to_owned(), "a b, {c} \"d\"".to_owned(), "日本".to_owned()],
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        created_by: Some("key:ci".to_owned()),
        retry: Some(retry),
        ..job("invoice.render")
    };
    enqueue(&store, new.clone(), at(5)).await?;
    let stored = read(&store, new.id).await?;
    assert_eq!((stored.tenant_id, stored.job_type, stored.queue), (new.tenant_id, new.job_type, new.queue));
    assert_eq!(
        (stored.priority, stored.max_attempts, stored.timeout),
        (new.priority, new.max_attempts, new.timeout)
    );
    assert!(stored.payload.same_as(&new.payload));
    assert_eq!((stored.idempotency_key, stored.tags), (new.idempotency_key, new.tags));
    assert_eq!(
        (stored.traceparent, stored.created_by, stored.retry),
        (new.traceparent, new.created_by, new.retry)
    );
    Ok(())
}

pub async fn the_extremes_of_numbers_are_kept(store: Arc<dyn Store>) -> Result<()> {
    for (priority, max_attempts) in [(i16::MIN, 1), (i16::MAX, 1000)] {
        let timeout = Some(Duration::from_secs(7 * 86_400));
        let id = enqueue(&store, NewJob { priority, max_attempts, timeout, ..job("email") }, at(0)).await?;
        let stored = read(&store, id).await?;
        assert_eq!((stored.priority, stored.max_attempts, stored.timeout), (priority, max_attempts, timeout));
    }
    Ok(())
}

pub async fn unusual_payloads_come_back_the_same(store: Arc<dyn Store>) -> Result<()> {
    let deep = format!("{}{}", "[".repeat(60), "]".repeat(60));
    let huge = format!("{{\"data\":\"{}\"}}", "ä€🎈 ".repeat(90_000));
    let payloads = [
        "null",
        "0",
        "\"\"",
        "[]",
        "[1,[2,[3]],{\"a\":{\"b\":[null,true,false]}}]",
        r#"{"":"an empty key","ключ":"значение","a\"b\\c\n":"\u00e9 \t \ud83c\udf88"}"#,
        r#"{"path":"C:\\temp\\x","pattern":"\\d+{2}","tab":"\t","copy":"\\N","comma":"a,b;c"}"#,
        "  {\"spaced\" :  [ 1 ,2 ]}  ",
        &deep,
        &huge,
    ];
    for payload in payloads {
        let new = NewJob { payload: json(payload), ..job("email") };
        let id = enqueue(&store, new.clone(), at(0)).await?;
        let shown: String = payload.chars().take(60).collect();
        assert!(read(&store, id).await?.payload.same_as(&new.payload), "stored job: {shown}");
    }
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let claimed = claim(&store, &worker, payloads.len(), at(0)).await?;
    for (payload, job) in payloads.iter().zip(&claimed) {
        let shown: String = payload.chars().take(60).collect();
        assert!(job.payload.same_as(&json(payload)), "claimed job: {shown}");
    }
    Ok(())
}

pub async fn big_numbers_in_payloads_are_kept(store: Arc<dyn Store>) -> Result<()> {
    for number in
        ["9007199254740993", "-9223372036854775808", "18446744073709551615", "123456789.25", "1e300"]
    {
        let new = NewJob { payload: json(&format!("{{\"n\":{number}}}")), ..job("email") };
        let id = enqueue(&store, new.clone(), at(0)).await?;
        let stored = read(&store, id).await?.payload;
        assert_eq!(
            stored.decode::<serde_json::Value>()?,
            new.payload.decode::<serde_json::Value>()?,
            "{number}"
        );
    }
    // More digits than any number type has: the text itself must survive.
    let digits = "3.14159265358979323846264338327950288419";
    let id = enqueue(&store, NewJob { payload: json(digits), ..job("email") }, at(0)).await?;
    assert_eq!(read(&store, id).await?.payload.as_str(), digits);
    Ok(())
}

pub async fn a_delay_counts_from_the_stores_clock_and_run_at_is_taken_as_given(
    store: Arc<dyn Store>,
) -> Result<()> {
    let after =
        enqueue(&store, NewJob { when: RunAt::After(Duration::from_millis(1500)), ..job("email") }, at(10))
            .await?;
    let ahead = enqueue(&store, NewJob { when: RunAt::At(moment(99)), ..job("email") }, at(10)).await?;
    let past = enqueue(&store, NewJob { when: RunAt::At(moment(-3600)), ..job("email") }, at(10)).await?;
    let ten_years =
        enqueue(&store, NewJob { when: RunAt::After(s(3650 * 86_400)), ..job("email") }, at(10)).await?;
    assert_eq!(read(&store, after).await?.run_at, moment(11) + jiff::SignedDuration::from_millis(500));
    assert_eq!(read(&store, ahead).await?.run_at, moment(99));
    assert_eq!(read(&store, past).await?.run_at, moment(-3600));
    assert_eq!(read(&store, ten_years).await?.run_at, moment(10 + 3650 * 86_400));
    Ok(())
}

pub async fn the_same_key_with_the_same_payload_is_the_same_job(store: Arc<dyn Store>) -> Result<()> {
    let first = enqueue(&store, keyed("k-1", r#"{"n":1,"m":2}"#), at(0)).await?;
    let again = store.enqueue(&[keyed("k-1", r#"{"m": 2.0, "n": 1}"#)], at(1)).await?;
    assert_eq!(again, [Enqueued { id: first, created: false }]);
    assert_eq!(count(&store).await?, 1);
    Ok(())
}

pub async fn a_key_stays_taken_after_its_job_has_ended(store: Arc<dyn Store>) -> Result<()> {
    let done = ended_job(&store, Status::Succeeded, keyed("k-1", "{}"), at(0)).await?;
    let again = store.enqueue(&[keyed("k-1", "{}")], at(60)).await?;
    assert_eq!(again, [Enqueued { id: done, created: false }]);
    assert_eq!(read(&store, done).await?.status, Status::Succeeded);
    Ok(())
}

pub async fn a_key_belongs_to_one_tenant_and_type(store: Arc<dyn Store>) -> Result<()> {
    enqueue(&store, keyed("k", "1"), at(0)).await?;
    enqueue(&store, NewJob { tenant_id: "other".to_owned(), ..keyed("k", "2") }, at(0)).await?;
    enqueue(&store, NewJob { job_type: "other".to_owned(), ..keyed("k", "3") }, at(0)).await?;
    enqueue(&store, keyed("K", "4"), at(0)).await?;
    assert_eq!(count(&store).await?, 4);
    Ok(())
}

pub async fn a_key_with_another_payload_is_refused_and_nothing_is_enqueued(
    store: Arc<dyn Store>,
) -> Result<()> {
    let existing = enqueue(&store, keyed("k-1", r#"{"n":1}"#), at(0)).await?;
    let refused = store.enqueue(&[job("email"), keyed("k-1", r#"{"n":2}"#), job("email")], at(1)).await;
    match refused {
        Err(StoreError::IdempotencyConflict { key, job_type, existing: holder }) => {
            assert_eq!((key.as_str(), job_type.as_str(), holder), ("k-1", "invoice", existing));
        }
        other => panic!("expected a conflict, got {other:?}"),
    }
    assert_eq!(count(&store).await?, 1, "nothing of the refused batch");
    Ok(())
}

pub async fn a_key_repeated_within_a_batch_is_one_job(store: Arc<dyn Store>) -> Result<()> {
    let batch = [keyed("k", "[1, 2]"), job("email"), keyed("k", "[1,2]"), keyed("k", "[1,2]")];
    let answer = store.enqueue(&batch, at(0)).await?;
    let told: Vec<(JobId, bool)> = answer.iter().map(|job| (job.id, job.created)).collect();
    let first = batch[0].id;
    assert_eq!(told, [(first, true), (batch[1].id, true), (first, false), (first, false)]);
    assert_eq!(count(&store).await?, 2);
    Ok(())
}

pub async fn a_key_repeated_within_a_batch_with_another_payload_is_refused(
    store: Arc<dyn Store>,
) -> Result<()> {
    let refused = store.enqueue(&[keyed("k", "1"), job("email"), keyed("k", "2")], at(0)).await;
    assert!(matches!(refused, Err(StoreError::IdempotencyConflict { .. })), "got {refused:?}");
    assert_eq!(count(&store).await?, 0);
    Ok(())
}

pub async fn a_repeated_id_with_the_same_content_is_the_same_job(store: Arc<dyn Store>) -> Result<()> {
    let new = NewJob { payload: json(r#"{"n":1}"#), when: RunAt::After(s(5)), ..job("email") };
    let answer = store.enqueue(&[new.clone(), new.clone()], at(0)).await?;
    assert_eq!(answer.iter().map(|job| job.created).collect::<Vec<_>>(), [true, false]);
    let again = store.enqueue(std::slice::from_ref(&new), at(60)).await?;
    assert_eq!(again, [Enqueued { id: new.id, created: false }]);
    assert_eq!(read(&store, new.id).await?.run_at, moment(5), "a repetition does not move the job");
    Ok(())
}

pub async fn an_id_that_another_job_has_is_refused_and_nothing_is_enqueued(
    store: Arc<dyn Store>,
) -> Result<()> {
    let first = job("email");
    enqueue(&store, first.clone(), at(0)).await?;
    let others = [
        NewJob { payload: json("[1]"), ..first.clone() },
        NewJob { job_type: "invoice".to_owned(), ..first.clone() },
        NewJob { tenant_id: "other".to_owned(), ..first.clone() },
    ];
    for other in others {
        let refused = store.enqueue(&[job("email"), other], at(1)).await;
        assert!(matches!(&refused, Err(StoreError::DuplicateId(id)) if *id == first.id), "got {refused:?}");
    }
    let inside = job("email");
    let twin = NewJob { payload: json("[2]"), ..inside.clone() };
    let refused = store.enqueue(&[inside, twin], at(1)).await;
    assert!(matches!(refused, Err(StoreError::DuplicateId(_))), "got {refused:?}");
    assert_eq!(count(&store).await?, 1);
    Ok(())
}

pub async fn a_key_knows_a_stored_payload_again_by_what_was_stored(store: Arc<dyn Store>) -> Result<()> {
    let large = |text: &str| {
        let stored = StoredPayload::describing(&Payload::from_stored(text.to_owned()));
        NewJob { idempotency_key: Some("k".to_owned()), payload: stored.reference(), ..job("email") }
    };
    let first = store.enqueue(&[large("[1]")], at(0)).await?;
    let again = store.enqueue(&[large("[1]")], at(1)).await?;
    assert!(first[0].created && !again[0].created);
    assert_eq!(again[0].id, first[0].id);
    let conflict = store.enqueue(&[large("[2]")], at(2)).await;
    assert!(
        matches!(conflict, Err(StoreError::IdempotencyConflict { existing, .. }) if existing == first[0].id)
    );
    let kept = store.job(first[0].id).await?.expect("the job");
    assert_eq!(StoredPayload::of(&kept.payload), StoredPayload::of(&large("[1]").payload));
    Ok(())
}

pub async fn a_repeated_id_and_key_with_another_payload_is_a_conflict_of_the_key(
    store: Arc<dyn Store>,
) -> Result<()> {
    let first = keyed("k", "1");
    enqueue(&store, first.clone(), at(0)).await?;
    let refused = store.enqueue(&[NewJob { payload: json("2"), ..first.clone() }], at(1)).await;
    let conflict =
        matches!(&refused, Err(StoreError::IdempotencyConflict { existing, .. }) if *existing == first.id);
    assert!(conflict, "got {refused:?}");
    let refused =
        store.enqueue(&[NewJob { idempotency_key: Some("other".to_owned()), ..first.clone() }], at(1)).await;
    assert!(matches!(&refused, Err(StoreError::DuplicateId(id)) if *id == first.id), "got {refused:?}");
    Ok(())
}

pub async fn an_empty_batch_is_no_error(store: Arc<dyn Store>) -> Result<()> {
    assert_eq!(store.enqueue(&[], at(0)).await?, []);
    Ok(())
}

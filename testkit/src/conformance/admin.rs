//! Who did what, who may ask, what is configured, and what goes on in the background.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use jobforge_core::audit::{AuditFilter, By, Deed, Entry, Verifier};
use jobforge_core::operation::{BulkAction, BulkFilter, NewOperation, OperationState, Progress, TURN};
use jobforge_core::settings::Change;
use jobforge_core::state::Status;
use jobforge_core::token::{Scope, TokenRow, TokenStanding, TokenText};
use jobforge_store::Store;
use jobforge_store::rows::Move;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixtures::{at, ended_job, enqueue, job, moment};

fn ada() -> By {
    By {
        request_id: Some("r-1".to_owned()),
        address: Some("10.0.0.1".to_owned()),
        ..By::named("token:ada").because(Some("it hangs"))
    }
}

async fn entries(store: &Arc<dyn Store>) -> Result<Vec<Entry>> {
    let mut entries = store.audit(&AuditFilter::default(), 1000).await?;
    entries.reverse();
    Ok(entries)
}

/// Reads the chain page by page as it is kept.
async fn verify(store: &Arc<dyn Store>) -> Result<(u64, String)> {
    let mut verifier = Verifier::default();
    loop {
        let page = store.audit_chain(verifier.head().0, 2).await?;
        page.iter().try_for_each(|entry| verifier.next(entry))?;
        if page.is_empty() {
            return Ok((verifier.head().0, verifier.head().1.to_owned()));
        }
    }
}

fn parsed(text: Option<&String>) -> Value {
    text.map_or(Value::Null, |text| serde_json::from_str(text).unwrap_or_default())
}

/// Every move of an operator is told of with actor, reason, before and after; what changed nothing is not.
pub async fn what_an_operator_does_is_told_of_with_who_why_before_and_after(
    store: Arc<dyn Store>,
) -> Result<()> {
    let dead = ended_job(&store, Status::Dead, job("dies"), at(0)).await?;
    let id = enqueue(&store, job("email"), at(1)).await?;
    store.move_jobs(&[id], Move::Cancel, &ada(), at(2)).await?;
    store.move_jobs(&[id], Move::Cancel, &ada(), at(3)).await?;
    store.move_jobs(&[id], Move::RETRY, &ada(), at(4)).await?;
    store.resolve_dead(&[dead], &ada(), "gone", at(5)).await?;
    store.move_jobs(&[id, dead], Move::Delete, &ada(), at(6)).await?;
    store.pause_queue("mail", true, &ada(), at(7)).await?;
    store.pause_queue("mail", true, &ada(), at(8)).await?;
    store.pause_queue("mail", false, &ada(), at(9)).await?;
    let entries = entries(&store).await?;
    let entries: Vec<&Entry> = entries.iter().filter(|entry| entry.by.actor == "token:ada").collect();
    let told: Vec<(&str, &str)> =
        entries.iter().map(|e| (e.action.as_str(), e.target.as_deref().unwrap_or_default())).collect();
    let (id, dead) = (id.to_string(), dead.to_string());
    let (id, dead) = (id.as_str(), dead.as_str());
    assert_eq!(
        told[..3],
        [("job.cancel", id), ("job.retry", id), ("job.resolve", dead)],
        "in the order of the deeds"
    );
    let mut deleted = told[3..5].to_vec();
    deleted.sort_unstable();
    let mut expected = [("job.delete", id), ("job.delete", dead)];
    expected.sort_unstable();
    assert_eq!(deleted, expected);
    assert_eq!(told[5..], [("queue.pause", "mail"), ("queue.resume", "mail")]);
    assert!(entries.iter().all(|entry| entry.by == ada()), "{entries:#?}");
    let canceled = entries[0];
    assert_eq!((canceled.at, canceled.tenant_id.as_deref()), (moment(2), Some("default")));
    assert_eq!(parsed(canceled.before.as_ref()), json!({ "status": "queued" }));
    assert_eq!(parsed(canceled.after.as_ref()), json!({ "status": "canceled" }));
    assert_eq!(parsed(entries[1].before.as_ref()), json!({ "status": "canceled" }));
    assert_eq!(parsed(entries[2].after.as_ref()), json!({ "note": "gone" }));
    Ok(())
}

/// Entries are listed by actor, action, target, tenant and time, page by page.
pub async fn the_audit_log_is_searched_by_who_what_and_when(store: Arc<dyn Store>) -> Result<()> {
    let bob = By::named("cli:bob");
    let deed = |action: &str, target: &str| Deed::new(action, target);
    store.note(&ada(), &[deed("auth.failed", "10.0.0.9"), deed("auth.blocked", "10.0.0.9")], at(0)).await?;
    store.note(&bob, &[deed("setting.set", "slots").of("acme")], at(10)).await?;
    store.note(&bob, &[], at(11)).await?;
    let find = async |filter: AuditFilter| -> Result<Vec<String>> {
        Ok(store.audit(&filter, 10).await?.into_iter().map(|entry| entry.action).collect())
    };
    let filter = AuditFilter::default;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(find(filter()).await?, ["setting.set", "auth.blocked", "auth.failed"]);
    assert_eq!(find(AuditFilter { actor: text("cli:bob"), ..filter() }).await?, ["setting.set"]);
    assert_eq!(
        find(AuditFilter { action: text("auth."), ..filter() }).await?,
        ["auth.blocked", "auth.failed"]
    );
    assert_eq!(find(AuditFilter { action: text("auth.failed"), ..filter() }).await?, ["auth.failed"]);
    assert_eq!(find(AuditFilter { action: text("auth"), ..filter() }).await?, Vec::<String>::new());
    assert_eq!(find(AuditFilter { target: text("slots"), ..filter() }).await?, ["setting.set"]);
    assert_eq!(find(AuditFilter { tenant_id: text("acme"), ..filter() }).await?, ["setting.set"]);
    assert_eq!(find(AuditFilter { since: Some(moment(10)), ..filter() }).await?, ["setting.set"]);
    let newest = store.audit(&filter(), 1).await?;
    let next = AuditFilter { before: Some(newest[0].id), ..filter() };
    assert_eq!(find(next).await?, ["auth.blocked", "auth.failed"]);
    let end = AuditFilter { down_to: Some(newest[0].id), ..filter() };
    assert_eq!(find(end).await?, ["setting.set"], "a search stops where it shall");
    Ok(())
}

/// Sealing gives each entry its place once; the chain is sound from the first to the last.
pub async fn sealed_entries_form_a_chain_that_can_be_verified(store: Arc<dyn Store>) -> Result<()> {
    assert_eq!(store.seal_audit().await?, 0);
    for second in 0..3 {
        store.note(&ada(), &[Deed::new("test.done", format!("{second}\n\"'é"))], at(second)).await?;
    }
    assert_eq!(verify(&store).await?.0, 0, "nothing is sealed yet");
    assert_eq!(store.seal_audit().await?, 3);
    let (place, head) = verify(&store).await?;
    assert_eq!(place, 3);
    let deed = Deed::new("test.done", "4").changing(&json!({ "a": 1.5 }), &json!([null, "b"]));
    store.note(&By::named("bob"), &[deed], at(4)).await?;
    assert_eq!(store.seal_audit().await?, 1);
    assert_eq!(store.seal_audit().await?, 0);
    let (place, new_head) = verify(&store).await?;
    assert_eq!(place, 4);
    assert_ne!(head, new_head);
    Ok(())
}

/// Many who write and seal at once leave one chain without a gap.
pub async fn many_writers_and_sealers_at_once_leave_one_chain(store: Arc<dyn Store>) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for second in 0..10 {
                store
                    .note(&By::named(format!("writer-{number}")), &[Deed::new("test.done", "x")], at(second))
                    .await?;
                store.seal_audit().await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    while store.seal_audit().await? > 0 {}
    assert_eq!(verify(&store).await?.0, 80);
    Ok(())
}

fn token(name: &str, number: u8) -> TokenRow {
    let scopes = vec![Scope::Read, Scope::Operate];
    let text = TokenText::of_random(&scopes, [number; 8], [number; 32]);
    TokenRow {
        id: text.id().to_owned(),
        name: name.to_owned(),
        scopes,
        tenant_id: Some("acme".to_owned()),
        queues: Some(vec!["mail".to_owned(), "http".to_owned()]),
        hash: text.hash(),
        created_at: moment(0),
        created_by: String::new(),
        expires_at: Some(moment(100)),
        revoked_at: None,
        last_used_at: None,
    }
}

/// A token comes back in every field, with the store's clock, until it is taken back.
pub async fn a_token_is_kept_until_it_expires_or_is_revoked(store: Arc<dyn Store>) -> Result<()> {
    let made = token("deploy", 1);
    store.put_token(&made, &ada(), at(5)).await?;
    let (kept, now) = store.token(&made.id, at(6)).await?.context("the token")?;
    let expected = TokenRow { created_at: moment(5), created_by: "token:ada".to_owned(), ..made.clone() };
    assert_eq!((&kept, now), (&expected, moment(6)));
    assert_eq!(kept.standing(moment(99)), TokenStanding::Good);
    assert_eq!(kept.standing(moment(100)), TokenStanding::Expired);
    assert!(store.token("0000000000000000", at(6)).await?.is_none());
    store.token_used(&made.id, at(95)).await?;
    let (used, _) = store.token(&made.id, at(96)).await?.context("the token")?;
    assert_eq!(used.last_used_at, Some(moment(60)), "to the minute");
    assert!(store.revoke_token(&made.id, &ada(), at(97)).await?);
    assert!(!store.revoke_token(&made.id, &ada(), at(98)).await?, "it was already");
    assert!(!store.revoke_token("0000000000000000", &ada(), at(98)).await?);
    let (revoked, _) = store.token(&made.id, at(98)).await?.context("the token")?;
    assert_eq!(revoked.standing(moment(98)), TokenStanding::Revoked);
    let told: Vec<String> = entries(&store).await?.into_iter().map(|entry| entry.action).collect();
    assert_eq!(told, ["token.create", "token.revoke"]);
    let entries = entries(&store).await?;
    assert!(!format!("{entries:?}").contains(&made.hash), "the log keeps no digest");
    Ok(())
}

/// The newest token comes first and revoked ones last.
pub async fn tokens_are_listed_newest_first_and_revoked_ones_last(store: Arc<dyn Store>) -> Result<()> {
    for number in 1..=3 {
        store.put_token(&token(&format!("t{number}"), number), &ada(), at(i64::from(number))).await?;
    }
    store.revoke_token(&token("t3", 3).id, &ada(), at(9)).await?;
    let names: Vec<String> = store.tokens().await?.into_iter().map(|token| token.name).collect();
    assert_eq!(names, ["t2", "t1", "t3"]);
    Ok(())
}

fn change(key: &str, value: Option<&str>, until: Option<i64>) -> Change {
    Change { key: key.to_owned(), value: value.map(str::to_owned), until: until.map(moment) }
}

/// Changes are made all together, under the expected version only, and told of with old and new value.
pub async fn settings_change_together_and_only_from_the_version_that_was_seen(
    store: Arc<dyn Store>,
) -> Result<()> {
    let before = store.stored_settings(at(0)).await?;
    assert_eq!((before.version, before.as_of, before.settings.len()), (0, moment(0), 0));
    let both = [change("slots", Some("4"), None), change("job_heartbeat", Some("false"), Some(60))];
    assert_eq!(store.change_settings(0, &both, &ada(), at(1)).await?, Some(1));
    assert_eq!(store.change_settings(0, &both, &ada(), at(2)).await?, None, "somebody was faster");
    let stored = store.stored_settings(at(3)).await?;
    assert_eq!(stored.version, 1);
    let heartbeat = stored.get("job_heartbeat").context("job_heartbeat")?;
    assert_eq!((heartbeat.value.as_str(), heartbeat.version), ("false", 1));
    assert_eq!((heartbeat.updated_at, heartbeat.expires_at), (moment(1), Some(moment(60))));
    assert_eq!((heartbeat.updated_by.as_str(), heartbeat.reason.as_deref()), ("token:ada", Some("it hangs")));
    assert!(store.stored_settings(at(60)).await?.get("job_heartbeat").is_none(), "its time is over");
    let next =
        [change("slots", Some("5"), None), change("job_heartbeat", None, None), change("queues", None, None)];
    assert_eq!(store.change_settings(1, &next, &ada(), at(4)).await?, Some(2));
    let stored = store.stored_settings(at(5)).await?;
    assert_eq!(
        stored.settings.iter().map(|s| (s.key.as_str(), s.value.as_str())).collect::<Vec<_>>(),
        [("slots", "5")]
    );
    let slots = AuditFilter { target: Some("slots".to_owned()), ..AuditFilter::default() };
    let last = store.audit(&slots, 1).await?;
    assert_eq!(last[0].action, "setting.set");
    assert_eq!(parsed(last[0].before.as_ref())["value"], "4");
    assert_eq!(parsed(last[0].after.as_ref())["value"], "5");
    assert_eq!(parsed(last[0].after.as_ref())["version"], 2);
    Ok(())
}

/// Of two who change settings at once one is told that somebody was faster.
pub async fn of_two_changes_at_once_one_is_too_late(store: Arc<dyn Store>) -> Result<()> {
    for version in 0..10 {
        let change = [change("slots", Some("4"), None)];
        let by = ada();
        let (a, b) = tokio::join!(
            store.change_settings(version, &change, &by, at(0)),
            store.change_settings(version, &change, &by, at(0))
        );
        let mut answers = [a?, b?];
        answers.sort_unstable();
        assert_eq!(answers, [None, Some(version + 1)]);
    }
    Ok(())
}

/// One at a time goes on with an operation, until it is over, ended or silent for too long.
pub async fn an_operation_goes_on_under_one_hand_at_a_time(store: Arc<dyn Store>) -> Result<()> {
    let new = NewOperation {
        id: Uuid::now_v7(),
        action: BulkAction::Cancel,
        filter: BulkFilter {
            tenant_id: Some("acme".to_owned()),
            statuses: vec![Status::Queued],
            ..BulkFilter::default()
        },
        dry_run: false,
    };
    assert!(store.take_operation("a", TURN, at(0)).await?.is_none());
    store.put_operation(&new, &ada(), at(0)).await?;
    let kept = store.operation(new.id).await?.context("the operation")?;
    assert_eq!((kept.action, &kept.filter, kept.dry_run, &kept.by), (new.action, &new.filter, false, &ada()));
    assert_eq!((kept.state, kept.done, kept.created_at), (OperationState::Running, 0, moment(0)));
    let taken = store.take_operation("a", TURN, at(1)).await?.context("a turn")?;
    assert_eq!(taken.id, new.id);
    assert!(store.take_operation("b", TURN, at(2)).await?.is_none(), "somebody goes on with it");
    let cursor = Some(enqueue(&store, job("email"), at(2)).await?);
    let step = |done, state| Progress { done, passed_over: 1, cursor, state, error: None };
    let running = OperationState::Running;
    assert!(store.step_operation(new.id, "a", &step(3, running), TURN, at(10)).await?);
    assert!(!store.step_operation(new.id, "b", &step(3, running), TURN, at(11)).await?);
    let late = at(11 + i64::try_from(TURN.as_secs())?);
    let taken = store.take_operation("b", TURN, late).await?.context("its turn was over")?;
    assert_eq!((taken.done, taken.passed_over, taken.cursor), (3, 1, cursor));
    assert!(
        !store.step_operation(new.id, "a", &step(9, running), TURN, late).await?,
        "the turn is another's"
    );
    assert!(store.step_operation(new.id, "b", &step(2, OperationState::Done), TURN, late).await?);
    let done = store.operation(new.id).await?.context("the operation")?;
    assert_eq!((done.state, done.done, done.passed_over), (OperationState::Done, 5, 2));
    assert!(done.finished_at.is_some());
    assert!(!store.cancel_operation(new.id, &ada(), late).await?, "it has ended");
    Ok(())
}

/// An operation that somebody ended goes no further, and operations are listed by tenant.
pub async fn an_operation_that_was_canceled_goes_no_further(store: Arc<dyn Store>) -> Result<()> {
    let new = |tenant: Option<&str>| NewOperation {
        id: Uuid::now_v7(),
        action: BulkAction::Delete,
        filter: BulkFilter { tenant_id: tenant.map(str::to_owned), ..BulkFilter::default() },
        dry_run: true,
    };
    let (first, second) = (new(Some("acme")), new(None));
    store.put_operation(&first, &ada(), at(0)).await?;
    store.put_operation(&second, &ada(), at(1)).await?;
    store.take_operation("a", Duration::from_secs(60), at(2)).await?.context("a turn")?;
    assert!(store.cancel_operation(first.id, &ada(), at(3)).await?);
    let step = Progress { done: 1, passed_over: 0, cursor: None, state: OperationState::Done, error: None };
    assert!(!store.step_operation(first.id, "a", &step, TURN, at(4)).await?);
    let canceled = store.operation(first.id).await?.context("the operation")?;
    assert_eq!((canceled.state, canceled.done), (OperationState::Canceled, 0));
    let listed = async |tenant: Option<&str>| -> Result<Vec<Uuid>> {
        Ok(store.operations(tenant, 10).await?.into_iter().map(|operation| operation.id).collect())
    };
    assert_eq!(listed(None).await?, [second.id, first.id]);
    assert_eq!(listed(Some("acme")).await?, [first.id]);
    let told: Vec<String> = entries(&store).await?.into_iter().map(|entry| entry.action).collect();
    assert_eq!(told, ["operation.start", "operation.start", "operation.cancel"]);
    Ok(())
}

//! Schedules as they are kept and changed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jobforge_core::audit::{AuditFilter, By};
use jobforge_core::payload::Payload;
use jobforge_core::schedule::{
    Checked, Declared, Definition, MAX_PER_TENANT, Missed, Overlap, Schedule, Source, check,
};
use jobforge_core::time::Now;
use jobforge_store::Store;
use jobforge_store::rows::{CreatedSchedule, ScheduleFilter};

use crate::fixtures::{at, moment};

pub(super) fn ada() -> By {
    By::named("cli:ada").because(Some("it must be"))
}

/// A schedule whose moments are the whole minutes of a story, which begins at one.
pub(super) fn each_minute(name: &str) -> Definition {
    Definition { every: Some("1m".to_owned()), ..Definition::new(name, "refresh") }
}

pub(super) fn checked(definition: Definition) -> Result<Checked> {
    Ok(check(definition, moment(0))?)
}

pub(super) async fn add(store: &Arc<dyn Store>, definition: Definition, at: Now) -> Result<()> {
    let added = store.create_schedule(&checked(definition)?, Source::Api, &ada(), at).await?;
    anyhow::ensure!(added == CreatedSchedule::Created, "{added:?}");
    Ok(())
}

pub(super) async fn get(store: &Arc<dyn Store>, name: &str) -> Result<Schedule> {
    store.schedule(name).await?.with_context(|| format!("schedule {name} is there"))
}

/// Whatever a definition says comes back, and the first moment is the next one after its making.
pub async fn a_schedule_is_kept_in_every_field_and_runs_from_its_next_moment_on(
    store: Arc<dyn Store>,
) -> Result<()> {
    let definition = Definition {
        payload: Some(Payload::parse(r#"{"size":12345678901234567890123}"#)?),
        tenant_id: Some("acme".to_owned()),
        queue: Some("mail".to_owned()),
        priority: Some(-3),
        max_attempts: Some(2),
        timeout_ms: Some(9000),
        progress_timeout_ms: Some(4000),
        tags: vec!["a".to_owned(), "b".to_owned()],
        anchor: Some("1999-12-31T23:59:30Z".to_owned()),
        overlap: Overlap::CancelOld,
        missed: Missed::All,
        missed_limit: Some(7),
        catch_up_ms: Some(600_000),
        jitter_ms: Some(5000),
        stale_after_ms: Some(240_000),
        idempotency_key: Some("tick-{planned_for}".to_owned()),
        description: Some("for the test".to_owned()),
        ..each_minute("all.of-it")
    };
    add(&store, definition.clone(), at(10)).await?;
    let kept = get(&store, "all.of-it").await?;
    assert_eq!(kept.definition.to_value(), definition.to_value());
    let payload = kept.definition.payload.context("payload")?;
    assert!(payload.as_str().contains("12345678901234567890123"), "to the last digit: {payload:?}");
    assert_eq!((kept.source, kept.version, kept.created_at), (Source::Api, 1, moment(10)));
    assert_eq!((kept.created_by.as_str(), kept.paused), ("cli:ada", None));
    assert_eq!(kept.next_at, Some(moment(30)));
    let due = kept.due_at.context("due")?;
    assert!((moment(30)..=moment(35)).contains(&due), "put off by jitter: {due}");
    assert_eq!((kept.last_fired_at, kept.last_success_at, kept.missed_runs), (None, None, 0));
    let paused = Definition { paused: true, ..each_minute("sleeper") };
    add(&store, paused, at(10)).await?;
    let pause = get(&store, "sleeper").await?.paused.context("it begins paused")?;
    assert_eq!((pause.at, pause.by.as_str()), (moment(10), "cli:ada"));
    Ok(())
}

pub async fn a_name_is_taken_once_and_a_tenant_has_no_more_than_its_quota(
    store: Arc<dyn Store>,
) -> Result<()> {
    add(&store, each_minute("one"), at(0)).await?;
    let again = store.create_schedule(&checked(each_minute("one"))?, Source::Cli, &ada(), at(1)).await?;
    assert_eq!(again, CreatedSchedule::NameTaken);
    let mut many = Vec::new();
    for number in 1..MAX_PER_TENANT {
        many.push(checked(each_minute(&format!("more-{number}")))?);
    }
    store.declare_schedules(&many, Source::Config, &ada(), at(2)).await?;
    let full = store.create_schedule(&checked(each_minute("too-many"))?, Source::Cli, &ada(), at(3)).await?;
    assert_eq!(full, CreatedSchedule::QuotaFull);
    let elsewhere = Definition { tenant_id: Some("acme".to_owned()), ..each_minute("elsewhere") };
    add(&store, elsewhere, at(3)).await
}

pub async fn a_change_counts_only_from_the_version_that_was_seen(store: Arc<dyn Store>) -> Result<()> {
    add(&store, each_minute("one"), at(0)).await?;
    let hourly = Definition { every: Some("1h".to_owned()), ..each_minute("one") };
    assert!(!store.change_schedule(&checked(hourly.clone())?, 2, &ada(), at(1)).await?);
    assert!(store.change_schedule(&checked(hourly.clone())?, 1, &ada(), at(1)).await?);
    let changed = get(&store, "one").await?;
    assert_eq!((changed.version, changed.updated_at), (2, moment(1)));
    assert_eq!(changed.definition.every.as_deref(), Some("1h"));
    assert!(changed.next_at.context("next")? > moment(60), "the next moment is that of the new interval");
    assert!(!store.change_schedule(&checked(each_minute("none"))?, 1, &ada(), at(2)).await?);
    Ok(())
}

pub async fn schedules_are_listed_by_name_page_by_page(store: Arc<dyn Store>) -> Result<()> {
    for (name, tenant) in [("c", "acme"), ("a", "default"), ("b", "acme"), ("d", "default")] {
        add(&store, Definition { tenant_id: Some(tenant.to_owned()), ..each_minute(name) }, at(0)).await?;
    }
    let list = async |tenant: Option<&str>, after: Option<&str>, limit| -> Result<Vec<String>> {
        let filter =
            ScheduleFilter { tenant_id: tenant.map(str::to_owned), after: after.map(str::to_owned), limit };
        Ok(store.schedules(&filter).await?.into_iter().map(|schedule| schedule.definition.name).collect())
    };
    assert_eq!(list(None, None, 10).await?, ["a", "b", "c", "d"]);
    assert_eq!(list(None, None, 2).await?, ["a", "b"]);
    assert_eq!(list(None, Some("b"), 2).await?, ["c", "d"]);
    assert_eq!(list(Some("acme"), None, 10).await?, ["b", "c"]);
    assert_eq!(list(Some("acme"), Some("b"), 10).await?, ["c"]);
    assert!(store.schedule("e").await?.is_none());
    Ok(())
}

/// A server that starts again with the same file changes nothing, whatever a person has changed; a new word counts.
pub async fn what_a_file_says_again_leaves_a_persons_change_alone(store: Arc<dyn Store>) -> Result<()> {
    let by = By::named("config:host");
    let declare = async |every: &str, now| -> Result<Declared> {
        let definition = Definition { every: Some(every.to_owned()), ..each_minute("one") };
        let done = store.declare_schedules(&[checked(definition)?], Source::Config, &by, now).await?;
        done.first().copied().context("an answer")
    };
    let every = async || -> Result<Option<String>> { Ok(get(&store, "one").await?.definition.every) };
    assert_eq!(declare("5m", at(0)).await?, Declared::Created);
    assert_eq!(declare("5m", at(1)).await?, Declared::Kept);
    let faster = Definition { every: Some("2m".to_owned()), ..each_minute("one") };
    assert!(store.change_schedule(&checked(faster)?, 1, &ada(), at(2)).await?);
    store.pause_schedule("one", None, &ada(), at(3)).await?;
    assert_eq!(declare("5m", at(4)).await?, Declared::Kept);
    assert_eq!(every().await?.as_deref(), Some("2m"));
    assert_eq!(declare("7m", at(5)).await?, Declared::Changed);
    assert_eq!(every().await?.as_deref(), Some("7m"));
    assert!(get(&store, "one").await?.paused.is_some(), "a pause outlives every file");
    // One that a person made is the file's from its first word on.
    add(&store, each_minute("two"), at(6)).await?;
    let same = store.declare_schedules(&[checked(each_minute("two"))?], Source::Config, &by, at(7)).await?;
    assert_eq!((same.first(), get(&store, "two").await?.source), (Some(&Declared::Kept), Source::Config));
    Ok(())
}

pub async fn a_pause_says_who_why_and_until_when(store: Arc<dyn Store>) -> Result<()> {
    add(&store, each_minute("one"), at(0)).await?;
    assert_eq!(store.pause_schedule("none", None, &ada(), at(1)).await?, None);
    assert_eq!(store.resume_schedule("none", &ada(), at(1)).await?, None);
    assert_eq!(store.resume_schedule("one", &ada(), at(1)).await?, Some(false));
    assert_eq!(store.pause_schedule("one", None, &ada(), at(2)).await?, Some(true));
    assert_eq!(store.pause_schedule("one", None, &ada(), at(3)).await?, Some(false));
    assert_eq!(store.pause_schedule("one", Some(moment(90)), &ada(), at(4)).await?, Some(true));
    let pause = get(&store, "one").await?.paused.context("paused")?;
    assert_eq!((pause.at, pause.until), (moment(2), Some(moment(90))));
    assert_eq!((pause.by.as_str(), pause.reason.as_deref()), ("cli:ada", Some("it must be")));
    assert_eq!(store.resume_schedule("one", &ada(), at(130)).await?, Some(true));
    let resumed = get(&store, "one").await?;
    assert_eq!((resumed.paused, resumed.next_at), (None, Some(moment(180))));
    Ok(())
}

pub async fn a_removed_schedule_takes_its_history_along_and_leaves_its_jobs(
    store: Arc<dyn Store>,
) -> Result<()> {
    add(&store, each_minute("one"), at(0)).await?;
    let fired = store.fire_schedules(Duration::ZERO, 10, at(60)).await?;
    let job = fired.lines.first().and_then(|line| line.job_id).context("a job")?;
    assert!(store.remove_schedule("one", &ada(), at(61)).await?);
    assert!(!store.remove_schedule("one", &ada(), at(62)).await?);
    assert!(store.schedule_runs("one", None, 10).await?.is_empty());
    assert!(store.job(job).await?.is_some());
    assert_eq!(store.end_schedule_runs(at(63)).await?, 0);
    Ok(())
}

pub async fn every_change_of_a_schedule_is_told_of_with_before_and_after(
    store: Arc<dyn Store>,
) -> Result<()> {
    add(&store, each_minute("one"), at(0)).await?;
    let hourly = Definition { every: Some("1h".to_owned()), ..each_minute("one") };
    store.change_schedule(&checked(hourly)?, 1, &ada(), at(1)).await?;
    store.pause_schedule("one", None, &ada(), at(2)).await?;
    store.pause_schedule("one", None, &ada(), at(3)).await?;
    store.run_schedule("one", false, &ada(), at(4)).await?;
    store.resume_schedule("one", &ada(), at(5)).await?;
    store.remove_schedule("one", &ada(), at(6)).await?;
    let filter = AuditFilter { target: Some("one".to_owned()), ..AuditFilter::default() };
    let mut entries = store.audit(&filter, 100).await?;
    entries.reverse();
    let told: Vec<&str> = entries.iter().map(|entry| entry.action.as_str()).collect();
    let words = ["create", "change", "pause", "run", "resume", "remove"];
    assert_eq!(told, words.map(|word| format!("schedule.{word}")));
    assert!(entries.iter().all(|entry| entry.by == ada()), "{entries:#?}");
    let [created, changed, ..] = &entries[..] else { bail!("{entries:?}") };
    assert_eq!((&created.before, created.tenant_id.as_deref()), (&None, Some("default")));
    let every = |text: &Option<String>| -> Option<String> {
        let value: serde_json::Value = serde_json::from_str(text.as_deref()?).ok()?;
        value["every"].as_str().map(str::to_owned)
    };
    assert_eq!(every(&created.after).as_deref(), Some("1m"));
    assert_eq!(every(&changed.before).as_deref(), Some("1m"));
    assert_eq!(every(&changed.after).as_deref(), Some("1h"));
    Ok(())
}

pub async fn one_scheduler_is_elected_at_a_time(store: Arc<dyn Store>) -> Result<()> {
    let turn = Duration::from_secs(5);
    assert!(store.scheduler(at(0)).await?.is_none());
    assert!(store.lead_schedules("a", turn, at(0)).await?);
    assert!(!store.lead_schedules("b", turn, at(1)).await?);
    assert!(store.lead_schedules("a", turn, at(3)).await?);
    assert!(!store.lead_schedules("b", turn, at(6)).await?);
    let known = store.scheduler(at(7)).await?.context("a scheduler")?;
    assert_eq!((known.leader.as_str(), known.last_tick_at, known.as_of), ("a", moment(3), moment(7)));
    assert!(store.lead_schedules("b", turn, at(8)).await?, "the turn of a is over");
    assert!(!store.lead_schedules("a", turn, at(9)).await?);
    assert!(store.lead_schedules("b", Duration::ZERO, at(10)).await?, "b steps down");
    assert!(store.lead_schedules("a", turn, at(10)).await?);
    // After the clock was set back, nobody waits for a turn that ends in hours.
    assert!(store.lead_schedules("a", turn, at(10_000)).await?);
    assert!(store.lead_schedules("b", turn, at(11)).await?);
    Ok(())
}

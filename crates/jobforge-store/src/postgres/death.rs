//! Workers that are proven dead: marked, and their jobs taken back in the same transaction.

use jiff::Timestamp;
use jobforge_core::death::{Death, DeathReport, Place, ProcessId, Proof};
use jobforge_core::job::WorkerId;
use jobforge_core::metric::DeadSource;
use jobforge_core::rescue::{RescuePolicy, Suspect, SuspectPage, plan};
use jobforge_core::time::Now;
use jobforge_core::worker::{NewWorker, WorkerRow};
use tokio_postgres::{Row, Statement, Transaction};

use super::PostgresStore;
use super::rescue::{self, RESCUE};
use super::rows::{Json, job, millis, worker};
use super::session::{Attempted, CONFLICT_TRIES, Params, Sql, fix_clock, run, sql};
use super::workers::{self, REGISTER};
use crate::error::Result;
use crate::meter::Tally;
use crate::rows::{DEATH_PAGE, DEATH_PAGES, Deaths};

static MARK: Sql = sql!("worker_dead", TEXT, TEXT, INT8, INT8, INT8, TEXT, JSONB);
static FIND: Sql = sql!("worker_of_process", TEXT, TEXT, INT8, INT8, INT8);
static SUPERSEDE: Sql =
    sql!("worker_supersede", TEXT, TEXT, TEXT, INT8, INT8, INT8, INT8, TEXT, JSONB, TEXT, JSONB);
static DIED_WITH: Sql = sql!("worker_died_with", TEXT_ARRAY, INT4);
static JOBS: Sql = sql!("jobs_of_workers", TEXT_ARRAY, INT8);

/// What may prove workers dead.
pub(super) enum Event<'a> {
    /// Somebody saw a process end.
    Reported(&'a DeathReport, &'a RescuePolicy),
    /// A worker makes itself known, perhaps as the new holder of a slot.
    Registered(&'a NewWorker),
}

impl Event<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Reported(..) => "report_death",
            Self::Registered(_) => "register",
        }
    }
}

type Tried<T> = std::result::Result<T, Attempted>;

impl PostgresStore {
    /// Stores an event and takes back what those hold whom it proves dead, and tries again when it lost to a
    /// concurrent transaction.
    pub(super) async fn bury(&self, event: &Event<'_>, at: Now) -> Result<Deaths> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.bury_once(event, at).await {
                Err(Attempted::Conflict(_)) if tries < CONFLICT_TRIES => {}
                Err(Attempted::Conflict(error) | Attempted::Final(error)) => return Err(error),
                Ok(deaths) => return Ok(deaths),
            }
        }
    }

    async fn bury_once(&self, event: &Event<'_>, at: Now) -> Tried<Deaths> {
        let call = event.name();
        let mut client = self.client(call).await.map_err(Attempted::Final)?;
        let watch = self.slow.watch(call);
        let fault = |error| self.attempted(call, error);
        let transaction = client.transaction().await.map_err(fault)?;
        fix_clock(&*transaction, at).await.map_err(fault)?;
        let grave = Grave { store: self, call, transaction: &transaction };
        let mut tallies = Vec::new();
        let deaths = match event {
            Event::Reported(report, policy) => {
                let dead = grave.of_process(&report.process, &report.death, &mut tallies).await?;
                grave.rescue(dead, policy, &mut tallies).await?
            }
            Event::Registered(worker) => {
                let rows = grave.run(&REGISTER, &workers::Columns::of(worker).params()).await?;
                if rows.first().is_some_and(|row| row.get(0)) {
                    tallies.push(Tally::Resurrected);
                }
                match worker.place.as_ref() {
                    Some(Place { process, up_for, slot: Some(slot) }) => {
                        let up_for = millis(*up_for);
                        let dead = grave.before(process, up_for, &slot.id, &slot.name, &mut tallies).await?;
                        grave.rescue(dead, &slot.policy, &mut tallies).await?
                    }
                    Some(_) | None => Deaths::default(),
                }
            }
        };
        transaction.commit().await.map_err(fault)?;
        watch.done();
        tallies.into_iter().for_each(Tally::count);
        Ok(deaths)
    }
}

/// The transaction in which the dead are marked and their jobs taken back.
struct Grave<'a> {
    store: &'a PostgresStore,
    call: &'static str,
    transaction: &'a Transaction<'a>,
}

impl Grave<'_> {
    /// Deaths and registrations are rare: their statements go unnamed, in one round trip each.
    async fn run(&self, sql: &Sql, params: Params<'_>) -> Tried<Vec<Row>> {
        let unnamed: Option<&Statement> = None;
        run(self.transaction, unnamed, sql, params)
            .await
            .map_err(|error| self.store.attempted(self.call, error))
    }

    async fn of_process(
        &self,
        process: &ProcessId,
        death: &Death,
        tallies: &mut Vec<Tally>,
    ) -> Tried<Vec<WorkerRow>> {
        let (namespace, pid) = (process.pid_namespace.cast_signed(), i64::from(process.pid));
        let started = process.started.cast_signed();
        let (machine, boot) = (&process.machine_id, &process.boot_id);
        let (words, certificate) = (death.proof.to_string(), Json::of(death));
        let marked =
            self.run(&MARK, &[machine, boot, &namespace, &pid, &started, &words, &certificate]).await?;
        tallies.extend(fresh(&marked));
        let rows = self.run(&FIND, &[machine, boot, &namespace, &pid, &started]).await?;
        self.read(&rows, worker)
    }

    /// Those who held the slot before this process.
    async fn before(
        &self,
        process: &ProcessId,
        up_for_ms: i64,
        slot_id: &str,
        slot: &str,
        tallies: &mut Vec<Tally>,
    ) -> Tried<Vec<WorkerRow>> {
        let taken = Proof::SlotTaken { slot: slot.to_owned() };
        let (taken_words, rebooted_words) = (taken.to_string(), Proof::Rebooted.to_string());
        let taken = Json::of(&Death::new(taken, []));
        let rebooted = Json::of(&Death::new(Proof::Rebooted, []));
        let rows = self
            .run(
                &SUPERSEDE,
                &[
                    &slot_id,
                    &process.machine_id,
                    &process.boot_id,
                    &process.pid_namespace.cast_signed(),
                    &i64::from(process.pid),
                    &process.started.cast_signed(),
                    &up_for_ms,
                    &taken_words,
                    &taken,
                    &rebooted_words,
                    &rebooted,
                ],
            )
            .await?;
        tallies.extend(fresh(&rows));
        self.read(&rows, worker)
    }

    /// Takes back what ended workers hold.
    async fn rescue(
        &self,
        dead: Vec<WorkerRow>,
        policy: &RescuePolicy,
        tallies: &mut Vec<Tally>,
    ) -> Tried<Deaths> {
        let mut deaths = Deaths::default();
        if dead.is_empty() {
            return Ok(deaths);
        }
        let ids: Vec<&str> = dead.iter().map(|worker| worker.id.as_str()).collect();
        let page = i64::try_from(DEATH_PAGE).unwrap_or(i64::MAX);
        let mut beside = None;
        for _ in 0..DEATH_PAGES {
            let rows = self.run(&JOBS, &[&ids, &page]).await?;
            let Some(first) = rows.first() else { break };
            let as_of: Timestamp =
                first.try_get("as_of").map_err(|error| self.store.attempted(self.call, error))?;
            // All that the process was running, however many pages and reports that takes.
            let beside = match beside {
                Some(known) => known,
                None => {
                    let found = count_of(first).map_err(|error| self.store.attempted(self.call, error))?;
                    let known = dead.iter().filter_map(|worker| worker.died_with).max().unwrap_or(0);
                    let company = known.saturating_add(found);
                    self.run(&DIED_WITH, &[&ids, &i32::try_from(company).unwrap_or(i32::MAX)]).await?;
                    *beside.insert(company.saturating_sub(1))
                }
            };
            let suspects = self.read(&rows, job)?.into_iter().map(|job| Suspect {
                worker: dead.iter().find(|worker| job.locked_by.as_ref() == Some(&worker.id)).cloned(),
                job,
                beside: Some(beside),
            });
            let lines = plan(&SuspectPage { as_of, suspects: suspects.collect() }, policy);
            let moved = self.run(&RESCUE, &rescue::Columns::of(&lines).params()).await?;
            tallies.extend(rescue::ended(&lines, &moved, DeadSource::Cleanup));
            let report = rescue::report(&lines, &moved);
            if !deaths.add(lines, report) {
                break;
            }
        }
        deaths.workers = dead.into_iter().map(|worker| worker.id).collect::<Vec<WorkerId>>();
        Ok(deaths)
    }

    fn read<T>(
        &self,
        rows: &[Row],
        read: fn(&Row) -> std::result::Result<T, tokio_postgres::Error>,
    ) -> Tried<Vec<T>> {
        rows.iter()
            .map(read)
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| self.store.attempted(self.call, error))
    }
}

/// One for each worker that was not known to be lost.
fn fresh(rows: &[Row]) -> impl Iterator<Item = Tally> {
    rows.iter().filter(|row| row.get("fresh")).map(|_| Tally::DeclaredDead)
}

/// How many jobs the dead were running in all, as a page of them tells.
fn count_of(first: &Row) -> std::result::Result<u32, tokio_postgres::Error> {
    Ok(u32::try_from(first.try_get::<_, i64>("company")?).unwrap_or(u32::MAX))
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&MARK, &FIND, &SUPERSEDE, &JOBS, &DIED_WITH]
}

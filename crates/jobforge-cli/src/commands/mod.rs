//! One file a command.

mod alert;
mod audit;
mod bench;
mod config;
mod db;
mod dead;
mod demo;
mod doctor;
mod drill;
mod health;
mod help;
mod job;
mod job_enqueue;
mod job_follow;
mod metrics;
mod operation;
mod own_directory;
mod owner;
mod parts;
mod protocol_test;
mod queue;
mod runbook;
mod schedule;
mod serve;
mod tenant;
mod token;
mod top;
mod up;
mod watchdog;
mod what_if;
mod work;
mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::CommandFactory;
use jobforge::core::audit::By;
use jobforge::core::redact::Redactor;
use jobforge::core::schedule::Definition;
use jobforge::core::settings::Settings;
use jobforge::core::time::Now;
use jobforge::live::{Follower, Live, OwnSettings};
use jobforge::notify::ChannelTable;
use jobforge::store::{Store, WorkerStore};
use jobforge::{Client, OpenOptions, Payloads, Purpose, open_store};
use nix::unistd::{User, gethostname, getuid};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::{Cli, Command, Global};
use crate::failure::{self, Failure};
use crate::logging::Teller;
use crate::{config as settings, logging, output};

/// What most commands need: the settings, and whether to print JSON.
pub(crate) struct Context {
    pub(crate) settings: Settings,
    /// What of them this process has of its own, whatever is stored.
    pub(crate) own: OwnSettings,
    /// What the configuration file says is to run by itself.
    pub(crate) schedules: Vec<Definition>,
    /// Who is told of alerts, besides the channels of the settings.
    pub(crate) channels: Vec<ChannelTable>,
    pub(crate) json: bool,
    /// Why this is done, for the audit log.
    reason: Option<String>,
}

impl Context {
    fn new(global: &Global, flags: BTreeMap<String, String>, teller: Teller) -> Result<Self, Failure> {
        let settings::Read { settings, own, schedules, channels } = settings::settings(global, flags)?;
        logging::start(&settings, global.log.as_deref(), teller)?;
        Ok(Self { settings, own, schedules, channels, json: global.json, reason: global.reason.clone() })
    }

    /// Opens the database beside whoever owns it; it must exist.
    pub(crate) async fn visit(&self) -> Result<Client, Failure> {
        let store = open_store(&OpenOptions::from_settings(&self.settings, Purpose::Visit, false)).await;
        Ok(Client::new(store.map_err(|error| self.explain_open(&error))?).acting(self.by()))
    }

    /// Who does it and why, for the audit log.
    pub(crate) fn by(&self) -> By {
        By::named(who()).because(self.reason.as_deref())
    }

    /// What counts now: what is stored for the whole fleet, below what this process has of its own.
    pub(crate) async fn settings_now(&self, client: &Client) -> Result<Settings, Failure> {
        let stored = client.store().stored_settings(Now::Database).await?;
        Ok(self.own.above(stored.layer()).unwrap_or_else(|faults| {
            // Whoever looks for what is wrong must see it all the same.
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            tracing::warn!("the stored settings do not count in this process: {}", faults.join("; "));
            self.settings.clone()
        }))
    }

    /// Hides the secrets in what is shown of payloads and results.
    pub(crate) async fn redactor(&self, client: &Client) -> Result<Redactor, Failure> {
        Ok(Redactor::of_settings(&self.settings_now(client).await?))
    }

    /// Begins to follow the stored settings; without an answer of the database what is known already counts.
    pub(crate) async fn follow(&self, store: Arc<dyn WorkerStore>) -> (Follower, Live) {
        Follower::begin(store, self.own.clone(), self.settings.clone()).await
    }

    /// The file of the embedded database; `None` on PostgreSQL.
    pub(crate) fn embedded(&self) -> Result<Option<PathBuf>, Failure> {
        Ok(OpenOptions::from_settings(&self.settings, Purpose::Visit, false).embedded()?)
    }

    /// Opens the database for as long as this process lives; an embedded one is made if it does not exist.
    pub(crate) async fn own(&self) -> Result<Arc<dyn Store>, Failure> {
        let options = OpenOptions::from_settings(&self.settings, Purpose::Own, true);
        open_store(&options).await.map_err(|error| self.explain_open(&error))
    }

    pub(crate) fn explain_open(&self, error: &jobforge::store::StoreError) -> Failure {
        let failure = Failure::from_store(error);
        match error {
            jobforge::store::StoreError::Unreachable { .. }
                if self.settings.text("database_url").is_empty() =>
            {
                failure.hint("start JobForge with `jobforge up`, or name a database with --database-url")
            }
            _ => failure,
        }
    }
}

/// Where large payloads are kept, if anywhere.
pub(crate) fn payloads(settings: &Settings) -> Result<Option<Payloads>, Failure> {
    Payloads::of_settings(settings).map_err(|fault| Failure::new(failure::CONFIG, fault.to_string()))
}

/// Who types, as the audit log names them.
fn who() -> String {
    let user = User::from_uid(getuid()).ok().flatten().map_or_else(|| getuid().to_string(), |user| user.name);
    let host = gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    format!("cli:{user}@{host}")
}

/// Runs the command that was typed.
pub(crate) async fn run(cli: Cli) -> Result<(), Failure> {
    let global = cli.global;
    let visit = |flags| Context::new(&global, flags, Teller::OneShot);
    match cli.command {
        Command::Up(args) => {
            let flags = merge(serve::flags(&args.serve), work::flags(&args.work));
            up::run(Context::new(&global, flags, Teller::Server)?, &global, &args).await
        }
        Command::Serve(args) => serve::run(Context::new(&global, serve::flags(&args), Teller::Server)?).await,
        Command::Work(args) => {
            let listener = flags(&[("metrics_listen", args.metrics_listen.as_ref())]);
            let flags = merge(work::flags(&args.work), listener);
            let teller = if args.work.supervised { Teller::Supervised } else { Teller::Server };
            work::run(Context::new(&global, flags, teller)?, &global, &args.work).await
        }
        Command::Job(command) => job::run(visit(BTreeMap::new())?, command).await,
        Command::Operation(command) => operation::run(visit(BTreeMap::new())?, command).await,
        Command::Queue(command) => queue::run(visit(BTreeMap::new())?, command).await,
        Command::Tenant(command) => tenant::run(visit(BTreeMap::new())?, command).await,
        Command::Worker(command) => worker::run(visit(BTreeMap::new())?, command).await,
        Command::Schedule(command) => schedule::run(visit(BTreeMap::new())?, command).await,
        Command::Dead(command) => dead::run(visit(BTreeMap::new())?, command).await,
        Command::Top(args) => top::run(visit(BTreeMap::new())?, &args).await,
        Command::Watchdog(command) => watchdog::run(visit(BTreeMap::new())?, command).await,
        Command::CleanupDaemon => {
            serve::run(Context::new(&global, serve::watchdog_only(), Teller::Server)?).await
        }
        Command::Db(command) => db::run(visit(BTreeMap::new())?, command).await,
        Command::Alert(command) => alert::run(visit(BTreeMap::new())?, command).await,
        Command::Audit(command) => audit::run(visit(BTreeMap::new())?, command).await,
        Command::Token(command) => token::run(visit(BTreeMap::new())?, command).await,
        Command::Config(command) => config::run(visit(BTreeMap::new())?, command).await,
        Command::Flag(command) => config::flag(visit(BTreeMap::new())?, command).await,
        Command::Bench(command) => bench::run(visit(BTreeMap::new())?, command).await,
        Command::Doctor(args) => doctor::run(visit(BTreeMap::new()), &global, &args).await,
        Command::Runbook(command) => runbook::run(visit(BTreeMap::new())?, &global, command).await,
        Command::Drill(command) => drill::run(visit(BTreeMap::new())?, &global, command).await,
        Command::Health(args) => health::run(&visit(serve::flags(&args.serve))?, args.metrics),
        Command::ProtocolTest(args) => protocol_test::run(args, global.json).await,
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "jobforge", &mut script);
            output::write(&String::from_utf8_lossy(&script));
            Ok(())
        }
        Command::Man { directory } => help::man(&directory),
        Command::Version => help::version(global.json),
        Command::HelpSettings => help::settings(&visit(BTreeMap::new())?),
        Command::HelpExitCodes => help::exit_codes(global.json),
    }
}

fn merge(mut a: BTreeMap<String, String>, b: BTreeMap<String, String>) -> BTreeMap<String, String> {
    a.extend(b);
    a
}

/// Collects the flags that were given, by the keys of their settings.
pub(crate) fn flags(given: &[(&str, Option<&String>)]) -> BTreeMap<String, String> {
    given.iter().filter_map(|(key, value)| value.map(|value| ((*key).to_owned(), value.clone()))).collect()
}

/// Whether this process is to be no more than the supervisor of a worker.
pub(crate) fn only_supervises(cli: &Cli) -> bool {
    match &cli.command {
        Command::Work(args) => work::supervises(&args.work),
        _ => false,
    }
}

/// The signals that ask a process to stop.
pub(crate) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

/// Listens for them from now on.
pub(crate) fn stop_signals() -> Result<StopSignals, Failure> {
    let listen = |kind| {
        signal(kind)
            .map_err(|error| Failure::new(failure::FAILED, format!("cannot listen for signals: {error}")))
    };
    Ok(StopSignals {
        interrupt: listen(SignalKind::interrupt())?,
        terminate: listen(SignalKind::terminate())?,
    })
}

impl StopSignals {
    /// Resolves at the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Resolves when the process is asked to stop.
pub(crate) async fn asked_to_stop() -> Result<(), Failure> {
    stop_signals()?.next().await;
    Ok(())
}

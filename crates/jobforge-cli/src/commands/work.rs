//! `jobforge work`: a worker with the built-in job types.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jobforge::builtin::BuiltinConfig;
use jobforge::builtin::exec::ExecConfig;
use jobforge::builtin::outbound::HttpConfig;
use jobforge::builtin::secrets::SecretsConfig;
use jobforge::core::settings::Settings;
use jobforge::store::Store;
use jobforge::{Client, Worker};

use super::{Context, asked_to_stop};
use crate::cli::WorkArgs;
use crate::failure::{self, Failure};
use crate::output;

pub(crate) fn flags(args: &WorkArgs) -> BTreeMap<String, String> {
    super::flags(&[
        ("queues", args.queues.as_ref()),
        ("slots", args.slots.as_ref()),
        ("exec_allow", args.exec_allow.as_ref()),
    ])
}

pub(crate) async fn run(context: Context) -> Result<(), Failure> {
    let store = context.own().await?;
    let worker = start(&context.settings, &store, false).await?;
    tracing::info!(worker.id = %worker.id(), "worker {} takes jobs from {}; stop with Ctrl-C", worker.id(), store.location());
    asked_to_stop().await?;
    stop(worker, &context.settings).await
}

/// Starts a worker by the settings. `any_program` lets exec run whatever it is told when no list was given.
pub(crate) async fn start(
    settings: &Settings,
    store: &Arc<dyn Store>,
    any_program: bool,
) -> Result<Worker, Failure> {
    let client = Client::new(Arc::clone(store));
    let mut builder =
        Worker::builder(&client).settings(settings).builtins(builtins(settings, any_program)?)?;
    for (queue, slots) in queues(settings)? {
        builder = builder.queue(queue, slots);
    }
    Ok(builder.start().await?)
}

/// Stops in good order; a second signal does not wait.
pub(crate) async fn stop(worker: Worker, settings: &Settings) -> Result<(), Failure> {
    let grace = settings.millis("shutdown_grace_ms");
    let held = worker.stats().held;
    if held > 0 {
        output::note(&format!(
            "waiting up to {} s for {held} running job(s); stop again to give them back at once",
            grace.as_secs()
        ));
    }
    tokio::select! {
        given_back = worker.stop_gracefully(grace) => {
            if given_back > 0 {
                output::note(&format!("gave {given_back} job(s) back; they lost no attempt"));
            }
            Ok(())
        }
        _ = asked_to_stop() => Err(Failure::new(failure::INTERRUPTED, "stopped without waiting; what was running will be taken back by the watchdog")),
    }
}

/// Reads `default,mail=20`.
fn queues(settings: &Settings) -> Result<Vec<(String, usize)>, Failure> {
    let default_slots = usize::try_from(settings.integer("slots")).unwrap_or(10);
    settings
        .list("queues")
        .into_iter()
        .map(|item| match item.split_once('=') {
            None => Ok((item, default_slots)),
            Some((name, slots)) => match slots.trim().parse::<usize>() {
                Ok(slots) if slots > 0 => Ok((name.trim().to_owned(), slots)),
                _ => Err(Failure::new(
                    failure::CONFIG,
                    format!("queues contains {item:?}; write name=slots with at least one slot"),
                )),
            },
        })
        .collect()
}

fn builtins(settings: &Settings, any_program: bool) -> Result<BuiltinConfig, Failure> {
    let mut allow = settings.list("exec_allow");
    if allow.is_empty() && any_program {
        allow.push("*".to_owned());
    }
    let ports = settings.list("http_allow_ports");
    let ports = ports.iter().map(|port| port.parse::<u16>()).collect::<Result<Vec<_>, _>>();
    let folder = settings.text("secrets_dir");
    let mut hosts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for item in settings.list("secret_hosts") {
        let Some((secret, host)) = item.split_once('=') else {
            return Err(Failure::new(
                failure::CONFIG,
                format!("secret_hosts contains {item:?}; write secret=host"),
            ));
        };
        hosts.entry(secret.trim().to_owned()).or_default().push(host.trim().to_owned());
    }
    Ok(BuiltinConfig {
        exec: ExecConfig { enabled: !allow.is_empty(), allow },
        http: HttpConfig {
            allow_private: settings.list("http_allow_private"),
            allow_ports: ports.map_err(|_| {
                Failure::new(failure::CONFIG, "http_allow_ports must be port numbers separated by commas")
            })?,
        },
        secrets: SecretsConfig { folder: (!folder.is_empty()).then(|| PathBuf::from(folder)), hosts },
    })
}

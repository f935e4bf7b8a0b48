//! `jobforge tenant`: who has how much waiting and running, and whose jobs fall.

use jobforge::core::tenant::{MOST_FALLEN, Order, Tenant};
use jobforge::core::time::{since, words};
use jobforge::tenants::{self, Ask};

use super::Context;
use crate::cli::TenantCommand;
use crate::failure::Failure;
use crate::output;

pub(crate) async fn run(context: Context, command: TenantCommand) -> Result<(), Failure> {
    let TenantCommand::List { prefix, sort, limit } = command;
    let client = context.visit().await?;
    let ask = Ask { prefix, order: Order::named(&sort).unwrap_or_default(), limit, only: None };
    let list = tenants::list(&**client.store(), &context.settings, &ask).await?;
    if context.json {
        return output::json(&list);
    }
    if list.tenants.is_empty() {
        output::note("no tenant has or had a job, or none whose name begins like that");
        return Ok(());
    }
    let least = |number: u64, stopped: bool| format!("{number}{}", if stopped { "+" } else { "" });
    let row = |tenant: &Tenant| {
        let fell = |number: u64| least(number, number >= MOST_FALLEN);
        let beats = match tenant.heartbeat_budget_per_minute {
            Some(budget) => format!("{:.0} of {budget}", tenant.heartbeats_expected_per_minute),
            None => format!("{:.0}", tenant.heartbeats_expected_per_minute),
        };
        vec![
            output::printable(&tenant.name),
            least(tenant.ready, list.stopped.ready),
            tenant.oldest_ready_at.map_or_else(|| "-".to_owned(), |at| words(since(list.as_of, at))),
            least(tenant.running, list.stopped.running),
            least(tenant.scheduled, list.stopped.scheduled),
            tenant.retrying.to_string(),
            fell(tenant.failed_last_hour),
            fell(tenant.dead_last_hour),
            fell(tenant.dead),
            beats,
        ]
    };
    let header = [
        "tenant",
        "ready",
        "oldest waits",
        "running",
        "scheduled",
        "retrying",
        "failed 1h",
        "dead 1h",
        "dead",
        "heartbeats/min",
    ];
    output::table(&header, &[1, 3, 4, 5, 6, 7, 8], list.tenants.iter().map(row).collect());
    if list.more > 0 {
        output::note(&format!(
            "{} more are not listed; narrow them with --prefix, or raise --limit",
            list.more
        ));
    }
    Ok(())
}

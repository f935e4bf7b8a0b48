//! `jobforge doctor`: what is wrong, why it is thought so, and what mends it.

mod gather;
mod host;
mod mend;
mod tell;

use jobforge::core::doctor::{self, Area, Facts, Fault, Fix, Silent};

use self::tell::tell;
use super::Context;
use crate::cli::{DoctorArgs, Global};
use crate::failure::Failure;
use crate::output;

/// Examines everything, and with `--fix` mends what can be mended without harm.
///
/// Settings with which no process starts are a finding too, so this takes them as they were read, or the failure.
pub(crate) async fn run(
    context: Result<Context, Failure>,
    global: &Global,
    args: &DoctorArgs,
) -> Result<(), Failure> {
    let context = match context {
        Ok(context) => context,
        Err(failure) => {
            let areas = doctor::diagnose(&unreadable(failure));
            return tell(&areas, global.json);
        }
    };
    let areas = examine(&context).await;
    if !args.fix {
        return tell(&areas, context.json);
    }
    let fixes = fixes(&areas);
    if fixes.is_empty() {
        output::note("nothing that was found is mended by --fix; what each finding says is for a person");
        return tell(&areas, context.json);
    }
    for (name, fix) in &fixes {
        output::note(&format!("{name}: will {}", fix.preview()));
    }
    if args.dry_run {
        output::note("nothing was changed");
        return tell(&areas, context.json);
    }
    output::confirm("Do this?", args.yes)?;
    for (name, fix) in &fixes {
        let done = mend::mend(&context, fix).await?;
        output::note(&format!("{name}: {done}"));
    }
    tell(&examine(&context).await, context.json)
}

async fn examine(context: &Context) -> Vec<Area> {
    doctor::diagnose(&gather::facts(context).await)
}

/// All that is known when the settings cannot be read.
fn unreadable(failure: Failure) -> Facts {
    let mut host = host::look(None);
    host.setting_faults = vec![failure.into_message()];
    let message = "its address is not known while the settings cannot be read".to_owned();
    Facts { host, database: Err(Silent { fault: Fault::Settings, message }) }
}

fn fixes(areas: &[Area]) -> Vec<(&'static str, Fix)> {
    let all = areas.iter().flat_map(|area| &area.findings);
    let mut fixes: Vec<(&'static str, Fix)> = Vec::new();
    for (name, fix) in all.filter_map(|finding| Some((finding.name, finding.fix.clone()?))) {
        if !fixes.iter().any(|(_, other)| *other == fix) {
            fixes.push((name, fix));
        }
    }
    fixes
}

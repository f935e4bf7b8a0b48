//! Blocks of TypeScript, run with the SDK as an application has it installed.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::fleet::{ADMINISTRATOR, Fleet, TENANT};
use crate::compose::sdks;
use crate::program::done;

/// Items of the bulk block, some of which come twice.
const ITEMS: usize = 300;
const DIFFERENT: usize = 250;

/// Runs a block as often as its words ask for, and looks at the jobs that it makes.
pub(super) fn run(fleet: &Fleet, text: &str) -> Result<String, String> {
    if text.contains("cleanup-") {
        once_a_day(fleet, text)
    } else if text.contains("backfill-") {
        each_key_once(fleet, text)
    } else if text.contains("data_ref") {
        small_payloads(fleet, text)
    } else {
        Err("nothing here knows what this enqueues".to_owned())
    }
}

/// What the calls of a block made, and why the last of them was refused.
struct Made {
    jobs: Vec<Value>,
    refused: Option<String>,
}

impl Made {
    fn ids(&self) -> BTreeSet<&str> {
        self.jobs.iter().filter_map(|job| job["id"].as_str()).collect()
    }

    fn created(&self) -> usize {
        self.jobs.iter().filter(|job| job["created"] == true).count()
    }
}

fn once_a_day(fleet: &Fleet, text: &str) -> Result<String, String> {
    let made = play(fleet, &[text, text])?;
    let ids = made.ids();
    let (1, 1, Some(id)) = (ids.len(), made.created(), ids.first()) else {
        return Err(format!("twice on a day made {:?}; {:?}", made.jobs, made.refused));
    };
    fleet.until(id, "succeeded");
    Ok("the second call of the day finds the job of the first, and that has cleaned up".to_owned())
}

fn each_key_once(fleet: &Fleet, text: &str) -> Result<String, String> {
    let made = play(fleet, &[text])?;
    if (made.jobs.len(), made.ids().len(), made.created()) != (ITEMS, DIFFERENT, DIFFERENT) {
        return Err(format!("{} calls made {:?}; {:?}", made.jobs.len(), made.created(), made.refused));
    }
    let rows = fleet.sql("SELECT count(*) FROM jobforge_jobs WHERE type = 'backfill.process_item'");
    if rows != DIFFERENT.to_string() {
        return Err(format!("{rows} jobs of {DIFFERENT} keys"));
    }
    Ok(format!("{ITEMS} calls at once with {DIFFERENT} keys made {DIFFERENT} jobs"))
}

fn small_payloads(fleet: &Fleet, text: &str) -> Result<String, String> {
    let (bad, good) = text.split_once("// Do this:").ok_or("it shows no better way")?;
    let large = play(fleet, &[bad])?;
    let advice = large.refused.filter(|_| large.jobs.is_empty()).ok_or("the large payload was taken")?;
    if !advice.contains("data_ref") {
        return Err(format!("the refusal has no advice: {advice}"));
    }
    let small = play(fleet, &[good])?;
    let [job] = &small.jobs[..] else { return Err(format!("the small one: {:?}", small.refused)) };
    let kept = fleet.field(job["id"].as_str().unwrap_or_default(), "payload ->> 'data_ref'");
    if kept != "s3://bucket/key" {
        return Err(format!("the reference is kept as {kept:?}"));
    }
    Ok("the large one is refused with this advice, and the reference is enqueued".to_owned())
}

/// Runs pieces of code one after the other, with what their readers have around them.
fn play(fleet: &Fleet, pieces: &[&str]) -> Result<Made, String> {
    let folder = sdks().join("typescript");
    let blocks: String =
        pieces.iter().map(|piece| format!("await (async () => {{\n{piece}\n}})();\n")).collect();
    let program = format!(
        "import {{ JobForge }} from \"@jobforge/sdk\";
         const client = new JobForge({{ defaults: {{ type: \"report.build\" }} }});
         const told = [];
         const enqueue = client.enqueueJob.bind(client);
         client.enqueueJob = async (job) => {{
           const {{ id, created }} = await enqueue(job);
           told.push({{ id, created }});
           return {{ id, created }};
         }};
         const tenantId = \"{TENANT}\";
         const items = Array.from({{ length: {ITEMS} }}, (_, id) => ({{ id: id % {DIFFERENT} }}));
         const hugeObject = \"x\".repeat(100 * 1024);
         const uploadToStorage = async () => \"s3://bucket/key\";
         let refused = null;
         try {{\n{blocks}}} catch (error) {{ refused = error.message; }}
         console.log(JSON.stringify({{ told, refused }}));
         client.close();"
    );
    let told = node(fleet, &folder, &program)?;
    let jobs = told["told"].as_array().cloned().unwrap_or_default();
    Ok(Made { jobs, refused: told["refused"].as_str().map(str::to_owned) })
}

fn node(fleet: &Fleet, folder: &Path, program: &str) -> Result<Value, String> {
    let mut node = Command::new("node");
    node.current_dir(folder).args(["--input-type=module", "--eval", program]);
    node.env("JOBFORGE_URL", fleet.url()).env("JOBFORGE_TOKEN", ADMINISTRATOR);
    let ran = done(node.output().map_err(|error| format!("node: {error}"))?);
    match ran.code {
        0 => serde_json::from_str(&ran.out).map_err(|error| format!("{error}: {}", ran.out)),
        _ => Err(ran.err),
    }
}

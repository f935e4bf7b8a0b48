//! `jobforge job enqueue`: one job from the arguments, or one per line of a file.

use jobforge::Payloads;
use jobforge::core::counted::counted;
use jobforge::core::enqueue::{JobRequest, validate};
use jobforge::core::job::NewJob;
use jobforge::core::payload::{LARGE_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES, Payload};
use jobforge::core::time::parse_duration;
use jobforge_api::ReceiptView;

use super::{Context, job_follow, payloads};
use crate::cli::EnqueueArgs;
use crate::failure::Failure;
use crate::output;

/// Jobs per transaction of a bulk enqueue.
const BATCH: usize = 10_000;

pub(crate) async fn run(context: &Context, args: EnqueueArgs) -> Result<(), Failure> {
    match &args.from {
        Some(source) => many(context, source).await,
        None => one(context, args).await,
    }
}

async fn one(context: &Context, args: EnqueueArgs) -> Result<(), Failure> {
    let Some(job_type) = args.job_type else {
        return Err(Failure::usage("which type? give one, such as exec")
            .hint("jobforge job enqueue exec '{\"argv\": [\"date\"]}'"));
    };
    let store = payloads(&context.settings)?;
    let payload = args
        .payload
        .as_deref()
        .map(|argument| read_payload_within(argument, most(store.as_ref())))
        .transpose()?;
    let bytes = payload.as_ref().map_or(0, |payload| payload.as_str().len());
    if bytes > LARGE_PAYLOAD_BYTES && store.is_none() {
        let kilobytes = bytes / 1024;
        output::note(&format!(
            "the payload has {kilobytes} KB; above 100 KB it is better to store the data and pass a reference, or to \
             let JobForge store it (setting payload_store)"
        ));
    }
    let request = JobRequest {
        job_type,
        payload,
        tenant_id: args.tenant,
        queue: args.queue,
        priority: args.priority,
        run_at: args.run_at,
        delay_ms: args.delay.as_deref().map(|text| millis("--delay", text)).transpose()?,
        max_attempts: args.max_attempts,
        timeout_ms: args.timeout.as_deref().map(|text| millis("--timeout", text)).transpose()?,
        progress_timeout_ms: args
            .progress_timeout
            .as_deref()
            .map(|text| millis("--progress-timeout", text))
            .transpose()?,
        idempotency_key: args.key,
        tags: args.tags,
        traceparent: None,
        retry: None,
    };
    let client = context.visit().await?.payloads(store);
    let receipt = client.enqueue_untyped(request).await?;
    let (id, created) = (receipt.id.to_string(), receipt.created);
    if context.json && !args.wait {
        return output::json(&ReceiptView { id, created });
    }
    if args.wait {
        return job_follow::wait(context, receipt.id, "24h").await;
    }
    output::say(&id);
    if !created {
        output::note("a job with this key exists already; nothing was enqueued");
    }
    output::note(&output::dim(&format!("what becomes of it: jobforge job explain {id}")));
    Ok(())
}

fn millis(flag: &str, text: &str) -> Result<i64, Failure> {
    let duration = parse_duration(text).map_err(|error| Failure::usage(format!("{flag}: {error}")))?;
    Ok(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

/// The largest payload that is taken.
fn most(store: Option<&Payloads>) -> usize {
    store.map_or(MAX_PAYLOAD_BYTES, Payloads::max_bytes)
}

/// The payload itself, the content of `@FILE`, or standard input for `-`.
pub(crate) fn read_payload(argument: &str) -> Result<Payload, Failure> {
    read_payload_within(argument, MAX_PAYLOAD_BYTES)
}

/// The same, of at most so many bytes.
fn read_payload_within(argument: &str, most: usize) -> Result<Payload, Failure> {
    let (text, origin) = match argument.strip_prefix('@') {
        _ if argument == "-" => (read_stdin()?, "standard input".to_owned()),
        Some(path) => (read_file(path)?, path.to_owned()),
        None => (argument.to_owned(), "PAYLOAD".to_owned()),
    };
    Payload::parse_within(&text, most).map_err(|error| Failure::usage(format!("{origin}: {error}")))
}

fn read_stdin() -> Result<String, Failure> {
    std::io::read_to_string(std::io::stdin())
        .map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))
}

fn read_file(path: &str) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::usage(format!("{path} cannot be read: {error}")))
}

/// Enqueues one job per line; every line is checked before the first is enqueued.
async fn many(context: &Context, source: &str) -> Result<(), Failure> {
    let text = if source == "-" { read_stdin()? } else { read_file(source)? };
    let author = Some(format!("cli:{}", std::process::id()));
    let store = payloads(&context.settings)?;
    let mut jobs: Vec<NewJob> = Vec::new();
    let mut faults = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match read_line(line, author.clone(), most(store.as_ref())) {
            Ok(job) => jobs.push(job),
            Err(fault) => faults.push(format!("line {}: {fault}", index + 1)),
        }
    }
    if !faults.is_empty() {
        let shown: Vec<String> = faults.iter().take(20).cloned().collect();
        let rest = faults.len().saturating_sub(shown.len());
        let more = if rest > 0 { format!("\n       and {rest} more") } else { String::new() };
        return Err(Failure::usage(format!(
            "{} cannot be enqueued; nothing was\n       {}{more}",
            counted(faults.len(), "line"),
            shown.join("\n       ")
        )));
    }
    let client = context.visit().await?.payloads(store);
    let bar = output::progress(jobs.len() as u64, "enqueuing");
    let (mut created, mut existing) = (0_u64, 0_u64);
    for batch in jobs.chunks(BATCH) {
        for receipt in client.enqueue_jobs(batch).await? {
            if receipt.created { created += 1 } else { existing += 1 }
        }
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    if context.json {
        return output::json(&serde_json::json!({ "created": created, "existing": existing }));
    }
    output::note(&format!("enqueued {}; {existing} existed already", counted(created, "job")));
    Ok(())
}

fn read_line(line: &str, author: Option<String>, most: usize) -> Result<NewJob, String> {
    let request: JobRequest = serde_json::from_str(line).map_err(|error| error.to_string())?;
    // Reading JSON by serde does not check what the payload's own constructor checks.
    let payload = request
        .payload
        .as_ref()
        .map(|payload| Payload::parse_within(payload.as_str(), most))
        .transpose()
        .map_err(|error| error.to_string())?;
    validate(JobRequest { payload, ..request }, author).map_err(|error| error.to_string())
}

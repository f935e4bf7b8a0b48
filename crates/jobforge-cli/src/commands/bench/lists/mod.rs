//! How fast every list, filter, count and health route answers with a big table: on an empty database that is filled with a
//! month of jobs, through the real server.

mod cases;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use jobforge::core::audit::By;
use jobforge::core::time::Now;
use jobforge::core::token::{NewToken, Scope};
use jobforge::{clock, live::Live};
use jobforge_server::{ServerOptions, bind};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::month::http::Connection;
use super::month::{self, TENANT};
use super::{Bench, median, percentile, positive, round};
use crate::cli::ListsArgs;
use crate::commands::Context;
use crate::failure::{self, Failure};
use crate::output;
use cases::{Case, SQL};

/// What no answer should take, by its median.
const WITHIN_MS: f64 = 50.0;
/// Requests that are not counted, first, of each kind.
const WARM_UP: usize = 2;
/// Rounds of answers that are kept for a second, which must be waited for.
const MOST_PAUSES: usize = 5;
/// The token of the server under measurement.
const TOKEN: &str = "bench-lists-0123456789abcdef";

#[derive(Debug, Serialize)]
struct Line {
    asked: String,
    status: u16,
    bytes: usize,
    p50_ms: f64,
    p99_ms: f64,
    within: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    engine: &'static str,
    jobs: u64,
    rounds: usize,
    within_ms: f64,
    over: usize,
    lines: Vec<Line>,
}

pub(super) async fn run(context: &Context, bench: &Bench, args: &ListsArgs) -> Result<(), Failure> {
    positive("--rounds", args.rounds)?;
    month::prepare(bench, args).await?;
    let lines = measure(context, bench, args.rounds).await;
    month::clear(bench, args).await?;
    let mut lines = lines?;
    lines.sort_by(|a, b| b.p50_ms.total_cmp(&a.p50_ms));
    let over = lines.iter().filter(|line| !line.within).count();
    let engine = bench.store.capabilities().engine;
    let report = Report {
        scenario: "lists",
        engine,
        jobs: args.jobs,
        rounds: args.rounds,
        within_ms: WITHIN_MS,
        over,
        lines,
    };
    if context.json {
        return output::json(&report);
    }
    let row = |line: &Line| {
        let mark = if line.within { "" } else { "over" };
        let asked: String = line.asked.chars().take(90).collect();
        let (median, p99) = (format!("{:.1}", line.p50_ms), format!("{:.1}", line.p99_ms));
        vec![median, p99, mark.to_owned(), line.status.to_string(), line.bytes.to_string(), asked]
    };
    output::table(
        &["median ms", "p99 ms", "", "status", "bytes", "asked"],
        &[0, 1, 4],
        report.lines.iter().map(row).collect(),
    );
    let (all, slowest) = (report.lines.len(), report.lines.first().map_or(0.0, |line| line.p50_ms));
    output::say(&format!(
        "{over} of {all} answers take more than {WITHIN_MS} ms by their median; the slowest {slowest:.1} ms"
    ));
    Ok(())
}

/// Starts the server and asks everything, one after another, again and again.
async fn measure(context: &Context, bench: &Bench, rounds: usize) -> Result<Vec<Line>, Failure> {
    let live = Live::fixed(context.settings.clone());
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = ServerOptions { listen, auth_token: None, admin_token: Some(TOKEN.to_owned()) };
    let server = bind(options, bench.client.clone(), live).await;
    let server = server.map_err(|error| Failure::new(failure::CONFIG, error.to_string()))?;
    let new = NewToken {
        name: "bench".to_owned(),
        scopes: vec![Scope::Read],
        tenant_id: Some(TENANT.to_owned()),
        queues: None,
        expires_at: None,
    };
    let made = bench.client.create_token(new).await;
    let (bound, row) = made.map_err(|error| Failure::new(failure::FAILED, error.to_string()))?;
    let address = server.address();
    let stop = CancellationToken::new();
    let running = tokio::spawn(server.run(stop.clone()));
    let open = |token| async move { Connection::open(address, token).await.map_err(|error| broken(&error)) };
    let mut all = open(TOKEN.to_owned()).await?;
    let mut tenant = open(bound.secret().to_owned()).await?;
    let cases = cases::all(&month::known(bench).await?);
    let sql = if bench.raw.is_some() { SQL } else { &[] };
    let mut took: Vec<Vec<f64>> = vec![Vec::new(); cases.len() + sql.len()];
    let mut answers = vec![(0, 0); cases.len() + sql.len()];
    let bar = output::progress((WARM_UP + rounds) as u64, "rounds");
    for turn in 0..WARM_UP + rounds {
        for (index, case) in cases.iter().enumerate() {
            if case.is_kept && turn >= WARM_UP + MOST_PAUSES {
                continue;
            }
            let connection = if case.bound { &mut tenant } else { &mut all };
            let (spent, answer) = ask(connection, case).await.map_err(|error| broken(&error))?;
            answers[index] = answer;
            if turn >= WARM_UP {
                took[index].push(spent);
            }
        }
        for (index, text) in sql.iter().enumerate() {
            let Some(raw) = &bench.raw else { break };
            let began = clock::monotonic();
            raw.ask(text).await?;
            if turn >= WARM_UP {
                took[cases.len() + index]
                    .push(clock::monotonic().duration_since(began).as_secs_f64() * 1000.0);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    stop.cancel();
    drop((all, tenant));
    let _ = running.await;
    bench.store.revoke_token(&row.id, &By::named("bench"), Now::Database).await?;
    let names = cases.iter().map(name).chain(sql.iter().map(|text| (*text).to_owned()));
    let line = |(asked, (took, (status, bytes))): (String, (&Vec<f64>, (u16, usize)))| {
        let (p50_ms, p99_ms) = (round(median(took)), round(percentile(took, 0.99)));
        Line { asked, status, bytes, p50_ms, p99_ms, within: p50_ms <= WITHIN_MS }
    };
    Ok(names.zip(took.iter().zip(answers)).map(line).collect())
}

async fn ask(connection: &mut Connection, case: &Case) -> std::io::Result<(f64, (u16, usize))> {
    if case.is_kept {
        tokio::time::sleep(Duration::from_millis(1050)).await;
    }
    let began = clock::monotonic();
    let reply = connection.get(&case.path).await?;
    Ok((clock::monotonic().duration_since(began).as_secs_f64() * 1000.0, (reply.status, reply.body.len())))
}

fn name(case: &Case) -> String {
    let who = if case.bound { format!("{TENANT}'s token: ") } else { String::new() };
    format!("{who}GET {}", case.path)
}

fn broken(error: &std::io::Error) -> Failure {
    Failure::new(failure::FAILED, format!("the server under measurement cannot be asked: {error}"))
}

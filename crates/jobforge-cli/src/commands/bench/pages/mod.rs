//! How long the server takes for every page of the dashboard with a big table, and how much a page weighs: through the real
//! server, by its own clock.

mod cases;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use jobforge::core::audit::By;
use jobforge::core::time::Now;
use jobforge::core::token::{NewToken, Scope};
use jobforge::live::Live;
use jobforge_server::{ServerOptions, bind};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::month::http::{Connection, Reply};
use super::month::{self, TENANT};
use super::{Bench, median, percentile, positive, round};
use crate::cli::ListsArgs;
use crate::commands::Context;
use crate::failure::{self, Failure};
use crate::output;
use cases::Case;

/// What no page should take, by its median.
const WITHIN_MS: f64 = 50.0;
/// What no first look at a page should weigh, with all that it loads.
const LIGHT: usize = 60_000;
/// Rounds that are not counted, first.
const WARM_UP: usize = 1;
/// How often each page is asked after a pause, in which everything that the server remembers grows old.
const PAUSES: usize = 3;
const PAUSE: Duration = Duration::from_secs(6);
/// The token of the server under measurement.
const TOKEN: &str = "bench-pages-0123456789abcdef";

#[derive(Debug, Serialize)]
struct Line {
    asked: String,
    status: u16,
    /// Jobs, or whatever the page lists.
    rows: usize,
    p50_ms: f64,
    p95_ms: f64,
    max_ms: f64,
    /// The page itself, unpacked and as it is sent.
    bytes: usize,
    sent_bytes: usize,
    /// The first time, with all that it loads.
    first_bytes: usize,
    within: bool,
    light: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    engine: &'static str,
    jobs: u64,
    rounds: usize,
    within_ms: f64,
    light_bytes: usize,
    over: usize,
    heavy: usize,
    lines: Vec<Line>,
}

pub(super) async fn run(context: &Context, bench: &Bench, args: &ListsArgs) -> Result<(), Failure> {
    positive("--rounds", args.rounds)?;
    month::prepare(bench, args).await?;
    let lines = measure(context, bench, args.rounds).await;
    month::clear(bench, args).await?;
    let mut lines = lines?;
    lines.sort_by(|a, b| b.p50_ms.total_cmp(&a.p50_ms));
    let report = Report {
        scenario: "pages",
        engine: bench.store.capabilities().engine,
        jobs: args.jobs,
        rounds: args.rounds,
        within_ms: WITHIN_MS,
        light_bytes: LIGHT,
        over: lines.iter().filter(|line| !line.within).count(),
        heavy: lines.iter().filter(|line| !line.light).count(),
        lines,
    };
    if context.json { output::json(&report) } else { tell(&report) }
}

fn tell(report: &Report) -> Result<(), Failure> {
    let row = |line: &Line| {
        let mark = match (line.within, line.light) {
            (true, true) => "",
            (false, true) => "slow",
            (true, false) => "heavy",
            (false, false) => "slow, heavy",
        };
        let ms = |ms: f64| format!("{ms:.1}");
        let asked: String = line.asked.chars().take(90).collect();
        vec![
            ms(line.p50_ms),
            ms(line.p95_ms),
            ms(line.max_ms),
            mark.to_owned(),
            line.status.to_string(),
            line.bytes.to_string(),
            line.sent_bytes.to_string(),
            line.first_bytes.to_string(),
            asked,
        ]
    };
    output::table(
        &["median ms", "p95 ms", "max ms", "", "status", "bytes", "sent", "first", "asked"],
        &[0, 1, 2, 5, 6, 7],
        report.lines.iter().map(row).collect(),
    );
    let (all, slowest) = (report.lines.len(), report.lines.first().map_or(0.0, |line| line.p50_ms));
    let middle = median(&report.lines.iter().map(|line| line.p50_ms).collect::<Vec<_>>());
    let heaviest = report.lines.iter().map(|line| line.first_bytes).max().unwrap_or(0);
    output::say(&format!(
        "{} of {all} pages take more than {WITHIN_MS} ms by their median; the median of all is {middle:.1} ms, the slowest \
         {slowest:.1} ms; the heaviest first look takes {heaviest} bytes",
        report.over
    ));
    Ok(())
}

/// What was seen of one case.
#[derive(Default)]
struct Seen {
    took: Vec<f64>,
    status: u16,
    rows: usize,
    bytes: usize,
    sent: usize,
    assets: Vec<String>,
}

/// Starts the server and asks for everything, one after another, again and again.
async fn measure(context: &Context, bench: &Bench, rounds: usize) -> Result<Vec<Line>, Failure> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = ServerOptions { listen, auth_token: None, admin_token: Some(TOKEN.to_owned()) };
    let server = bind(options, bench.client.clone(), Live::fixed(context.settings.clone())).await;
    let server = server.map_err(|error| Failure::new(failure::CONFIG, error.to_string()))?;
    let new = NewToken {
        name: "bench".to_owned(),
        scopes: vec![Scope::Operate],
        tenant_id: Some(TENANT.to_owned()),
        queues: None,
        expires_at: None,
    };
    let made = bench.client.create_token(new).await;
    let (bound, row) = made.map_err(|error| Failure::new(failure::FAILED, error.to_string()))?;
    let address = server.address();
    let stop = CancellationToken::new();
    let running = tokio::spawn(server.run(stop.clone()));
    let known = month::known(bench).await?;
    let asked = async {
        // The server soon closes a connection that nobody uses, so each question has one of its own.
        let open = |token: &str| Connection::open(address, token.to_owned());
        let first = open(TOKEN).await?.get("/ui").await?;
        let cases = cases::all(&cases::menu(&String::from_utf8_lossy(&first.body)), &known);
        let mut seen: Vec<Seen> = cases.iter().map(|_| Seen::default()).collect();
        let bar = output::progress((WARM_UP + rounds) as u64, "rounds");
        for turn in 0..WARM_UP + rounds {
            for (case, seen) in cases.iter().zip(&mut seen) {
                if case.cold && seen.took.len() >= PAUSES.min(rounds) {
                    continue;
                }
                if case.cold {
                    tokio::time::sleep(PAUSE).await;
                }
                let mut connection = open(if case.bound { bound.secret() } else { TOKEN }).await?;
                note(seen, &mut connection, case, turn >= WARM_UP || case.cold).await?;
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let mut weights = BTreeMap::new();
        for name in seen.iter().flat_map(|seen| &seen.assets) {
            if !weights.contains_key(name) {
                weights.insert(name.clone(), open(TOKEN).await?.get_packed(name).await?.body.len());
            }
        }
        Ok::<_, std::io::Error>((cases, seen, weights))
    };
    let asked = asked.await;
    stop.cancel();
    let _ = running.await;
    bench.store.revoke_token(&row.id, &By::named("bench"), Now::Database).await?;
    let broken = |error: std::io::Error| {
        Failure::new(failure::FAILED, format!("the server under measurement cannot be asked: {error}"))
    };
    let (cases, seen, weights) = asked.map_err(broken)?;
    Ok(cases.iter().zip(&seen).map(|(case, seen)| line(case, seen, &weights)).collect())
}

/// Asks once; what it took counts or not.
async fn note(
    seen: &mut Seen,
    connection: &mut Connection,
    case: &Case,
    counts: bool,
) -> std::io::Result<()> {
    let Reply { status, body, server_ms } = connection.get_packed(&case.path).await?;
    seen.sent = body.len();
    seen.status = status;
    if counts {
        // Only pages say how long they took, and only a page is asked for.
        seen.took.push(server_ms.unwrap_or(f64::NAN));
    }
    if seen.bytes == 0 {
        let plain = connection.get(&case.path).await?;
        seen.bytes = plain.body.len();
        let text = String::from_utf8_lossy(&plain.body);
        (seen.assets, seen.rows) = (cases::assets(&text), cases::rows(&text));
    }
    Ok(())
}

fn line(case: &Case, seen: &Seen, weights: &BTreeMap<String, usize>) -> Line {
    let assets: usize = seen.assets.iter().filter_map(|name| weights.get(name)).sum();
    let p50_ms = round(median(&seen.took));
    let whose = if case.bound { format!("{TENANT}'s token: ") } else { String::new() };
    let after = if case.cold { ", after a pause" } else { "" };
    Line {
        asked: format!("{whose}{}{after}", case.path),
        status: seen.status,
        rows: seen.rows,
        p50_ms,
        p95_ms: round(percentile(&seen.took, 0.95)),
        max_ms: round(percentile(&seen.took, 1.0)),
        bytes: seen.bytes,
        sent_bytes: seen.sent,
        first_bytes: seen.sent + assets,
        within: p50_ms <= WITHIN_MS,
        light: seen.sent + assets <= LIGHT,
    }
}

//! The `jobforge` program: server, worker and command line in one.

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod config;
mod credentials;
mod failure;
mod logging;
mod output;
mod service_manager;
mod supervise;

use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    output::choose_colour(cli.global.color);
    let runtime = match runtime(&cli).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::error(&format!("the program cannot start: {error}"), None);
            return ExitCode::from(failure::FAILED);
        }
    };
    let json = cli.global.json;
    let ran = runtime.block_on(commands::run(cli));
    logging::finish();
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(json);
            ExitCode::from(failure.code())
        }
    }
}

/// A supervisor waits for one process and needs no threads for that.
fn runtime(cli: &cli::Cli) -> Builder {
    if commands::only_supervises(cli) {
        return Builder::new_current_thread();
    }
    let mut runtime = Builder::new_multi_thread();
    runtime.worker_threads(threads());
    runtime
}

/// One thread per core, within reason: jobs of the built-in types wait far more than they compute.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 16))
}

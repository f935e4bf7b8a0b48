//! `jobforge protocol-test`: what can be typed.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct ProtocolTestArgs {
    /// How to start the worker; sh -c runs it. If it is more than one program, write exec before the last
    #[arg(long, value_name = "COMMAND", required_unless_present = "list")]
    pub(crate) cmd: Option<String>,
    /// Only these cases
    #[arg(long, value_name = "CASE", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// List the cases with what each demands
    #[arg(long)]
    pub(crate) list: bool,
    /// How many cases are played at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=32))]
    pub(crate) parallel: u64,
    /// Make leases and all waits so many times as long, on a busy machine
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(crate) patience: u32,
    /// Lose what an earlier run with this seed lost
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Of each case that fails, show what worker and server said to each other, and what the worker printed
    #[arg(long)]
    pub(crate) verbose: bool,
}

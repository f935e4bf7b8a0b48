//! The six jobs as they run for real: `jobforge serve` with the configuration file, the worker in a process of its own, a
//! throw-away PostgreSQL, and an HTTP server for what is outside.

#![expect(clippy::unwrap_used, reason = "a helper that cannot do its part should end the test")]
#![expect(clippy::print_stderr, reason = "shown when a test fails, where it says why a job did")]

mod embeddings;
mod logs;
mod process;
mod reputation;
mod scores;
mod site;
mod sync;
mod webhooks;

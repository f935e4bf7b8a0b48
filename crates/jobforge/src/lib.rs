//! Durable background jobs that can always say what they are doing.
//!
//! ```no_run
//! use jobforge::{Client, JobContext, JobError, JobType, Worker};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct SendEmail { to: String }
//!
//! impl JobType for SendEmail {
//!     const TYPE: &'static str = "email.send";
//!     type Output = ();
//! }
//!
//! async fn send_email(job: SendEmail, ctx: JobContext) -> Result<(), JobError> {
//!     ctx.progress(10, format!("writing to {}", job.to));
//!     Ok(())
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::open("sqlite:jobs.db").await?;
//! client.enqueue(SendEmail { to: "a@example.org".into() }).await?;
//! let worker = Worker::builder(&client).register(send_email).start().await?;
//! # Ok(()) }
//! ```
//!
//! A [`Client`] puts jobs in and asks about them; a [`Worker`] runs them. Both speak to SQLite or PostgreSQL through
//! [`jobforge_store`], and decide nothing themselves: the rules are in [`jobforge_core`].

pub use jobforge_core as core;
pub use jobforge_store as store;

mod alert;
pub mod builtin;
mod change;
mod client;
pub mod clock;
mod context;
mod dead;
mod error;
mod job_error;
mod job_type;
pub mod live;
pub mod notify;
mod open;
pub mod overview;
pub mod payloads;
pub mod process;
pub mod remote;
pub mod runbook;
mod schedule;
pub mod services;
pub mod tenants;
mod tokens;
pub mod trace;
pub mod what_if;
mod worker;

pub use alert::AlertError;
pub use change::{ChangeError, ChangeReport, Changed, change_back, change_settings};
pub use client::{Client, Enqueue, Receipt};
pub use context::{JobContext, StopReason};
pub use dead::{DeadStep, DeadTally};
pub use error::Error;
pub use job_error::JobError;
pub use job_type::JobType;
pub use jobforge_core::schedule::ScheduleView;
pub use open::{OpenOptions, Purpose, open_store};
pub use payloads::{PayloadFault, Payloads};
pub use schedule::{ScheduleError, ScheduleSetup};
pub use tokens::{AuditError, AuditHead, TokenError};
#[doc(hidden)]
pub use worker::SimulatedMachine;
pub use worker::{Worker, WorkerBuilder, WorkerStats};

//! JobForge over HTTP: put jobs in, ask about them, move them.
//!
//! [`bind`] checks the options and takes the port; [`Server::run`] answers until it is told to stop. [`bind_socket`]
//! does the same with a Unix socket, where worker processes of this machine need no token. Who may ask is decided in
//! `gate`, what each route
//! needs stands beside it in `routes`, what is refused and how in `api_error` and `body`, and the routes only translate between HTTP
//! and [`jobforge::Client`]. Each answer carries an `x-request-id` that the log line of the request has too.

#![forbid(unsafe_code)]

mod connections;
mod error;
mod server;
mod socket;

mod caller;
mod gate;
mod health;
mod local;
mod metrics;
mod rate_limit;
mod request_log;
mod routes;
mod trace;
mod ui;
mod workers;

mod api_error;
mod body;
mod misfits;
mod query;
pub mod view;

pub use error::ServerError;
pub use metrics::{MetricsServer, bind_metrics};
pub use routes::openapi;
pub use server::{Server, ServerOptions, bind};
pub use socket::{SocketOptions, SocketServer, bind_socket};

//! The listener for metrics of a process, where one is asked for.

use std::net::SocketAddr;
use std::sync::Arc;

use jobforge::core::settings::Settings;
use jobforge::services::Numbers;
use jobforge_server::bind_metrics;
use tokio_util::sync::CancellationToken;

use crate::failure::{self, Failure};

/// Begins to tell metrics at the address of the settings, if there is one, until `stop` fires.
pub(crate) async fn listen(
    settings: &Settings,
    numbers: Option<Arc<Numbers>>,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let wanted = settings.text("metrics_listen");
    if wanted.is_empty() {
        return Ok(());
    }
    let address: SocketAddr = wanted.parse().map_err(|_| {
        let what =
            format!("metrics_listen is {wanted:?}; it must be an address and a port, such as 127.0.0.1:9464");
        Failure::new(failure::CONFIG, what)
    })?;
    let server = bind_metrics(address, numbers)
        .await
        .map_err(|error| Failure::new(failure::CONFIG, format!("{:#}", anyhow::Error::from(error))))?;
    let stop = stop.clone();
    tokio::spawn(async move {
        if let Err(error) = server.run(stop).await {
            tracing::error!(error = %error, "the listener for metrics ended");
        }
    });
    Ok(())
}

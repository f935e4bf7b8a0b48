//! Listening to the server's signals, across its restarts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::Incoming;
use jobforge_api::worker::Signal;
use jobforge_core::job::WorkerId;
use jobforge_store::error::BoxError;
use jobforge_store::rows::WakeEvent;
use tokio::sync::broadcast;

use super::lane;

/// A stream in which nothing comes for so long is dead; the server says something every 5 s.
const SILENCE: Duration = Duration::from_secs(15);
/// First and longest pause before connecting again.
const AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// The longest line that is kept until its end; no signal is nearly as long.
const LONGEST_LINE: usize = 64 * 1024;

/// Passes the server's signals on, for as long as it is polled.
pub(super) async fn listen(socket: PathBuf, worker: WorkerId, wake: broadcast::Sender<WakeEvent>) {
    let mut pause = AGAIN.0;
    loop {
        match open(&socket, &worker).await {
            Ok(stream) => {
                pause = AGAIN.0;
                let end = follow(stream, &worker, &wake).await;
                tracing::debug!(worker.id = %worker, "the signals broke off ({end}); listening again");
            }
            Err(error) => {
                tracing::debug!(worker.id = %worker, %error, "cannot listen for signals; trying again");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(AGAIN.1);
    }
}

async fn open(socket: &Path, worker: &WorkerId) -> Result<Incoming, BoxError> {
    let connect = async {
        let mut open = lane::connect(socket).await?;
        let path = format!("/v1/worker/signals?worker_id={worker}");
        lane::head(&mut open, lane::request(Method::GET, &path, Bytes::new())).await
    };
    let response = tokio::time::timeout(SILENCE, connect).await??;
    if !response.status().is_success() {
        return Err(format!("the server answered {}", response.status()).into());
    }
    Ok(response.into_body())
}

/// Reads until the stream ends or falls silent; says which.
async fn follow(
    mut stream: Incoming,
    worker: &WorkerId,
    wake: &broadcast::Sender<WakeEvent>,
) -> &'static str {
    let mut lines = Lines::default();
    loop {
        let frame = match tokio::time::timeout(SILENCE, stream.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_)) | None) => return "it ended",
            Err(_) => return "nothing came any more",
        };
        for signal in frame.data_ref().into_iter().flat_map(|bytes| lines.read(bytes)) {
            // Nobody listening is fine.
            let _ = wake.send(match signal {
                Signal::Look => WakeEvent::Everything,
                Signal::Work { queue } => WakeEvent::Work { queue },
                Signal::Moved { id } => WakeEvent::Moved { id },
                Signal::Renew => WakeEvent::Renew { worker: worker.clone() },
            });
        }
    }
}

/// Server-sent events as they come in, in pieces of any size. Only `data:` lines matter, one signal each.
#[derive(Debug, Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn read(&mut self, bytes: &[u8]) -> Vec<Signal> {
        self.rest.extend_from_slice(bytes);
        let mut signals = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let data = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii);
            // A signal of a later version is not for us.
            signals.extend(data.and_then(|data| serde_json::from_slice(data).ok()));
        }
        if self.rest.len() > LONGEST_LINE {
            self.rest.clear();
        }
        signals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_from_pieces_of_any_size_and_the_rest_is_passed_over() {
        let text = ": nothing new\n\ndata: {\"signal\":\"work\",\"queue\":\"mail\"}\n\nevent: x\ndata: {\"signal\":\"sing\"}\n\n\
                    data: {\"signal\":\"look\"}\r\n\r\n";
        let wanted = [Signal::Work { queue: "mail".to_owned() }, Signal::Look];
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let read: Vec<Signal> =
                text.as_bytes().chunks(size).flat_map(|piece| lines.read(piece)).collect();
            assert_eq!(read, wanted, "pieces of {size} bytes");
        }
    }
}

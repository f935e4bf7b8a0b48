//! A reporter that remembers.

use std::sync::Mutex;

use media_qc::reporter::Reporter;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Default)]
pub(crate) struct Recorder {
    stop: CancellationToken,
    seen: Mutex<Vec<(String, u8, String)>>,
    phase: Mutex<String>,
    stop_at_percent: Option<u8>,
}

impl Recorder {
    /// Gives the signal to stop when the job reports `percent`.
    pub(crate) fn stopping_at(percent: u8) -> Self {
        Self { stop_at_percent: Some(percent), ..Self::default() }
    }

    /// Every reported percentage, in order.
    pub(crate) fn percents(&self) -> Vec<u8> {
        self.seen.lock().unwrap().iter().map(|(_, percent, _)| *percent).collect()
    }

    /// Each phase with the percentages that it began and ended at.
    pub(crate) fn phases(&self) -> Vec<(String, u8, u8)> {
        let mut phases: Vec<(String, u8, u8)> = Vec::new();
        for (phase, percent, _) in self.seen.lock().unwrap().iter() {
            match phases.last_mut() {
                Some(last) if last.0 == *phase => last.2 = *percent,
                _ => phases.push((phase.clone(), *percent, *percent)),
            }
        }
        phases
    }
}

impl Reporter for Recorder {
    fn phase(&self, name: &str) {
        name.clone_into(&mut self.phase.lock().unwrap());
    }

    fn progress(&self, percent: u8, message: &str) {
        let phase = self.phase.lock().unwrap().clone();
        self.seen.lock().unwrap().push((phase, percent, message.to_owned()));
        if self.stop_at_percent == Some(percent) {
            self.stop.cancel();
        }
    }

    fn log(&self, _line: &str) {}

    fn stop_signal(&self) -> &CancellationToken {
        &self.stop
    }
}

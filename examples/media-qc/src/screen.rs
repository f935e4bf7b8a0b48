//! Live progress on the terminal, for `media-qc check`.

use std::io::Write;
use std::sync::Mutex;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use jobforge::JobContext;
use media_qc::reporter::Reporter;
use tokio_util::sync::CancellationToken;

/// All bars, or plain lines where there is no terminal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Screen {
    bars: MultiProgress,
}

impl Screen {
    /// Shows one job; what it reports goes on to its context.
    pub(crate) fn show<'a>(&self, source: &str, ctx: &'a JobContext) -> Shown<'a> {
        let name = source.rsplit('/').next().unwrap_or(source).split('?').next().unwrap_or(source);
        let bar = self.bars.add(ProgressBar::new(100));
        let style = ProgressStyle::with_template("{prefix:24!} {bar:20} {pos:>3} %  {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(name.to_owned());
        Shown { name: name.to_owned(), bar, ctx, phase: Mutex::default() }
    }

    /// Runs `print` while the bars are out of the way.
    pub(crate) fn aside<R>(&self, print: impl FnOnce() -> R) -> R {
        self.bars.suspend(print)
    }
}

/// A job on the screen.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    name: String,
    bar: ProgressBar,
    ctx: &'a JobContext,
    phase: Mutex<String>,
}

impl Reporter for Shown<'_> {
    fn phase(&self, name: &str) {
        self.ctx.phase(name);
        name.clone_into(&mut self.phase.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        if self.bar.is_hidden() {
            // Nobody can be told when stderr is closed, and the job should go on regardless.
            let _closed = writeln!(anstream::stderr(), "{}: {name}", self.name);
        }
    }

    fn progress(&self, percent: u8, message: &str) {
        self.ctx.progress(percent, message);
        let phase = self.phase.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        self.bar.set_position(u64::from(percent));
        self.bar.set_message(format!("{phase}: {message}"));
    }

    fn log(&self, line: &str) {
        self.ctx.log(line);
    }

    fn stop_signal(&self) -> &CancellationToken {
        self.ctx.stop_signal()
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

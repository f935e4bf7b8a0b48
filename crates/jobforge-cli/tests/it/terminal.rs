//! A real terminal, which tmux plays.

use std::process::{Command, Stdio};

use crate::program::{Home, eventually};

/// A terminal with a command of ours on it. It ends with the test.
pub(crate) struct Terminal {
    socket: String,
}

impl Terminal {
    pub(crate) fn open(home: &Home, arguments: &[&str], (width, height): (u32, u32)) -> Self {
        let terminal = Self { socket: home.path().join(format!("tmux-{width}")).display().to_string() };
        let program = Home::programs().join("jobforge");
        let directory = format!("JOBFORGE_DATA_DIR={}", home.data_dir().display());
        let command = format!("{directory} {} {}", program.display(), arguments.join(" "));
        let size = [width.to_string(), height.to_string()];
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &size[0], "-y", &size[1], &command]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-S", &self.socket])
            .args(arguments)
            .env_remove("TMUX")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
            .expect("tmux, from Debian's package of that name");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn shows(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until all of the texts are there at once.
    pub(crate) fn until(&self, texts: &[&str]) {
        eventually(&format!("the screen shows {texts:?}"), || {
            let shown = self.shows();
            texts.iter().all(|text| shown.contains(text))
        });
    }

    pub(crate) fn type_keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }
}

impl Terminal {
    /// Waits until the command has ended.
    pub(crate) fn until_left(&self) {
        eventually("the terminal is left", || {
            let sessions = Command::new("tmux").args(["-S", &self.socket, "list-sessions"]).output().unwrap();
            !sessions.status.success()
        });
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-S", &self.socket, "kill-server"]).output();
    }
}

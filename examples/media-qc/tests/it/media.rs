//! Makes media with ffmpeg's own sources.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A folder of media that lasts as long as the test.
#[derive(Debug)]
pub(crate) struct Studio {
    dir: TempDir,
}

const H264: [&str; 6] = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"];

impl Studio {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Runs ffmpeg on `inputs` (lavfi graphs) with `options`, and returns the new file.
    fn make(&self, name: &str, inputs: &[&str], options: &[&str]) -> PathBuf {
        let path = self.dir().join(name);
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-nostdin", "-y"]);
        for input in inputs {
            ffmpeg.args(["-f", "lavfi", "-i", input]);
        }
        let status =
            ffmpeg.args(options).arg(&path).status().expect("the tests need ffmpeg (apt-get install ffmpeg)");
        assert!(status.success(), "ffmpeg could not make {name}");
        path
    }

    /// A moving test pattern with a tone.
    pub(crate) fn film(&self, name: &str, seconds: u32, extra: &[&str]) -> PathBuf {
        let picture = format!("testsrc2=size=320x180:rate=25:duration={seconds}");
        let sound = format!("sine=frequency=1000:duration={seconds}");
        self.make(name, &[&picture, &sound], &[&H264, extra].concat())
    }

    /// A film in HD that takes ffmpeg a second or more: two seconds of it, repeated.
    pub(crate) fn long_film(&self) -> PathBuf {
        let short = self.film("short.mp4", 2, &["-s", "1920x1080", "-c:a", "aac"]);
        let path = self.dir().join("long.mp4");
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-nostdin", "-y", "-stream_loop", "9", "-i"]).arg(short);
        assert!(ffmpeg.args(["-c", "copy"]).arg(&path).status().unwrap().success());
        path
    }

    /// Nine seconds: black from 2 to 4, silence from 3 to 5, and a still picture from 6 to the end.
    pub(crate) fn faulty(&self) -> PathBuf {
        let picture = "testsrc2=size=320x180:rate=25:duration=2[a];\
            color=black:size=320x180:rate=25:duration=2[b];\
            testsrc2=size=320x180:rate=25:duration=2,tpad=stop_mode=clone:stop_duration=3[c];\
            [a][b][c]concat=n=3";
        let silence = ["-af", "volume=enable='between(t,3,5)':volume=0"];
        let options = [&H264, &silence[..]].concat();
        self.make("faulty.mp4", &[picture, "sine=frequency=1000:duration=9"], &options)
    }

    /// Three seconds of stereo tone without a picture.
    pub(crate) fn tone(&self, name: &str) -> PathBuf {
        self.make(name, &["sine=frequency=440:duration=3"], &["-ac", "2"])
    }

    /// Three seconds of picture without sound.
    pub(crate) fn mute(&self, name: &str) -> PathBuf {
        self.make(name, &["testsrc2=size=160x90:rate=30000/1001:duration=3"], &H264)
    }

    /// Any bytes.
    pub(crate) fn bytes(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The first `percent` of a file.
    pub(crate) fn cut(&self, whole: &Path, percent: usize) -> PathBuf {
        let bytes = std::fs::read(whole).unwrap();
        let name = format!("cut-{}", whole.file_name().unwrap().to_str().unwrap());
        self.bytes(&name, &bytes[..bytes.len() * percent / 100])
    }
}

/// A path as a payload holds it.
pub(crate) fn source(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

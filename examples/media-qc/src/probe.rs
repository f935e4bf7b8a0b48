//! Asks ffprobe what a file is made of.

use std::ffi::OsString;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::child::{Invocation, Output, Pulse};
use crate::error::QcError;
use crate::settings::Settings;

/// The largest answer of ffprobe that is read.
const ANSWER_LIMIT_BYTES: usize = 4 * 1024 * 1024;
/// Error lines that are kept for classifying a failure.
const ERROR_LINES: usize = 20;

/// The containers that are opened.
///
/// A list, because ffmpeg also "plays" things that read other files or addresses (playlists, `concat` scripts), and
/// shows plain text as ANSI art; none of these are deliverables, and the first two would be a way around our guards.
pub const CONTAINERS: &str = "aac,ac3,aiff,amr,asf,avi,caf,dv,eac3,flac,flv,gxf,h264,hevc,ivf,m4v,matroska,mov,mp3,mpeg,\
mpegts,mpegvideo,mxf,nut,obu,ogg,rm,w64,wav,webm,wv";

/// What a file is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MediaFacts {
    /// ffmpeg's short name, such as `mov,mp4,m4a,3gp,3g2,mj2`.
    pub container: String,
    /// The same for people, such as `QuickTime / MOV`.
    pub container_name: String,
    /// Its size.
    pub size_bytes: u64,
    /// What the container says about its length; `None` when it does not say.
    pub duration_s: Option<f64>,
    /// Bits per second over all streams.
    pub bit_rate: Option<u64>,
    /// The picture streams, without cover art.
    pub video: Vec<VideoStream>,
    /// The sound streams.
    pub audio: Vec<AudioStream>,
}

/// One picture stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VideoStream {
    /// Its number in the file.
    pub index: u32,
    /// Such as `h264`.
    pub codec: String,
    /// Such as `High`.
    pub profile: Option<String>,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Frames per second, on average.
    pub frame_rate: Option<f64>,
    /// Such as `yuv420p`.
    pub pixel_format: Option<String>,
    /// Its own length, where the container knows it.
    pub duration_s: Option<f64>,
}

/// One sound stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioStream {
    /// Its number in the file.
    pub index: u32,
    /// Such as `aac`.
    pub codec: String,
    /// How many channels.
    pub channels: u32,
    /// Such as `stereo` or `5.1(side)`.
    pub layout: Option<String>,
    /// In samples per second.
    pub sample_rate_hz: Option<u32>,
    /// Its own length, where the container knows it.
    pub duration_s: Option<f64>,
}

impl MediaFacts {
    /// How long the streams that are decoded (the first of each kind) should last.
    ///
    /// Their own lengths count before the container's, which may be that of a longer subtitle or data stream.
    pub fn expected_s(&self) -> Option<f64> {
        let own = [self.video.first().map(|v| v.duration_s), self.audio.first().map(|a| a.duration_s)];
        let known: Option<Vec<f64>> = own.into_iter().flatten().collect();
        known.and_then(|all| all.into_iter().reduce(f64::max)).or(self.duration_s)
    }
}

/// Runs ffprobe on a file.
///
/// # Errors
/// [`QcError::NotMedia`], [`QcError::TruncatedMedia`] and [`QcError::NoStreams`] speak of the file; `name` is how they call it.
pub async fn probe(
    path: &Path,
    name: &str,
    settings: &Settings,
    stop: &CancellationToken,
) -> Result<MediaFacts, QcError> {
    let run =
        Invocation { program: &settings.ffprobe, args: arguments(path), patience: settings.probe_timeout };
    let (mut answer, mut errors) = (String::new(), Vec::new());
    let status = run
        .run(stop, |output, line| {
            match output {
                Output::Stdout if answer.len() + line.len() < ANSWER_LIMIT_BYTES => answer.push_str(line),
                Output::Stderr if errors.len() < ERROR_LINES => errors.push(line.to_owned()),
                Output::Stdout | Output::Stderr => {}
            }
            Pulse::Quiet
        })
        .await?;
    if !status.success() {
        return Err(refusal(name, status.code().unwrap_or(-1), errors));
    }
    let facts = parse(&answer).map_err(|error| QcError::NotMedia {
        name: name.to_owned(),
        why: format!("ffprobe's answer is not understood: {error}"),
    })?;
    if facts.video.is_empty() && facts.audio.is_empty() {
        return Err(QcError::NoStreams { name: name.to_owned() });
    }
    Ok(facts)
}

fn arguments(path: &Path) -> Vec<OsString> {
    // Tags are not asked for: they can be megabytes, and anything.
    let fields = "format=format_name,format_long_name,duration,size,bit_rate\
:stream=index,codec_type,codec_name,profile,width,height,pix_fmt,avg_frame_rate,r_frame_rate,sample_rate,channels,channel_layout,duration\
:stream_disposition=attached_pic";
    let mut args: Vec<OsString> =
        ["-hide_banner", "-v", "error", "-of", "json", "-show_entries", fields].map(Into::into).into();
    args.extend(input(path));
    args
}

/// The arguments that open `path`, and nothing but `path`.
pub fn input(path: &Path) -> Vec<OsString> {
    // `file:` keeps names with a colon or a leading dash from being read as an address or an option.
    let mut url = OsString::from("file:");
    url.push(path);
    vec![
        "-protocol_whitelist".into(),
        "file".into(),
        "-format_whitelist".into(),
        CONTAINERS.into(),
        "-i".into(),
        url,
    ]
}

/// Says what ffprobe's refusal means.
fn refusal(name: &str, code: i32, errors: Vec<String>) -> QcError {
    let name = name.to_owned();
    let said = |text: &str| errors.iter().any(|line| line.contains(text));
    if said("partial file") || said("File ended prematurely") {
        return QcError::TruncatedMedia { name, why: "it ends inside its header".to_owned() };
    }
    if said("Invalid data found") || said("moov atom not found") || said("not on whitelist") {
        return QcError::NotMedia { name, why: "ffprobe finds no known container in it".to_owned() };
    }
    let last_line = errors.last().cloned().unwrap_or_default();
    QcError::ToolFailed { tool: "ffprobe".to_owned(), code, last_line, tail: errors }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    streams: Vec<RawStream>,
    format: RawFormat,
}

#[derive(Deserialize)]
struct RawFormat {
    format_name: String,
    #[serde(default)]
    format_long_name: String,
    duration: Option<String>,
    size: Option<String>,
    bit_rate: Option<String>,
}

#[derive(Deserialize)]
struct RawStream {
    index: u32,
    codec_type: Option<String>,
    codec_name: Option<String>,
    profile: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    pix_fmt: Option<String>,
    avg_frame_rate: Option<String>,
    r_frame_rate: Option<String>,
    sample_rate: Option<String>,
    channels: Option<u32>,
    channel_layout: Option<String>,
    duration: Option<String>,
    #[serde(default)]
    disposition: Disposition,
}

#[derive(Deserialize, Default)]
struct Disposition {
    #[serde(default)]
    attached_pic: u8,
}

/// Reads ffprobe's JSON.
fn parse(json: &str) -> serde_json::Result<MediaFacts> {
    let answer: Answer = serde_json::from_str(json)?;
    let (mut video, mut audio) = (Vec::new(), Vec::new());
    for stream in answer.streams {
        match stream.codec_type.as_deref() {
            // The cover of an album is no picture stream: it would count as one endless freeze.
            Some("video") if stream.disposition.attached_pic == 0 => video.push(VideoStream {
                index: stream.index,
                codec: stream.codec_name.unwrap_or_else(|| "unknown".to_owned()),
                profile: stream.profile,
                width: stream.width.unwrap_or(0),
                height: stream.height.unwrap_or(0),
                frame_rate: ratio(stream.avg_frame_rate.as_deref()).or(ratio(stream.r_frame_rate.as_deref())),
                pixel_format: stream.pix_fmt,
                duration_s: number(stream.duration.as_deref()),
            }),
            Some("audio") => audio.push(AudioStream {
                index: stream.index,
                codec: stream.codec_name.unwrap_or_else(|| "unknown".to_owned()),
                channels: stream.channels.unwrap_or(0),
                layout: stream.channel_layout,
                sample_rate_hz: stream.sample_rate.and_then(|rate| rate.parse().ok()),
                duration_s: number(stream.duration.as_deref()),
            }),
            _ => {}
        }
    }
    let format = answer.format;
    Ok(MediaFacts {
        container: format.format_name,
        container_name: format.format_long_name,
        size_bytes: format.size.and_then(|size| size.parse().ok()).unwrap_or(0),
        duration_s: number(format.duration.as_deref()),
        bit_rate: format.bit_rate.and_then(|rate| rate.parse().ok()),
        video,
        audio,
    })
}

fn number(text: Option<&str>) -> Option<f64> {
    text?.parse().ok().filter(|value: &f64| value.is_finite() && *value > 0.0)
}

/// Reads `30000/1001`; `0/0` is ffprobe's way of saying unknown.
fn ratio(text: Option<&str>) -> Option<f64> {
    let (above, below) = text?.split_once('/')?;
    let value = above.parse::<f64>().ok()? / below.parse::<f64>().ok()?;
    (value.is_finite() && value > 0.0).then(|| (value * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_becomes_facts() {
        let facts = parse(include_str!("../tests/captured/probe-mp4.json")).unwrap();
        assert_eq!(facts.container, "mov,mp4,m4a,3gp,3g2,mj2");
        assert_eq!(facts.duration_s, Some(6.0));
        let video = &facts.video[0];
        assert_eq!((video.codec.as_str(), video.width, video.height), ("h264", 320, 180));
        assert_eq!(video.frame_rate, Some(25.0));
        assert_eq!((facts.audio[0].codec.as_str(), facts.audio[0].channels), ("aac", 1));
    }

    #[test]
    fn a_cover_picture_is_not_video() {
        let json = r#"{"streams": [
            {"index": 0, "codec_type": "audio", "codec_name": "mp3", "channels": 2},
            {"index": 1, "codec_type": "video", "codec_name": "png", "disposition": {"attached_pic": 1}},
            {"index": 2, "codec_type": "data"}], "format": {"format_name": "mp3"}}"#;
        let facts = parse(json).unwrap();
        assert!(facts.video.is_empty());
        assert_eq!(facts.audio.len(), 1);
        assert_eq!(facts.expected_s(), None);
    }

    #[test]
    fn rates_are_ratios() {
        assert_eq!(ratio(Some("30000/1001")), Some(29.97));
        assert_eq!(ratio(Some("0/0")), None);
        assert_eq!(ratio(Some("25/0")), None);
        assert_eq!(number(Some("N/A")), None);
    }

    #[test]
    fn only_what_ffprobe_says_of_the_content_is_final() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        // ffmpeg takes any file called `.mp4` for one, so this alone does not tell a letter from a film.
        let moov = "[mov @ 0x1] moov atom not found\nfile:a.mp4: Invalid data found when processing input";
        assert_eq!(refusal("a.mp4", 1, lines(moov)).kind(), "not_media");
        assert_eq!(
            refusal("a.mkv", 1, lines("[matroska @ 0x1] File ended prematurely")).kind(),
            "truncated_media"
        );
        let other = refusal("a", 1, lines("Cannot allocate memory"));
        assert_eq!((other.kind(), other.retryable()), ("tool_failed", true));
    }
}

//! The report as a table for people.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

use crate::fetch::mebibytes;
use crate::measure::{Loudness, Stretches};
use crate::probe::{AudioStream, VideoStream};
use crate::report::{Report, Verdict};

/// Draws one report.
pub fn draw(report: &Report) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let mut row = |name: &str, text: String| {
        table.add_row([name.to_owned(), text]);
    };
    let (media, measured) = (&report.media, &report.measured);
    row("container", format!("{} ({})", media.container_name, mebibytes(media.size_bytes)));
    row("duration", media.duration_s.map_or("unknown".to_owned(), |s| format!("{s:.2} s")));
    media.video.iter().for_each(|stream| row("video", video(stream)));
    media.audio.iter().for_each(|stream| row("audio", audio(stream)));
    let found = [("black", &measured.black), ("silence", &measured.silence), ("freeze", &measured.freeze)];
    for (name, stretches) in found {
        if let Some(stretches) = stretches {
            row(name, stretch(stretches));
        }
    }
    if let Some(heard) = &measured.loudness {
        row("loudness", loudness(heard));
    }
    row("errors", measured.decode_errors.to_string());

    let mut text = format!("{}  {}\n{table}\n", word(report.verdict), report.source);
    for reason in &report.reasons {
        text.push_str(&format!(" - {}\n", reason.message));
    }
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail => "FAIL",
    }
}

fn video(stream: &VideoStream) -> String {
    let rate = stream.frame_rate.map(|rate| format!(", {rate} fps")).unwrap_or_default();
    format!("{}, {}x{}{rate}", stream.codec, stream.width, stream.height)
}

fn audio(stream: &AudioStream) -> String {
    // Old WAV files have a number of channels and no layout.
    let layout = stream.layout.clone().unwrap_or_else(|| match stream.channels {
        1 => "1 channel".to_owned(),
        channels => format!("{channels} channels"),
    });
    let rate = stream.sample_rate_hz.map(|rate| format!(", {rate} Hz")).unwrap_or_default();
    format!("{}, {layout}{rate}", stream.codec)
}

fn stretch(stretches: &Stretches) -> String {
    if stretches.count == 0 {
        return "none".to_owned();
    }
    let shown: Vec<String> =
        stretches.listed.iter().take(3).map(|s| format!("{:.2}–{:.2} s", s.start_s, s.end_s)).collect();
    let more = if stretches.count > 3 { ", …" } else { "" };
    format!("{}x, longest {:.2} s ({}{more})", stretches.count, stretches.longest_s, shown.join(", "))
}

fn loudness(heard: &Loudness) -> String {
    let show =
        |value: Option<f64>, unit: &str| value.map_or("–".to_owned(), |value| format!("{value:.1} {unit}"));
    format!(
        "{}, range {}, true peak {}",
        show(heard.integrated_lufs, "LUFS"),
        show(heard.range_lu, "LU"),
        show(heard.true_peak_dbtp, "dBTP")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_report_says_why_below_the_table() {
        let report: Report = serde_json::from_str(include_str!("../tests/captured/report.json")).unwrap();
        insta::assert_snapshot!(draw(&report), @r"
        FAIL  /media/faulty.mp4
         container  QuickTime / MOV (0.4 MiB)
         duration   9.00 s
         video      h264, 320x180, 25 fps
         audio      aac, mono, 44100 Hz
         black      1x, longest 2.00 s (2.00–4.00 s)
         silence    1x, longest 1.99 s (3.02–5.01 s)
         freeze     2x, longest 2.85 s (2.00–4.00 s, 6.16–9.01 s)
         loudness   -21.3 LUFS, range 4.8 LU, true peak -16.5 dBTP
         errors     0
         - 2.00 s of black at 2.0 s (limit 1 s)
         - 1.99 s of silence at 3.0 s (limit 1 s)
         - 2.85 s of freeze at 6.2 s (limit 2.5 s)
        ");
    }
}

/** Decodes a file once with ffmpeg and measures it on the way. */
import { Failed, Retry, type Context } from "@jobforge/sdk";
import { LogReader, progressLine, type Measured } from "./measure.js";
import type { Checks } from "./payload.js";
import { expectedSeconds, input, type MediaFacts } from "./probe.js";
import { run } from "./run.js";
import type { Settings } from "./settings.js";

/** How much shorter than announced a file may be: one second, or a tenth of its length, whichever is more. */
const MISSING_S = 1;
const MISSING_SHARE = 0.1;
const HOPELESS = [
  "Decoder (codec",
  "Unknown decoder",
  "Invalid data found when processing input",
  "Could not find codec",
];

/** Decodes the first picture and the first sound stream, and reports progress from 45 to 75 as it goes. */
export async function analyze(
  path: string,
  name: string,
  facts: MediaFacts,
  checks: Checks,
  settings: Settings,
  ctx: Context,
): Promise<Measured> {
  const log = new LogReader();
  const expected = expectedSeconds(facts);
  let decoded = 0;
  let speed: number | undefined;
  const code = await run({
    program: settings.ffmpeg,
    args: argumentsFor(path, facts, checks),
    signal: ctx.signal,
    patienceMs: settings.stallTimeoutMs,
    onLine: (from, line) => {
      if (from === "stderr") return log.push(line);
      const said = progressLine(line);
      if (said === "block end") void report(ctx, decoded, expected, speed);
      else if (said && "speed" in said) speed = said.speed;
      else if (said && said.decoded > decoded) {
        decoded = said.decoded;
        return true;
      }
    },
  });
  const why = truncation(expected, decoded, log.cutOff);
  if (why) throw new Failed(`${name} is truncated: ${why}`, { kind: "truncated_media" });
  if (code !== 0) throw failure(name, code, log.tail);
  const measured = log.finish(decoded, facts.video.length > 0, facts.audio.length > 0);
  if (measured.decoded_s > 0) return measured;
  throw new Failed(`${name} cannot be decoded: ${measured.first_errors[0] ?? "no frame came out"}`, {
    kind: "undecodable",
  });
}

/** One pass, no output file. */
export function argumentsFor(path: string, { video: [video], audio: [audio] }: MediaFacts, checks: Checks): string[] {
  const args = ["-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info", ...input(path)];
  if (video) {
    args.push("-map", `0:${video.index}`);
    args.push("-vf", `blackdetect=d=${checks.black_min_s}:pix_th=0.10,freezedetect=n=-60dB:d=${checks.freeze_min_s}`);
  }
  if (audio) {
    args.push("-map", `0:${audio.index}`);
    // `framelog=verbose` silences the ten lines a second that ebur128 prints otherwise; 5.1 knows no `quiet`.
    args.push(
      "-af",
      `silencedetect=n=${checks.silence_db}dB:d=${checks.silence_min_s},ebur128=peak=true:framelog=verbose`,
    );
  }
  return [...args, "-progress", "pipe:1", "-f", "null", "-"];
}

function report(ctx: Context, decoded: number, expected: number | undefined, speed: number | undefined): Promise<void> {
  // Stays at the beginning when the length is unknown: a number that means nothing would be worse.
  const share = expected ? Math.min(decoded / expected, 1) : 0;
  const of = expected ? ` of ${expected.toFixed(1)} s` : "";
  const at = speed === undefined ? "" : ` at ${speed.toFixed(1)}x`;
  // That the job has to stop is seen by whoever waits for ffmpeg.
  return ctx.progress(45 + Math.trunc(share * 30), `analyzed ${decoded.toFixed(1)} s${of}${at}`).catch(() => undefined);
}

/**
 * Says why a file counts as cut off, if it does. What the demuxer noticed decides at once. Otherwise it must lack more than
 * a second and more than a tenth: containers round, and edit lists and audio priming make small differences normal.
 */
export function truncation(
  expected: number | undefined,
  decoded: number,
  cutOff: string | undefined,
): string | undefined {
  const announced = expected === undefined ? "" : ` of ${expected.toFixed(1)} s`;
  if (cutOff) return `it ends after ${decoded.toFixed(1)} s${announced} (${cutOff})`;
  const missing = (expected ?? 0) - decoded;
  const cut = expected !== undefined && decoded > 0 && missing > MISSING_S && missing > expected * MISSING_SHARE;
  return cut ? `only ${decoded.toFixed(1)} s${announced} can be decoded` : undefined;
}

function failure(name: string, code: number, tail: string[]): Error {
  const why = tail.find((line) => HOPELESS.some((text) => line.includes(text)));
  if (why) return new Failed(`${name} cannot be decoded: ${why}`, { kind: "undecodable" });
  return new Retry(`ffmpeg ended with exit code ${code}: ${tail.at(-1) ?? ""}`, {
    kind: "tool_failed",
    details: { stderr: tail },
  });
}

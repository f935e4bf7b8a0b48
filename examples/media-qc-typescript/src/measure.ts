/** Reads what ffmpeg's filters print. Pure: lines in, measurements out. */

const LISTED_STRETCHES = 200;
const QUOTED_ERRORS = 5;
const TAIL_LINES = 20;
const QUOTE_CHARS = 300;
/** Loudness that EBU R128's absolute gate leaves out: below it there is no programme to speak of. */
const LOUDNESS_FLOOR_LUFS = -70;
const LEVELS = ["panic", "fatal", "error", "warning", "info", "verbose", "debug", "trace"];

export interface Stretches {
  count: number;
  total_s: number;
  longest_s: number;
  /** The first of them. */
  listed: { start_s: number; end_s: number }[];
}

export interface Loudness {
  integrated_lufs: number | null;
  range_lu: number | null;
  true_peak_dbtp: number | null;
}

/** What one pass over the decoded file found. Pictures are `null` without video, sound without audio. */
export interface Measured {
  decoded_s: number;
  black: Stretches | null;
  freeze: Stretches | null;
  silence: Stretches | null;
  loudness: Loudness | null;
  decode_errors: number;
  first_errors: string[];
}

/** Collects the lines that `ffmpeg -loglevel level+info` writes to stderr. */
export class LogReader {
  /** What the demuxer said when the file ended before its own index did. */
  cutOff: string | undefined;
  /** The newest lines, for the message of a failed run. */
  readonly tail: string[] = [];
  private readonly black = none();
  private readonly freeze = none();
  private readonly silence = none();
  private readonly loudness: Loudness = { integrated_lufs: null, range_lu: null, true_peak_dbtp: null };
  private freezeSince: number | undefined;
  private silenceSince: number | undefined;
  private inSummary = false;
  private errors = 0;
  private readonly firstErrors: string[] = [];

  push(whole: string): void {
    const line = whole.trimEnd();
    if (!line) return;
    this.tail.push(line.slice(0, QUOTE_CHARS));
    if (this.tail.length > TAIL_LINES) this.tail.shift();
    const { tags, text } = splitTags(line);
    const level = tags.at(-1);
    if (level === undefined) {
      // Only ffmpeg's own multi-line messages have no tag; the one of interest is ebur128's summary.
      if (this.inSummary) this.summaryLine(text.trim());
      return;
    }
    const component = tags.length > 1 ? (tags[0]?.split(" @ ")[0] ?? "") : "";
    this.inSummary = component.includes("ebur128") && text.startsWith("Summary:");
    // The component is compared so that a title such as "black_start:0" in the file's metadata stays a title.
    if (component === "blackdetect") this.blackLine(text);
    else if (component === "freezedetect") this.freezeLine(text);
    else if (component === "silencedetect") this.silenceLine(text);
    else if (["error", "fatal", "panic"].includes(level)) this.errorLine(text);
  }

  /** Ends the reading: what is still open lasted until the end. */
  finish(decodedSeconds: number, hasVideo: boolean, hasAudio: boolean): Measured {
    if (this.freezeSince !== undefined) add(this.freeze, this.freezeSince, decodedSeconds);
    if (this.silenceSince !== undefined) add(this.silence, this.silenceSince, decodedSeconds);
    // A range over no programme is printed as 0.0, which would read as a measurement.
    if (this.loudness.integrated_lufs === null) this.loudness.range_lu = null;
    return {
      decoded_s: millis(decodedSeconds),
      black: hasVideo ? this.black : null,
      freeze: hasVideo ? this.freeze : null,
      silence: hasAudio ? this.silence : null,
      loudness: hasAudio ? this.loudness : null,
      decode_errors: this.errors,
      first_errors: this.firstErrors,
    };
  }

  private blackLine(text: string): void {
    const [start, end] = [value(text, "black_start:"), value(text, "black_end:")];
    if (start !== undefined && end !== undefined) add(this.black, start, end);
  }

  private freezeLine(text: string): void {
    const [start, end] = [value(text, "freeze_start:"), value(text, "freeze_end:")];
    if (start !== undefined) this.freezeSince = start;
    else if (end !== undefined && this.freezeSince !== undefined) {
      add(this.freeze, this.freezeSince, end);
      this.freezeSince = undefined;
    }
  }

  private silenceLine(text: string): void {
    const [start, end] = [value(text, "silence_start:"), value(text, "silence_end:")];
    // The filter may place the start a hair before the first sample.
    if (start !== undefined) this.silenceSince = Math.max(start, 0);
    else if (end !== undefined && this.silenceSince !== undefined) {
      add(this.silence, this.silenceSince, end);
      this.silenceSince = undefined;
    }
  }

  private summaryLine(text: string): void {
    const [integrated, range, peak] = [value(text, "I:"), value(text, "LRA:"), value(text, "Peak:")];
    if (integrated !== undefined) this.loudness.integrated_lufs = integrated > LOUDNESS_FLOOR_LUFS ? integrated : null;
    else if (range !== undefined) this.loudness.range_lu = range;
    else if (peak !== undefined) this.loudness.true_peak_dbtp = peak;
  }

  private errorLine(text: string): void {
    this.errors += 1;
    if (text.includes("partial file") || text.includes("File ended prematurely")) this.cutOff ??= text;
    if (this.firstErrors.length < QUOTED_ERRORS) this.firstErrors.push(text.slice(0, QUOTE_CHARS));
  }
}

/** What one line of `-progress pipe:1` says; `undefined` for what does not matter here and for `N/A`. */
export function progressLine(line: string): { decoded: number } | { speed: number } | "block end" | undefined {
  const [key, text = ""] = line.split("=", 2).map((part) => part.trim());
  // `out_time_ms` is microseconds as well, by an old mistake; this key says what it is.
  if (key === "out_time_us" && /^-?\d+$/.test(text)) return { decoded: Math.max(Number(text) / 1e6, 0) };
  if (key === "speed" && /^[\d.e+]+x$/.test(text)) return { speed: Number.parseFloat(text) };
  return key === "progress" ? "block end" : undefined;
}

function none(): Stretches {
  return { count: 0, total_s: 0, longest_s: 0, listed: [] };
}

function add(stretches: Stretches, start: number, end: number): void {
  const [start_s, end_s] = [millis(start), millis(end)];
  const length = millis(Math.max(end_s - start_s, 0));
  stretches.count += 1;
  stretches.total_s = millis(stretches.total_s + length);
  stretches.longest_s = Math.max(stretches.longest_s, length);
  if (stretches.listed.length < LISTED_STRETCHES) stretches.listed.push({ start_s, end_s });
}

/** Splits `[blackdetect @ 0x55] [info] text` into its tags and its text. */
function splitTags(line: string): { tags: string[]; text: string } {
  const tags: string[] = [];
  let text = line;
  for (let tag = /^\[(.*?)\] /.exec(text); tag; tag = /^\[(.*?)\] /.exec(text)) {
    const name = tag[1] ?? "";
    tags.push(name);
    text = text.slice(tag[0].length);
    if (LEVELS.includes(name)) break;
  }
  return { tags, text };
}

/** The finite number that follows a key. */
function value(text: string, key: string): number | undefined {
  const at = text.indexOf(key);
  // "LRA:" must not be found in "xLRA:", nor "I:" in "LUFSI:".
  if (at < 0 || /[\p{L}\p{N}]/u.test(text.charAt(at - 1))) return undefined;
  const word = text
    .slice(at + key.length)
    .trim()
    .split(/\s+/)[0];
  const number = word ? Number(word) : NaN;
  return Number.isFinite(number) ? number : undefined;
}

/** Rounds to whole milliseconds, which is finer than any frame. */
function millis(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}

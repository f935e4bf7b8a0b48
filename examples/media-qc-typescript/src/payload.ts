/** The payload: which file to look at, and what it has to satisfy. The same as of the worker in Rust. */
import * as v from "valibot";
import { Failed } from "@jobforge/sdk";

const SOURCE_LIMIT_BYTES = 4096;
const DAY_S = 86_400;

const within = (low: number, high: number) => v.pipe(v.number(), v.minValue(low), v.maxValue(high));
/** A limit of `null` measures without judging. */
const limit = (low: number, high: number, fallback: number | null) =>
  v.optional(v.nullable(within(low, high)), fallback);

export const Checks = v.strictObject({
  // ffmpeg reads a minimum of zero as "every frame", which would fill the report with single frames.
  black_min_s: v.optional(within(0.01, DAY_S), 0.5),
  max_black_s: limit(0, DAY_S, 2),
  silence_min_s: v.optional(within(0.01, DAY_S), 1),
  silence_db: v.optional(within(-120, 0), -60),
  max_silence_s: limit(0, DAY_S, 5),
  freeze_min_s: v.optional(within(0.01, DAY_S), 1),
  max_freeze_s: limit(0, DAY_S, 5),
  loudness_target_lufs: limit(-70, 0, null),
  loudness_tolerance_lu: v.optional(within(0, 70), 1),
  max_true_peak_dbtp: limit(-70, 20, null),
  max_decode_errors: v.optional(v.nullable(v.pipe(v.number(), v.integer(), v.minValue(0))), 0),
});
export type Checks = v.InferOutput<typeof Checks>;

export const MediaQc = v.strictObject({
  /** A path on the worker's machine, or an `http://` or `https://` URL. */
  source: v.pipe(v.string(), v.nonEmpty("is empty; give a path or an http(s) URL"), v.maxBytes(SOURCE_LIMIT_BYTES)),
  checks: v.optional(Checks, {}),
});
export type MediaQc = v.InferOutput<typeof MediaQc>;

/** Where the media comes from. */
export type Source = { path: string } | { url: URL };

/** Tells paths from URLs; what looks like a URL but is neither http nor https is refused. */
export function sourceOf(text: string): Source {
  if (text.includes("\0")) throw invalid("contains a NUL character");
  const scheme = /^([^:/]*):\/\//.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) return { path: text };
  // The scheme is shown, the rest is not: it may hold a password.
  if (scheme !== "http" && scheme !== "https")
    throw invalid(`${scheme}:// is not supported; give a path or an http(s) URL`);
  if (!URL.canParse(text)) throw invalid("is not a URL");
  return { url: new URL(text) };
}

/** The source as shown to people: a URL without its user, password, query and fragment, which may be secrets. */
export function labelOf(source: Source): string {
  return "path" in source ? source.path : source.url.origin + source.url.pathname;
}

function invalid(problem: string): Failed {
  return new Failed(`invalid payload: source ${problem}`, { kind: "invalid_payload" });
}

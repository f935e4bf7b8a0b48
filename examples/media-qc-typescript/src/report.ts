/** The verdict: what was found, held against what was asked for. Pure. */
import type { Loudness, Measured, Stretches } from "./measure.js";
import type { Checks } from "./payload.js";
import type { MediaFacts } from "./probe.js";

/** What the job stores as its result. */
export interface Report {
  source: string;
  verdict: "pass" | "fail";
  reasons: Reason[];
  media: MediaFacts;
  measured: Measured;
  analysis_ms: number;
  /** Which ffmpeg did it. */
  tool: string;
}

export interface Reason {
  check: "black" | "silence" | "freeze" | "loudness" | "true_peak" | "decode_errors";
  /** `null` when there was nothing to measure. */
  measured: number | null;
  limit: number;
  message: string;
}

export function judge(measured: Measured, checks: Checks): Reason[] {
  return [
    stretch("black", measured.black, checks.max_black_s),
    stretch("silence", measured.silence, checks.max_silence_s),
    stretch("freeze", measured.freeze, checks.max_freeze_s),
    loudness(measured.loudness, checks),
    truePeak(measured.loudness, checks),
    decodeErrors(measured, checks),
  ].filter((reason) => reason !== undefined);
}

function stretch(
  check: "black" | "silence" | "freeze",
  found: Stretches | null,
  limit: number | null,
): Reason | undefined {
  if (!found || limit === null || found.longest_s <= limit) return undefined;
  // Shorter ones may have been dropped from the list but never a longer one, so this is found unless the list is full.
  const longest = found.listed.find(({ start_s, end_s }) => end_s - start_s >= found.longest_s - 0.001);
  const place = longest ? ` at ${longest.start_s.toFixed(1)} s` : "";
  const message = `${found.longest_s.toFixed(2)} s of ${check}${place} (limit ${limit} s)`;
  return { check, measured: found.longest_s, limit, message };
}

/** A file without sound, or with nothing but silence, does not meet a loudness that was asked for. */
function loudness(found: Loudness | null, checks: Checks): Reason | undefined {
  const { loudness_target_lufs: target, loudness_tolerance_lu: tolerance } = checks;
  if (target === null) return undefined;
  const lufs = found?.integrated_lufs ?? null;
  if (lufs === null) {
    return {
      check: "loudness",
      measured: null,
      limit: target,
      message: `no sound to measure loudness of (target ${target} LUFS)`,
    };
  }
  // ffmpeg prints tenths; a comparison of binary fractions should not fail -23.0 against -22.5 ± 0.5.
  if (Math.abs(lufs - target) <= tolerance + 1e-6) return undefined;
  return {
    check: "loudness",
    measured: lufs,
    limit: target,
    message: `loudness of ${lufs} LUFS (target ${target} ± ${tolerance})`,
  };
}

function truePeak(found: Loudness | null, { max_true_peak_dbtp: limit }: Checks): Reason | undefined {
  const peak = found?.true_peak_dbtp ?? null;
  if (limit === null || peak === null || peak <= limit) return undefined;
  return { check: "true_peak", measured: peak, limit, message: `true peak of ${peak} dBTP (limit ${limit})` };
}

function decodeErrors(
  { decode_errors: count, first_errors: [first] }: Measured,
  { max_decode_errors: limit }: Checks,
): Reason | undefined {
  if (limit === null || count <= limit) return undefined;
  const message = `${count} errors while decoding (limit ${limit})${first ? `, the first: ${first}` : ""}`;
  return { check: "decode_errors", measured: count, limit, message };
}

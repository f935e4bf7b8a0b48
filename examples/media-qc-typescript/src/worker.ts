/**
 * Media quality control as a task. The phases have the percentages that operators know: initializing 5, downloading 15 to 20,
 * analysis 45 to 75, saving 80, done 100.
 */
import { Failed, JobForge, type Context } from "@jobforge/sdk";
import { analyze } from "./analyze.js";
import { lackOf } from "./container.js";
import { fetchSource, mebibytes } from "./fetch.js";
import { labelOf, MediaQc, sourceOf } from "./payload.js";
import { probe, type MediaFacts } from "./probe.js";
import { judge, type Report } from "./report.js";
import { run } from "./run.js";
import { settings as read } from "./settings.js";

const VERSION_PATIENCE_MS = 10_000;

export const jf = new JobForge();
const settings = read();

export const mediaQc = jf.task(
  "media.qc",
  // Generous, for a film of any length on a slow machine: a hung ffmpeg is noticed long before.
  { schema: MediaQc, queue: "media", timeoutMs: 4 * 60 * 60 * 1000 },
  async ({ source: text, checks }, ctx): Promise<Report> => {
    await ctx.progress(5, "checking payload and tools", { phase: "initializing" });
    const source = sourceOf(text);
    const name = labelOf(source);
    // Both before anything is downloaded: a worker without ffmpeg should not fetch two gigabytes to find out.
    await version(settings.ffprobe, ctx);
    const tool = await version(settings.ffmpeg, ctx);
    ctx.log(`examining ${name} with ${tool}`);

    await ctx.progress(15, `fetching ${name}`, { phase: "downloading" });
    await using file = await fetchSource(source, settings, ctx);
    await ctx.progress(20, `${file.how} ${mebibytes(file.bytes)}`);

    await ctx.progress(45, "reading the container", { phase: "analysis" });
    // First, because ffprobe makes the best of a cut file and would not mention it.
    const lack = await lackOf(file.path);
    if (lack) throw new Failed(`${name} is truncated: ${lack}`, { kind: "truncated_media" });
    const media = await probe(file.path, name, settings, ctx);
    ctx.log(summary(media));
    const began = performance.now();
    const measured = await analyze(file.path, name, media, checks, settings, ctx);
    const analysis_ms = Math.round(performance.now() - began);
    await ctx.progress(75, "analysis complete");

    await ctx.progress(80, "writing the report", { phase: "saving" });
    const reasons = judge(measured, checks);
    for (const { check, message } of reasons) ctx.log(`failed ${check}: ${message}`);
    const verdict = reasons.length === 0 ? "pass" : "fail";
    await ctx.progress(100, verdict, { phase: "done" });
    return { source: name, verdict, reasons, media, measured, analysis_ms, tool };
  },
);

/** A tool's name and version, such as `ffmpeg version 5.1.9`. */
async function version(program: string, { signal }: Context): Promise<string> {
  let first: string | undefined;
  await run({
    program,
    args: ["-version"],
    signal,
    patienceMs: VERSION_PATIENCE_MS,
    onLine: (from, line) => {
      if (from === "stdout") first ??= line;
    },
  });
  return (first ?? "").split(/\s+/).slice(0, 3).join(" ");
}

function summary({ container_name, video, audio, duration_s }: MediaFacts): string {
  const codecs = [...video, ...audio].map(({ codec }) => codec).join(", ");
  return `${container_name}: ${codecs}${duration_s === null ? "" : `, ${duration_s.toFixed(1)} s`}`;
}

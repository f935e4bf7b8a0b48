import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { Failed, InvalidPayload, Retry } from "@jobforge/sdk";
import { TestContext, TestServer } from "@jobforge/sdk/testing";
import { truncation } from "../src/analyze.js";
import { isPublic } from "../src/guard.js";
import { LogReader, progressLine } from "../src/measure.js";
import { parse } from "../src/probe.js";
import { mediaQc } from "../src/worker.js";

/** What ffmpeg and ffprobe printed in real runs; the worker in Rust is tested with the same. */
const captured = (name: string) =>
  readFileSync(join(import.meta.dirname, "../../../media-qc/tests/captured", name), "utf8");

const studio = mkdtempSync(join(tmpdir(), "media-qc-test-"));
const H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"];

function make(name: string, inputs: string[], ...options: string[]): string {
  const path = join(studio, name);
  const sources = inputs.flatMap((input) => ["-f", "lavfi", "-i", input]);
  execFileSync("ffmpeg", ["-v", "error", "-nostdin", "-y", ...sources, ...options, path]);
  return path;
}

function film(name: string, seconds: number, ...options: string[]): string {
  const picture = `testsrc2=size=320x180:rate=25:duration=${seconds}`;
  return make(name, [picture, `sine=frequency=1000:duration=${seconds}`], ...H264, ...options);
}

/** Nine seconds: black from 2 to 4, silence from 3 to 5, and a still picture from 6 to the end. */
function faulty(): string {
  const picture =
    "testsrc2=size=320x180:rate=25:duration=2[a];color=black:size=320x180:rate=25:duration=2[b];" +
    "testsrc2=size=320x180:rate=25:duration=2,tpad=stop_mode=clone:stop_duration=3[c];[a][b][c]concat=n=3";
  return make(
    "faulty.mp4",
    [picture, "sine=frequency=1000:duration=9"],
    ...H264,
    "-af",
    "volume=enable='between(t,3,5)':volume=0",
  );
}

function bytes(name: string, content: Buffer | string): string {
  const path = join(studio, name);
  writeFileSync(path, content);
  return path;
}

async function kindOf(source: string): Promise<string> {
  return mediaQc.run({ source }, new TestContext()).then(
    ({ verdict }) => verdict,
    (error: unknown) => (error instanceof Failed || error instanceof Retry ? (error.kind ?? "?") : String(error)),
  );
}

let jobforge: TestServer;
before(async () => {
  jobforge = await TestServer.start();
});
after(() => jobforge.stop());

test("a real run is read as by the worker in Rust", () => {
  const log = new LogReader();
  for (const line of captured("faulty.log").split("\n")) log.push(line);
  const measured = log.finish(9.009342, true, true);
  assert.deepEqual(measured.black?.listed, [{ start_s: 2, end_s: 4 }]);
  assert.deepEqual(measured.silence?.listed, [{ start_s: 3.022, end_s: 5.013 }]);
  assert.equal(measured.freeze?.listed.at(-1)?.end_s, 9.009);
  assert.equal(measured.decode_errors, 0);
  const expected = JSON.parse(captured("report.json")) as { measured: { loudness: unknown } };
  assert.deepEqual(Object.keys(measured).sort(), Object.keys(expected.measured).sort());
  const { video, duration_s } = parse(captured("probe-mp4.json"));
  assert.deepEqual([duration_s, video[0]?.codec, video[0]?.frame_rate], [6, "h264", 25]);
  const ends = captured("faulty.progress").split("\n").map(progressLine);
  assert.ok(ends.includes("block end") && ends.some((said) => typeof said === "object" && "decoded" in said));
});

test("small differences are no truncation, a missing half is", () => {
  assert.equal(truncation(10, 9.2, undefined), undefined);
  assert.equal(truncation(undefined, 5, undefined), undefined);
  assert.equal(truncation(6, 3.04, undefined), "only 3.0 s of 6.0 s can be decoded");
  assert.equal(truncation(6, 5.9, "partial file"), "it ends after 5.9 s of 6.0 s (partial file)");
});

test("private addresses are told from public ones", () => {
  const closed = [
    "127.0.0.1",
    "10.1.2.3",
    "169.254.169.254",
    "100.64.0.1",
    "192.168.1.1",
    "224.0.0.1",
    "::1",
    "fe80::1",
    "fd00::1",
    "::ffff:127.0.0.1",
    "2002:7f00:1::",
    "64:ff9b::7f00:1",
  ];
  assert.deepEqual(closed.filter(isPublic), []);
  assert.ok(isPublic("93.184.216.34") && isPublic("2606:2800:220:1::1"));
});

test("a good film passes and a faulty one fails with reasons", async () => {
  const ctx = new TestContext();
  const good = await mediaQc.run({ source: film("good.mp4", 3) }, ctx);
  assert.deepEqual([good.verdict, good.reasons], ["pass", []]);
  const phases = ctx.reports.map(({ phase }) => phase).filter(Boolean);
  assert.deepEqual(phases, ["initializing", "downloading", "analysis", "saving", "done"]);
  const checks = { max_black_s: 1, max_silence_s: 1, max_freeze_s: 2.5, loudness_target_lufs: -50 };
  const bad = await mediaQc.run({ source: faulty(), checks }, new TestContext());
  assert.equal(bad.verdict, "fail");
  assert.deepEqual(
    bad.reasons.map(({ check }) => check),
    ["black", "silence", "freeze", "loudness"],
  );
  assert.equal(bad.reasons[0]?.message, "2.00 s of black at 2.0 s (limit 1 s)");
});

test("what cannot be judged says why, and whether another attempt makes sense", async () => {
  const whole = readFileSync(film("last.mp4", 2, "-c:a", "aac"));
  const index = whole.lastIndexOf("moov") - 4;
  assert.equal(await kindOf(bytes("cut.mp4", whole.subarray(0, index))), "truncated_media");
  assert.equal(await kindOf(bytes("empty.mp4", "")), "empty_file");
  assert.equal(await kindOf(bytes("letter.mp4", "Dear reader,\n".repeat(100))), "not_media");
  assert.equal(
    await kindOf(
      bytes("list.m3u8", `#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://${join(studio, "last.mp4")}\n`),
    ),
    "not_media",
  );
  assert.equal(await kindOf(join(studio, "absent.mp4")), "file_not_found");
  assert.equal(await kindOf(studio), "not_a_file");
  assert.equal(await kindOf("ftp://host/a.mp4"), "invalid_payload");
  assert.equal(await kindOf("http://127.0.0.1:9/a.mp4"), "host_not_allowed");
  assert.equal(await kindOf("http://localhost:9/a.mp4"), "host_not_allowed");
  await assert.rejects(mediaQc.run({ source: "a.mp4", checks: { max_black: 1 } }, new TestContext()), InvalidPayload);
});

test("a worker checks what it is given, shows progress, and downloads are kept to their rules", async () => {
  const web = createServer((request, response) => {
    if (request.url === "/film.mp4") response.end(readFileSync(film("web.mp4", 2)));
    else if (request.url?.startsWith("/moved?")) response.writeHead(302, { location: "/film.mp4" }).end();
    else if (request.url === "/page") response.writeHead(200, { "content-type": "text/html" }).end("<html>");
    else if (request.url === "/busy") response.writeHead(503, { "retry-after": "7" }).end();
    else response.writeHead(404).end();
  });
  web.listen(0, "127.0.0.1");
  await once(web, "listening");
  const base = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
  process.env.JOBFORGE_URL = jobforge.socketUrl;
  process.env.ALLOW_PRIVATE_HOSTS = "true";
  // A copy of the module that goes by this environment.
  const again = "../src/worker.js?again";
  const { jf, mediaQc } = (await import(again)) as typeof import("../src/worker.js");
  const stop = new AbortController();
  const work = jf.work({
    signal: stop.signal,
    concurrency: 2,
    graceMs: 0,
    logger: { info() {}, warn() {}, error() {} },
  });
  try {
    const moved = await (await mediaQc.enqueue({ source: `${base}/moved?token=secret` })).result();
    assert.deepEqual([moved.verdict, moved.source], ["pass", `${base}/moved`]);
    const page = await mediaQc.enqueue({ source: `${base}/page` });
    assert.equal(await page.result().catch((error: { kind: string }) => error.kind), "not_media");
    const gone = await mediaQc.enqueue({ source: `${base}/gone` });
    assert.equal(await gone.result().catch((error: { kind: string }) => error.kind), "http_refused");
    const busy = await mediaQc.enqueue({ source: `${base}/busy` });
    while ((await busy.get()).error === null) await setTimeout(20);
    const { status, error, run_at } = await busy.get();
    assert.deepEqual([status, error?.kind], ["queued", "http_unavailable"]);
    const wait = new Date(run_at).getTime() - Date.now();
    assert.ok(wait > 5000 && wait <= 7000, `Retry-After is kept: ${wait} ms`);
    await busy.cancel();
  } finally {
    stop.abort();
    await work;
    web.closeAllConnections();
    web.close();
  }
});

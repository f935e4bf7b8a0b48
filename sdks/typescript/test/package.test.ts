import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { TestServer } from "../src/testing/index.js";
import { version } from "../src/version.js";
import { until } from "./helpers/until.js";
import { workerUrl } from "./helpers/working.js";

const root = join(__dirname, "../..");

/** A project that has nothing but this package. */
function project(files: Record<string, string>): string {
  const directory = mkdtempSync(join(tmpdir(), "jobforge-project-"));
  mkdirSync(join(directory, "node_modules/@jobforge"), { recursive: true });
  symlinkSync(root, join(directory, "node_modules/@jobforge/sdk"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  return directory;
}

test("import and require give the same classes", () => {
  const directory = project({
    "both.mjs": `
      import { createRequire } from "node:module";
      import * as imported from "@jobforge/sdk";
      import { TestServer } from "@jobforge/sdk/testing";
      const required = createRequire(import.meta.url)("@jobforge/sdk");
      console.log(imported.Dead === required.Dead, typeof TestServer.start, Object.keys(required).every((name) => name in imported));`,
  });
  const output = execFileSync(process.execPath, ["both.mjs"], { cwd: directory, encoding: "utf8" });
  assert.equal(output.trim(), "true function true");
});

test("types are found by projects of both kinds", () => {
  const source = `
    import { JobForge, type Context } from "@jobforge/sdk";
    import { TestContext } from "@jobforge/sdk/testing";
    const jf = new JobForge();
    const task = jf.task<{ n: number }, string>("a.task", async ({ n }, ctx: Context) => String(n + ctx.job.attempt));
    export async function both(): Promise<string> {
      // @ts-expect-error Not a number.
      await task.enqueue({ n: "x" });
      return task.run({ n: 1 }, new TestContext());
    }`;
  const directory = project({ "a.mts": source, "b.cts": source });
  const tsc = join(root, "node_modules/.bin/tsc");
  const options = [
    "--noEmit",
    "--strict",
    "--module",
    "nodenext",
    "--target",
    "es2022",
    "--lib",
    "es2023,esnext.disposable",
    "--types",
    "node",
    "--typeRoots",
    join(root, "node_modules/@types"),
  ];
  execFileSync(tsc, [...options, "a.mts", "b.cts"], {
    cwd: directory,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
});

test("the version is that of the package, and the lock file names no place to get packages from", () => {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    version: string;
    dependencies?: object;
  };
  assert.equal(version, manifest.version);
  assert.equal(manifest.dependencies, undefined);
  assert.doesNotMatch(readFileSync(join(root, "package-lock.json"), "utf8"), /"resolved"/);
});

test("jobforge-worker runs the tasks of a module until it is told to end", async () => {
  const server = await TestServer.start();
  const directory = project({
    "worker.mjs": `
      import { JobForge } from "@jobforge/sdk";
      const jf = new JobForge();
      export const double = jf.task("double.it", { queue: "maths" }, ({ n }) => 2 * n);`,
    "empty.mjs": "export const nothing = 1;",
  });
  const launcher = join(root, "bin/jobforge-worker.js");
  const run = (...args: string[]) =>
    spawn(process.execPath, [launcher, ...args], {
      cwd: directory,
      env: { ...process.env, JOBFORGE_URL: workerUrl(server) },
      stdio: ["ignore", "pipe", "pipe"],
    });
  try {
    const worker = run("./worker.mjs", "--queue", "maths", "--concurrency", "3", "--name", "night shift");
    const job = await server.client().enqueueJob({ type: "double.it", queue: "maths", payload: { n: 21 } });
    assert.equal(await job.result({ timeoutMs: 20_000 }), 42);
    const workers = (await (await fetch(`${server.url}/v1/workers`)).json()) as {
      workers: { name: string; slots: number }[];
    };
    assert.ok(workers.workers.some(({ name, slots }) => name === "night shift" && slots === 3));
    worker.kill("SIGTERM");
    assert.deepEqual(await once(worker, "exit"), [0, null]);
    const empty = run("./empty.mjs");
    let text = "";
    empty.stderr?.on("data", (part: Buffer) => (text += part.toString()));
    assert.deepEqual(await once(empty, "exit"), [1, null]);
    await until("it says why", () => /exports no JobForge client and no task/.test(text));
  } finally {
    await server.stop();
  }
});

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { TestServer } from "../src/testing/index.js";
import { workerUrl } from "./helpers/working.js";

const root = join(__dirname, "../..");
const readme = readFileSync(join(root, "README.md"), "utf8");

/** The blocks of code in a language. */
function blocks(language: string): string[] {
  return [...readme.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms"))].map(([, code]) => code ?? "");
}

/** The lines that have something, however they are indented: a test keeps for itself what a module exports. */
function lines(code: string): string[] {
  return code.split("\n").flatMap((line) => line.trim().replace(/^export /, "") || []);
}

/** The block of code below the name of its file. */
function file(name: string): string {
  const code = new RegExp(`^\`${name}\`:\n\n\`\`\`js\n(.*?)^\`\`\``, "ms").exec(readme)?.[1];
  assert.ok(code, `the README shows ${name}`);
  return code;
}

test("the README's first job is done in an empty folder with nothing but the package", async () => {
  const packed = mkdtempSync(join(tmpdir(), "jobforge-packed-"));
  const npm = (...args: string[]) =>
    execFileSync("npm", args, { cwd: packed, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  const archive = execFileSync("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", packed], {
    cwd: root,
    encoding: "utf8",
  }).trim();
  npm("init", "-y");
  npm("install", "--no-audit", "--no-fund", "--offline", join(packed, archive));
  for (const name of ["worker.mjs", "enqueue.mjs"]) writeFileSync(join(packed, name), file(name));
  const server = await TestServer.start();
  const env = { ...process.env, JOBFORGE_URL: workerUrl(server) };
  const worker = spawn("npx", ["jobforge-worker", "./worker.mjs"], {
    cwd: packed,
    env,
    stdio: "ignore",
    detached: true,
  });
  try {
    const output = execFileSync(process.execPath, ["enqueue.mjs"], {
      cwd: packed,
      env,
      encoding: "utf8",
      timeout: 60_000,
    });
    assert.match(output, /^[0-9a-f-]{36} Hello, Ada!\n$/);
  } finally {
    process.kill(-worker.pid!, "SIGTERM");
    await once(worker, "exit");
    await server.stop();
  }
});

test("every snippet of the README is run: by documented.test.ts, or as one of the files above", () => {
  const fences = [...readme.matchAll(/^ *```(.*)\n[^]*?^ *```$/gm)].map(([, language]) => language);
  assert.deepEqual([...new Set(fences)].sort(), ["js", "sh", "ts"]);
  assert.deepEqual(blocks("js"), [file("worker.mjs"), file("enqueue.mjs")]);
  const documented = lines(readFileSync(join(root, "test/documented.test.ts"), "utf8"));
  for (const block of blocks("ts")) {
    let next = 0;
    for (const line of lines(block)) {
      const at = documented.indexOf(line, next);
      assert.notEqual(at, -1, `documented.test.ts has no line "${line}" behind its line "${documented[next - 1]}"`);
      next = at + 1;
    }
  }
});

"use strict";
/** What both benchmarks of workers share: a real server, real workers, and a count of what they say to one another. */
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const http = require("node:http");
const path = require("node:path");

const SDK = path.join(__dirname, "../../sdks/typescript");

/** Loads the SDK of this repository. */
function sdk(name = "index") {
  try {
    return require(path.join(SDK, "dist", name));
  } catch (error) {
    if (error.code !== "MODULE_NOT_FOUND") throw error;
    throw new Error("the SDK is not built; run: cd sdks/typescript && npm ci && npm run build");
  }
}

/** Reads `--name=value` options, all of them numbers, over their defaults. */
function options(defaults, argv = process.argv.slice(2)) {
  const read = { ...defaults };
  for (const argument of argv) {
    const [, name, text] = /^--([a-z-]+)=(.*)$/.exec(argument) ?? [];
    const known = Object.keys(defaults)
      .map((option) => `--${option}=NUMBER`)
      .join(" ");
    if (!name || !(name in defaults)) throw new Error(`${argument} is no option; there are: ${known}`);
    const value = Number(text);
    if (!Number.isFinite(value) || value <= 0) throw new Error(`--${name} is "${text}"; give a number above 0`);
    read[name] = value;
  }
  return read;
}

/** A server: the one at JOBFORGE_URL, or one of its own in a temporary directory. */
async function server() {
  const url = process.env.JOBFORGE_URL;
  if (url) return { url, stop: async () => {} };
  const own = await sdk("testing").TestServer.start();
  return { url: own.url, stop: () => own.stop() };
}

/** Passes requests on and hands each to `saw`, with its body. */
async function counter(target, saw) {
  const { hostname, port } = new URL(target);
  const proxy = http.createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const body = Buffer.concat(parts);
      saw(request.url, body.length > 0 ? JSON.parse(body) : undefined);
      const { url: path, method, headers } = request;
      const onward = http.request({ hostname, port, path, method, headers }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      onward.on("error", () => response.destroy());
      response.on("close", () => onward.destroy());
      onward.end(body);
    });
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return {
    url: `http://127.0.0.1:${proxy.address().port}`,
    close: () => (proxy.closeAllConnections(), proxy.close()),
  };
}

/** Starts a worker process that takes jobs of `benchmark.wait` from a queue, with its own environment. */
function worker(url, queue, env) {
  const child = spawn(
    process.execPath,
    [path.join(SDK, "bin/jobforge-worker.js"), path.join(__dirname, "waits.js"), "--queue", queue],
    {
      env: { ...process.env, ...env, JOBFORGE_URL: url },
      stdio: ["ignore", "ignore", "inherit"],
    },
  );
  return async () => {
    if (child.exitCode !== null) throw new Error(`the worker of queue ${queue} ended with code ${child.exitCode}`);
    child.kill("SIGKILL");
    await once(child, "exit");
  };
}

/** Runs `main` and prints what it returns as one line of JSON. */
function print(main) {
  main().then(
    (result) => console.log(JSON.stringify(result)),
    (error) => {
      console.error(error.message);
      process.exitCode = 1;
    },
  );
}

const perMinute = (count, ms) => Math.round((count * 600_000) / ms) / 10;

module.exports = { counter, options, perMinute, print, sdk, server, worker };

/** `jobforge-worker ./worker.js --queue http --concurrency 8`: runs the tasks that a module exports. */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { JobForge } from "./client.js";
import { JobForgeError } from "./errors.js";
import { Task } from "./task.js";
import { version } from "./version.js";

const HELP = `Runs the tasks of a module as a JobForge worker

Usage: jobforge-worker MODULE [OPTIONS]

MODULE is a file that exports a JobForge client, or tasks of one.

Options:
  --queue NAME[=N]   Take jobs from this queue, N of them at once where given; may be repeated
                     [env: JOBFORGE_QUEUES] [default: the queues of the tasks]
  --concurrency N    Jobs to run at once, over all queues [env: JOBFORGE_SLOTS] [default: 10]
  --name TEXT        A label for people [env: WORKER_NAME]
  --grace-ms N       How long running jobs may take to end when the worker stops
                     [env: SHUTDOWN_GRACE_MS] [default: 25000]
  --help, --version

The server is JOBFORGE_URL (default: http://127.0.0.1:8080), the token JOBFORGE_TOKEN.
`;

const OPTIONS = {
  queue: { type: "string", multiple: true },
  concurrency: { type: "string" },
  name: { type: "string" },
  "grace-ms": { type: "string" },
  help: { type: "boolean" },
  version: { type: "boolean" },
} as const;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  if (values.help) return void process.stdout.write(HELP);
  if (values.version) return void process.stdout.write(`${version}\n`);
  const [file, ...more] = positionals;
  if (!file || more.length > 0) throw new JobForgeError("give one module, such as ./worker.js; see --help");
  const jf = clientOf((await import(pathToFileURL(resolve(file)).href)) as Record<string, unknown>, file);
  await jf.work({
    ...(values.queue ? { queues: queuesOf(values.queue) } : {}),
    ...(values.concurrency === undefined ? {} : { concurrency: whole("--concurrency", values.concurrency) }),
    ...(values["grace-ms"] === undefined ? {} : { graceMs: whole("--grace-ms", values["grace-ms"]) }),
    ...(values.name === undefined ? {} : { name: values.name }),
    exitWhenLost: true,
  });
}

/** The client among what a module exports, itself or by one of its tasks. */
function clientOf(exported: Record<string, unknown>, file: string): JobForge {
  const inner = exported.default;
  const values = [
    ...Object.values(exported),
    ...(inner !== null && typeof inner === "object" ? Object.values(inner) : []),
  ];
  const clients = new Set(
    values.flatMap((value) => (value instanceof JobForge ? value : value instanceof Task ? value.client : [])),
  );
  const [client, other] = clients;
  if (!client)
    throw new JobForgeError(`${file} exports no JobForge client and no task; write: export const task = jf.task(…)`);
  if (other) throw new JobForgeError(`${file} exports tasks of several JobForge clients; a worker runs those of one`);
  return client;
}

function queuesOf(given: string[]): string[] | Record<string, number> {
  if (!given.some((queue) => queue.includes("="))) return given;
  const pairs = given.map((queue): [string, number] => {
    const [name = "", slots] = queue.split("=");
    if (slots === undefined)
      throw new JobForgeError(`--queue ${queue}: give a number to every queue or to none: ${queue}=4`);
    return [name, whole("--queue", slots)];
  });
  return Object.fromEntries(pairs);
}

function whole(option: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new JobForgeError(`${option} has "${text}"; give a whole number from 1`);
}

main().then(
  // Handlers that were left behind must not keep the process.
  () => process.exit(0),
  (error: unknown) => {
    const known = error instanceof JobForgeError || (error as NodeJS.ErrnoException).code?.startsWith("ERR_PARSE_ARGS");
    process.stderr.write(
      `jobforge-worker: ${known ? (error as Error).message : ((error as Error).stack ?? String(error))}\n`,
    );
    process.exit(1);
  },
);

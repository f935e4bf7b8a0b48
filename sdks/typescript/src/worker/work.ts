import type { JobForge } from "../client.js";
import { JobForgeError } from "../errors.js";
import type { WorkOptions } from "./options.js";
import { Worker } from "./worker.js";

const ENDINGS = ["SIGTERM", "SIGINT"] as const;

/** Runs a worker with the tasks of a client until it is told to stop. */
export async function work(jf: JobForge, options: WorkOptions): Promise<void> {
  if (jf.tasks.size === 0) throw new JobForgeError("there is no task to work on; define one with jf.task(…) first");
  const worker = new Worker(jf, options);
  const stop = () => worker.stop();
  let asked = 0;
  const told = () => {
    asked += 1;
    if (asked === 1) worker.stop();
    else worker.hurry();
  };
  const { signal, handleSignals = true } = options;
  if (signal?.aborted) stop();
  signal?.addEventListener("abort", stop, { once: true });
  if (handleSignals) for (const name of ENDINGS) process.on(name, told);
  try {
    await worker.run();
  } finally {
    signal?.removeEventListener("abort", stop);
    if (handleSignals) for (const name of ENDINGS) process.off(name, told);
  }
}

// A worker to begin with: what the compose file runs as worker-ts.
import { JobForge } from "@jobforge/sdk";

export const jf = new JobForge();

// jobforge job enqueue hello.typescript '{"name": "Ada"}' --queue typescript --wait
export const hello = jf.task("hello.typescript", { queue: "typescript" }, async ({ name = "world" }) => `hello ${name}`);

import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import express, { type ErrorRequestHandler, type Express } from "express";
import { ApiError, type JobDetail } from "@jobforge/sdk";
import { buildReport, jf } from "./tasks.js";

const LOOK_EVERY_MS = 300;

/** What the page shows of a job. */
function view({ id, status, progress, result, error }: JobDetail) {
  return { id, status, percent: progress.percent ?? 0, message: error?.message ?? progress.message, result };
}

export function app(): Express {
  const app = express();
  app.use(express.json());

  app.get("/", (_request, response) => response.sendFile(join(import.meta.dirname, "../../src/index.html")));

  app.post("/reports", async (request, response) => {
    const { month, pages = 20 } = request.body as { month: string; pages?: number };
    // A second click, or a request that is sent again, finds the report that is being built.
    const job = await buildReport.enqueue({ month, pages }, { idempotencyKey: `report-${month}-${pages}` });
    response.status(202).location(`/reports/${job.id}`).json({ id: job.id, created: job.created });
  });

  app.get("/reports/:id", async (request, response) => {
    response.json(view(await jf.get(request.params.id)));
  });

  app.delete("/reports/:id", async (request, response) => {
    const { status } = await jf.cancel(request.params.id, { reason: "the user pressed cancel" });
    response.json({ status });
  });

  // Tells the progress as it changes, until the job has ended or the browser is gone.
  app.get("/reports/:id/events", async (request, response) => {
    let job = await jf.get(request.params.id);
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    for (let told = ""; !response.closed; job = await jf.get(job.id)) {
      const text = JSON.stringify(view(job));
      if (text !== told) response.write(`data: ${text}\n\n`);
      told = text;
      if (job.status !== "queued" && job.status !== "running") break;
      await setTimeout(LOOK_EVERY_MS);
    }
    response.end();
  });

  app.use(refusals);
  return app;
}

/** A job that is not there is 404 here as well; whatever else the server refuses is our fault. */
const refusals: ErrorRequestHandler = (error: unknown, _request, response, next) => {
  if (response.headersSent || !(error instanceof ApiError)) return next(error);
  response.status(error.status === 404 || error.code === "bad_id" ? 404 : 502).json({ error: error.detail });
};

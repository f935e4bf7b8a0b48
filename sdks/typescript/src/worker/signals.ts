import { sleep } from "../clock.js";
import { ApiError } from "../errors.js";
import { backoff } from "../policy/backoff.js";
import type { Transport } from "../transport.js";

const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 1_000;
/** Between two tries with a server that has no signals. */
const WITHOUT_MS = 60_000;
/** A stream with neither signal nor comment for this long is dead. */
const SILENCE_MS = 15_000;
/** An event is a short line; more without an end of line is none. */
const LONGEST_LINE = 64 * 1024;

export interface SignalEvents {
  look(): void;
  work(queue: string): void;
  renew(): void;
  moved(id: string): void;
}

/** Listens to a worker's signals until it is told to stop. They are hints: whoever listens also looks. */
export async function listen(
  transport: Transport,
  workerId: string,
  events: SignalEvents,
  stop: AbortSignal,
): Promise<void> {
  let failures = 0;
  while (!stop.aborted) {
    try {
      const stream = await transport.stream(`/v1/worker/signals?worker_id=${workerId}`, stop);
      stream.setEncoding("utf8");
      stream.setTimeout(SILENCE_MS, () => stream.destroy());
      failures = 0;
      for await (const signal of signalsOf(stream)) pass(signal, events);
    } catch (error) {
      if (error instanceof ApiError && error.status < 500 && error.status !== 429) failures = Infinity;
    }
    failures += 1;
    const wait = failures === Infinity ? WITHOUT_MS : backoff(failures, FIRST_WAIT_MS, LONGEST_WAIT_MS);
    await sleep(wait, stop);
  }
}

interface Signal {
  signal?: string;
  queue?: string;
  id?: string;
}

async function* signalsOf(stream: AsyncIterable<string>): AsyncGenerator<Signal> {
  let rest = "";
  for await (const part of stream) {
    const lines = (rest + part).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > LONGEST_LINE) return;
    for (const line of lines) {
      if (line.startsWith("data:")) yield JSON.parse(line.slice("data:".length)) as Signal;
    }
  }
}

function pass({ signal, queue, id }: Signal, events: SignalEvents): void {
  if (signal === "look") events.look();
  else if (signal === "work" && queue) events.work(queue);
  else if (signal === "renew") events.renew();
  else if (signal === "moved" && id) events.moved(id);
}

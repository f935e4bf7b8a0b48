import { join } from "node:path";
import { Worker as Thread } from "node:worker_threads";
import type { ClockBase } from "../clock.js";
import { JobForgeError } from "../errors.js";
import type { Logger } from "../log.js";
import type { Connection } from "../settings.js";
import type { Registration, Report } from "../wire.js";
import type { Held } from "./held.js";
import type { FromThread, ThreadData, ToThread } from "./messages.js";

/** How often the event loop shows that it turns. */
const PULSE_MS = 500;

/** Told of what the heartbeat thread finds out. */
export interface LifelineEvents {
  lost(workerId: string, why: string): void;
  restart(workerId: string): void;
  stop(message: FromThread & { tell: "stop" }): void;
  /** The thread is gone, and with it whoever kept the worker alive. */
  failed(fault: Error): void;
}

/** The main thread's end of the heartbeat thread. */
export class Lifeline {
  private readonly thread: Thread;
  private readonly pulse: NodeJS.Timeout;
  private workerId = "";
  private actsUntil = -Infinity;
  private onDraining: (() => void) | undefined;
  private closed = false;

  constructor(
    connection: Connection,
    clock: ClockBase,
    exitWhenLost: boolean,
    speaks: boolean,
    private readonly logger: Logger,
    private readonly events: LifelineEvents,
  ) {
    const turns = new Int32Array(new SharedArrayBuffer(4));
    const data: ThreadData = { connection, clock, pulse: turns.buffer, exitWhenLost, speaks };
    // Options of this process, such as --inspect or a loader, are not meant for the thread.
    this.thread = new Thread(join(__dirname, "heartbeat-thread.js"), {
      workerData: data,
      execArgv: [],
      name: "heartbeats",
    });
    this.thread.on("message", (message: FromThread) => this.heard(message));
    this.thread.on("error", (error) => this.broken(`the heartbeat thread failed: ${error.message}`));
    this.thread.on("exit", () => this.broken("the heartbeat thread ended"));
    this.pulse = setInterval(() => Atomics.add(turns, 0, 1), PULSE_MS);
  }

  /** Keeps a new incarnation alive that was registered at this moment. */
  begin(registration: Registration, sent: number): void {
    this.workerId = registration.worker_id;
    this.actsUntil = sent + registration.lease_ms * 0.8;
    this.tell({ tell: "begin", registration, sent });
  }

  started(jobs: Held[]): void {
    this.tell({ tell: "started", jobs });
  }

  ended(jobs: Held[]): void {
    this.tell({ tell: "ended", jobs });
  }

  report(job: Held, report: Report): void {
    this.tell({ tell: "report", job, report });
  }

  /** Sends heartbeats now: of one job, or of all. */
  look(id?: string): void {
    this.tell(id === undefined ? { tell: "look" } : { tell: "look", id });
  }

  renew(): void {
    this.tell({ tell: "renew" });
  }

  /** All handlers of the lost incarnation have stopped. */
  stopped(): void {
    this.tell({ tell: "stopped" });
  }

  /** Tells the server that the worker takes nothing new; resolves when it has said that it knows. */
  drain(): Promise<void> {
    return new Promise((resolve) => {
      this.onDraining = resolve;
      this.tell({ tell: "drain" });
    });
  }

  /** Whether this incarnation may act at this moment. */
  acts(workerId: string, now: number): boolean {
    return workerId === this.workerId && now < this.actsUntil;
  }

  async close(): Promise<void> {
    this.closed = true;
    clearInterval(this.pulse);
    await this.thread.terminate();
  }

  private tell(message: ToThread): void {
    this.thread.postMessage(message);
  }

  private heard(message: FromThread): void {
    switch (message.tell) {
      case "renewed":
        if (message.workerId === this.workerId) this.actsUntil = message.actsUntil;
        if (message.draining) this.onDraining?.();
        break;
      case "lost":
        this.events.lost(message.workerId, message.why);
        break;
      case "restart":
        this.events.restart(message.workerId);
        break;
      case "stop":
        this.events.stop(message);
        break;
      case "log":
        this.logger[message.level](message.message);
        break;
    }
  }

  private broken(why: string): void {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.pulse);
    this.actsUntil = -Infinity;
    this.logger.error(`Heartbeat: worker ${this.workerId} ends, for ${why}`);
    this.events.lost(this.workerId, why);
    this.events.failed(new JobForgeError(why));
  }
}

import type { Connection } from "../settings.js";
import type { ClockBase } from "../clock.js";
import type { Registration, Report, Status } from "../wire.js";
import type { Held } from "./held.js";

/** What the heartbeat thread is born with. */
export interface ThreadData {
  connection: Connection;
  clock: ClockBase;
  /** Counts the turns of the main thread's event loop. */
  pulse: SharedArrayBuffer;
  exitWhenLost: boolean;
  /** Whether it may write to standard error itself, while the main thread cannot. */
  speaks: boolean;
}

/** What the main thread tells the heartbeat thread. */
export type ToThread =
  | { tell: "begin"; registration: Registration; sent: number }
  | { tell: "started"; jobs: Held[] }
  | { tell: "ended"; jobs: Held[] }
  | { tell: "report"; job: Held; report: Report }
  | { tell: "drain" }
  | { tell: "renew" }
  | { tell: "look"; id?: string }
  /** All handlers of the incarnation that was lost have stopped. */
  | { tell: "stopped" };

/** What the heartbeat thread tells the main thread. */
export type FromThread =
  | { tell: "renewed"; workerId: string; actsUntil: number; draining: boolean }
  | { tell: "lost"; workerId: string; why: string }
  | { tell: "restart"; workerId: string }
  | { tell: "stop"; job: Held; state: "canceled" | "lost" | "gone"; status?: Status }
  | { tell: "log"; level: "info" | "warn" | "error"; message: string };

/** How many jobs are asked for, of which queues, and whose turn it is. Pure. */

/** How long a job that must run alone is left to workers that run nothing, at least. */
const PATIENCE_MS = 30_000;
/** How long a busy worker then takes nothing new, so that it comes to run nothing. */
const MAKING_ROOM_MS = 30_000;

export interface QueueSlots {
  name: string;
  /** How many of its jobs may run at once. */
  slots: number;
}

export interface QueueAsk {
  name: string;
  max: number;
}

/** Jobs that take less than this are quick. */
const QUICK_MS = 20;
/** How much the newest job says about the pace of the next ones. */
const NEWEST_SHARE = 0.1;

/** How long jobs take, by what they took so far and what the newest one did. */
export function paceOf(before: number | undefined, tookMs: number): number {
  return before === undefined ? tookMs : before + (tookMs - before) * NEWEST_SHARE;
}

/** How a worker is filled at the moment. */
export interface Filling {
  queues: readonly QueueSlots[];
  /** Jobs of each queue that run or wait in the worker. */
  held: ReadonlyMap<string, number>;
  concurrency: number;
  /** Most jobs of one claim. */
  most: number;
  /** Counts the claims, so that each queue is the first now and then. */
  turn: number;
  /** How long jobs take. */
  paceMs: number | undefined;
}

/**
 * What to ask for. Free slots are shared between the queues that have room; with fewer slots than queues each is asked in
 * turn.
 *
 * Of quick jobs twice as many are held as run, to hide the claim's round trip, and more are asked for only when half of
 * that is used up, so that claims stay large under load. Long jobs are never taken ahead: a job that waits in one worker's
 * memory cannot be taken by an idle one.
 */
export function ask({ queues, held, concurrency, most, turn, paceMs = Infinity }: Filling): QueueAsk[] {
  const busy = sum(held.values());
  const times = paceMs < QUICK_MS && busy > 0 ? 2 : 1;
  let free = Math.min(concurrency * times - busy, most);
  if (times === 2 && free < Math.min(concurrency, most)) return [];
  const rooms = queues.map(({ name, slots }) => ({ name, room: slots * times - (held.get(name) ?? 0), max: 0 }));
  const first = free < rooms.length ? turn % rooms.length : 0;
  const order = [...rooms.slice(first), ...rooms.slice(0, first)];
  for (let open = order.filter(({ room }) => room > 0); free > 0 && open.length > 0;) {
    const share = Math.max(1, Math.floor(free / open.length));
    for (const queue of open) {
      const more = Math.min(share, queue.room - queue.max, free);
      queue.max += more;
      free -= more;
    }
    open = open.filter(({ room, max }) => max < room);
  }
  return rooms.filter(({ max }) => max > 0).map(({ name, max }) => ({ name, max }));
}

export function sum(counts: Iterable<number>): number {
  let all = 0;
  for (const count of counts) all += count;
  return all;
}

/**
 * Whose turn it is when a job has waited for so long that must run alone: a worker that runs nothing takes it at once, a
 * busy one makes room for it now and then, at a time of its own, so that not the whole fleet stands still for one job.
 */
export function turn(waitedMs: number, running: number, workerId: string): "company" | "alone" | "make room" {
  if (running === 0) return "alone";
  const own = [...workerId].reduce((sum, character) => (sum * 31 + character.charCodeAt(0)) % 30_000, 0);
  const from = PATIENCE_MS + own;
  return waitedMs % (from + MAKING_ROOM_MS) < from ? "company" : "make room";
}

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

/**
 * What to ask for with so many jobs running. Free slots are shared between the queues that have room, the first ones
 * getting the odd ones; `turn` moves on which those are, so that with fewer slots than queues each is asked in turn.
 */
export function ask(
  queues: readonly QueueSlots[],
  running: ReadonlyMap<string, number>,
  concurrency: number,
  most: number,
  turn: number,
): QueueAsk[] {
  let busy = 0;
  for (const count of running.values()) busy += count;
  let free = Math.min(concurrency - busy, most);
  const rooms = queues.map(({ name, slots }) => ({ name, room: slots - (running.get(name) ?? 0), max: 0 }));
  const first = free < rooms.length ? turn % rooms.length : 0;
  const order = [...rooms.slice(first), ...rooms.slice(0, first)];
  for (let open = order.filter(({ room }) => room > 0); free > 0 && open.length > 0; ) {
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

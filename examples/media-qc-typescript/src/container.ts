/**
 * Compares a file's size with what its container announces: ffmpeg forgives a cut AVI or WAV and calls the rest the whole;
 * the sizes in their first bytes do not.
 */
import { open, type FileHandle } from "node:fs/promises";

const BOX_LIMIT = 100_000;
/** How far off a size may be: writers disagree about padding. */
const SLACK_BYTES = 8;
/** Sizes from here on mean "not known yet" in the headers of live recordings. */
const UNKNOWN_RIFF_SIZE = 0x7fff_0000;
const BOXES = new Set([
  "ftyp",
  "styp",
  "moov",
  "moof",
  "mdat",
  "mfra",
  "sidx",
  "free",
  "skip",
  "wide",
  "uuid",
  "meta",
  "pnot",
]);

/** Says what the file lacks by its container's own account; `undefined` if it is complete or its container does not say. */
export async function lackOf(path: string): Promise<string | undefined> {
  const file = await open(path);
  try {
    const { size: length } = await file.stat();
    const start = Buffer.alloc(8);
    if (length < 8) return undefined;
    await file.read(start, 0, 8, 0);
    const { end, indexed } =
      start.toString("latin1", 0, 4) === "RIFF"
        ? { end: riffEnd(start), indexed: true }
        : BOXES.has(kindOf(start))
          ? await walkBoxes(file, length)
          : { end: 0, indexed: true };
    if (end - length > SLACK_BYTES) return `it is ${end - length} bytes shorter than its container announces`;
    return indexed ? undefined : "its index is missing (no moov box)";
  } finally {
    await file.close();
  }
}

/** AVI and WAV: the second word is the size of all that follows it. */
function riffEnd(start: Buffer): number {
  const size = start.readUInt32LE(4);
  return size >= UNKNOWN_RIFF_SIZE ? 0 : size + 8;
}

/** MP4 and QuickTime: walks from box to box to where the last known one should end. */
async function walkBoxes(file: FileHandle, length: number): Promise<{ end: number; indexed: boolean }> {
  let [at, end, indexed] = [0, 0, false];
  for (let boxes = 0; boxes < BOX_LIMIT && length - at >= 8; boxes += 1) {
    const head = Buffer.alloc(16);
    await file.read(head, 0, Math.min(16, length - at), at);
    // `meta` at the top is how still pictures (HEIC, AVIF) do without a moov.
    indexed ||= ["moov", "meta"].includes(kindOf(head));
    const short = head.readUInt32BE(0);
    const size = short === 1 ? Number(head.readBigUInt64BE(8)) : short;
    // 0 is "to the end of the file, wherever that is"; 1 to 7 make no sense.
    if (size < 8) break;
    at += size;
    // Something unknown may be data that somebody appended; it makes no promise about its end.
    if (BOXES.has(kindOf(head))) end = at;
  }
  return { end, indexed };
}

function kindOf(head: Buffer): string {
  return head.toString("latin1", 4, 8);
}

/** Most bytes of items in one request, well below what a server reads. */
const BYTES = 4 * 1024 * 1024;

/** Takes as many items from the front of a list as fit into one request, and at least one. */
export function portion<T>(items: readonly T[], most: number): T[] {
  let bytes = 0;
  let count = 0;
  for (const item of items.slice(0, most)) {
    bytes += JSON.stringify(item).length;
    if (count > 0 && bytes > BYTES) break;
    count += 1;
  }
  return items.slice(0, count);
}

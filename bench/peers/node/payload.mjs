const PADDING = 'x'.repeat(80);

// Returns about 100 bytes of JSON; the sequence number tells the jobs apart.
export function payload(sequence) {
  return { sequence, padding: PADDING };
}

/** Keeps URLs from leading into the worker's own network. */
import { lookup, type LookupAddress } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";

const privateAddresses = new BlockList();
for (const [network, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
] as const)
  privateAddresses.addSubnet(network, bits, "ipv4");
// Of IPv6 only 2000::/3 is given out. NAT64 and 6to4 carry an IPv4 address inside: nobody needs them for films.
const publicSix = new BlockList();
publicSix.addSubnet("2000::", 3, "ipv6");
const carriers = new BlockList();
carriers.addSubnet("2002::", 16, "ipv6");
carriers.addSubnet("2001:db8::", 32, "ipv6");

export function isPublic(address: string): boolean {
  if (isIP(address) === 4) return !privateAddresses.check(address, "ipv4");
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped) return isPublic(mapped);
  return publicSix.check(address, "ipv6") && !carriers.check(address, "ipv6");
}

export class PrivateAddress extends Error {}

/**
 * Resolves names to public addresses only. The addresses that are checked are those that are connected to, so a name that
 * changes its mind between check and use gains nothing.
 */
export const publicOnly: LookupFunction = (name, options, done) => {
  lookup(name, { ...options, all: true }, (error, found: LookupAddress[]) => {
    if (error) return done(error, "", 0);
    const open = found.filter(({ address }) => isPublic(address));
    const [first] = open;
    if (!first) return done(new PrivateAddress(name), "", 0);
    return options.all ? done(null, open) : done(null, first.address, first.family);
  });
};

import ipaddr from 'ipaddr.js'

/** Where IPv6 gives public addresses out (IANA's IPv6 address space); `range()` calls all else outside its list unicast too. */
const GLOBAL_UNICAST: [ipaddr.IPv6, number] = [ipaddr.IPv6.parse('2000::'), 3]
/** An IPv4 address as a network without IPv4 writes it, where a translator stands (RFC 6052 §2.1). */
const TRANSLATED: [ipaddr.IPv6, number] = [ipaddr.IPv6.parse('64:ff9b::'), 96]

/**
 * Whether an address is one of the public internet: plain unicast, in no special range of IANA's registries (loopback,
 * private, shared, link-local, multicast, documentation, benchmarking, reserved, 6to4, Teredo, IPv4-mapped, …). A
 * translated address (64:ff9b::/96) is public when the IPv4 address in it is.
 * @param address as `URL` and the resolver write it, without brackets. What is no such address, a name or `127.1`, is not public.
 */
export function isPublicAddress (address: string): boolean {
  if (ipaddr.IPv4.isValidFourPartDecimal(address)) return ipaddr.IPv4.parse(address).range() === 'unicast'
  if (!ipaddr.IPv6.isValid(address)) return false
  const parsed = ipaddr.IPv6.parse(address)
  if (parsed.match(TRANSLATED)) return new ipaddr.IPv4(parsed.toByteArray().slice(12)).range() === 'unicast'
  return parsed.match(GLOBAL_UNICAST) && parsed.range() === 'unicast'
}

const WITH_PORT = /^(?:(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}|\[([^\]]*)\](?::\d{1,5})?)$/

/** An address without the port, and the brackets, that some proxies write in X-Forwarded-For; what is neither stays as it is. */
export function withoutPort (address: string): string {
  const [, ipv4, ipv6] = address.includes(':') ? WITH_PORT.exec(address) ?? [] : []
  return ipv4 ?? ipv6 ?? address
}

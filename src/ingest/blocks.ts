// Whose reports are held back by a moderator's word.
import { BlockList, isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** A block in force: a CIDR or an address, or a network key (32 hex digits). */
export interface Block { cidr: string | null, network: string | null }

/** The blocks in force, ready to be asked for each report. */
export interface Blocks { has: (address: string, network: string) => boolean }

/** Makes blocks ready; none cost nothing. A CIDR is one of `ipaddr.js`'s, or a single address. */
export function compileBlocks (rows: readonly Block[]): Blocks {
  if (rows.length === 0) return { has: () => false }
  const networks = new Set(rows.flatMap(({ network }) => network ?? []))
  const addresses = new BlockList()
  for (const { cidr } of rows) {
    if (cidr === null) continue
    const [address, bits] = cidr.includes('/') ? ipaddr.parseCIDR(cidr) : [ipaddr.parse(cidr), undefined]
    const kind = address.kind() === 'ipv4' ? 'ipv4' : 'ipv6'
    if (bits === undefined) addresses.addAddress(address.toString(), kind)
    else addresses.addSubnet(address.toString(), bits, kind)
  }
  return {
    has (address, network) {
      if (networks.has(network)) return true
      const version = isIP(address)
      return version !== 0 && addresses.check(address, version === 4 ? 'ipv4' : 'ipv6')
    }
  }
}

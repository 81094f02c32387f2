import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { openCountries } from '../../src/ingest/countries.ts'
import { openTestApp } from '../app.ts'

/** A value in MaxMind DB's data format (2.0): maps, strings and numbers of up to 64 bits. */
function encode (value: unknown): Buffer {
  if (typeof value === 'string') return Buffer.concat([Buffer.from([2 << 5 | value.length]), Buffer.from(value)])
  if (typeof value === 'number') return Buffer.from([6 << 5 | 4, value >>> 24, value >>> 16 & 255, value >>> 8 & 255, value & 255])
  if (Array.isArray(value)) return Buffer.concat([Buffer.from([value.length, 11 - 7]), ...value.map(encode)])
  const entries = Object.entries(value as object)
  return Buffer.concat([Buffer.from([7 << 5 | entries.length]), ...entries.flatMap(([key, held]) => [encode(key), encode(held)])])
}

/** A database in which each IPv6 (or, behind 96 zeros, IPv4) prefix of whole bits has a country. */
function database (prefixes: [bits: string, country: string][]): Buffer {
  const nodes: (number | string | undefined)[][] = [[undefined, undefined]]
  for (const [bits, country] of prefixes) {
    let node = 0
    for (const [i, bit] of [...bits].entries()) {
      const side = Number(bit)
      const next: number | string | undefined = nodes[node]![side]
      if (i === bits.length - 1) nodes[node]![side] = country
      else if (typeof next === 'number') node = next
      else node = nodes[node]![side] = nodes.push([undefined, undefined]) - 1
    }
  }
  const places = new Map<string, number>()
  let data = Buffer.alloc(0)
  for (const [, country] of prefixes) {
    if (places.has(country)) continue
    places.set(country, data.length)
    data = Buffer.concat([data, encode({ country: { iso_code: country } })])
  }
  const tree = Buffer.concat(nodes.flat().map(record => {
    const value = record === undefined ? nodes.length : typeof record === 'number' ? record : nodes.length + 16 + places.get(record)!
    return Buffer.from([value >> 16, value >> 8 & 255, value & 255])
  }))
  const metadata = encode({
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: 1,
    database_type: 'Country',
    description: { en: 'x' },
    ip_version: 6,
    languages: ['en'],
    node_count: nodes.length,
    record_size: 24
  })
  return Buffer.concat([tree, Buffer.alloc(16), data, Buffer.from('abcdef', 'hex'), Buffer.from('MaxMind.com'), metadata])
}

const bitsOf = (bytes: number[]) => bytes.map(byte => byte.toString(2).padStart(8, '0')).join('')
const FILE = database([
  ['0'.repeat(96) + bitsOf([192, 0, 2]), 'CA'], ['0'.repeat(96) + bitsOf([198, 51, 100]), 'XK'], [bitsOf([0x20, 0x01, 0x0d, 0xb8]), 'GB']
])

t.test('an address is in a country, or nobody knows', async t => {
  const countryOf = openCountries(FILE)
  for (const [address, country] of [
    ['192.0.2.7', 'CA'], ['::ffff:192.0.2.7', 'CA'], ['2001:db8::1', 'GB'], ['192.0.3.1', undefined], ['198.51.100.1', undefined], ['unknown', undefined], ['', undefined]
  ] as const) t.equal(countryOf(address), country, address)
  t.throws(() => openCountries(Buffer.from('nothing')))
})

t.test('a report that names no region gets the country of its address, and one that does keeps its own', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'groundswell-mmdb-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const path = join(folder, 'countries.mmdb')
  await writeFile(path, FILE)
  const app = await openTestApp(t, { geoMmdb: path })
  const say = (region: string | undefined, address: string) => app.report({ service: 'imessage', verdict: 'down', ...(region === undefined ? {} : { region }) }, address)
  for (const [region, address] of [[undefined, '192.0.2.7'], ['US-NY', '192.0.2.8'], [undefined, '198.51.100.1'], [undefined, '203.0.113.1']] as const) t.equal((await say(region, address)).status, 201)
  t.strictSame((await app.database.query<{ region: string }>('select region from reports order by region')).map(({ region }) => region), ['CA', 'US-NY', 'ZZ', 'ZZ'])
  await writeFile(path, 'broken')
  await t.rejects(openTestApp(t, { geoMmdb: path }), /GEO_MMDB, .*cannot be read.*Give the path/)
  await t.rejects(openTestApp(t, { geoMmdb: join(folder, 'none') }), /GEO_MMDB/)
})

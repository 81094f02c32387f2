// A day's life with many addresses, then everything that is kept, searched for them.
import { createHash, createHmac } from 'node:crypto'
import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
import { pino } from 'pino'
import t from 'tap'
import { DAY_MS, HOUR_MS } from '../../src/core/time.ts'
import { serializeError } from '../../src/log.ts'
import { openTestApp, type TestApp } from '../app.ts'
import { createDatabase } from '../database.ts'
import { cutOff } from '../http/contract.ts'

const ADDRESSES = ['192.0.2.17', '198.51.100.203', '203.0.113.99', '2001:db8:17:4::abcd', '2001:db8:beef::1', '::ffff:192.0.2.201']
const AGENTS = ['Canary/1.0 (iPhone; U; CPU iPhone OS 6_0_1)', 'Canary/2.0 (Macintosh; Intel Mac OS X 10_8_2)', 'canary-agent-with-ünïcode']
const NONCES = ['canary-nonce-one', 'canary-nonce-two']
const MAILBOX = 'canary@example.org'

/** Every row of every table of ours, as text. */
async function dumpAll (app: TestApp): Promise<string> {
  const tables = await app.asOwner<{ name: string }>(`select c.oid::regclass::text as name from pg_class c
    join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'm') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg_%'`)
  const parts: string[] = []
  for (const { name } of tables) parts.push(name, ...(await app.asOwner<{ row: string }>(`select x::text as row from ${name} x`)).map(({ row }) => row))
  return parts.join('\n')
}

/** Ways in which a text might be kept that leads back to it at once. */
function disguises (text: string): string[] {
  const bytes = Buffer.from(text)
  return [text, bytes.toString('hex'), bytes.toString('base64').replace(/=+$/, ''), encodeURIComponent(text),
    ...['md5', 'sha1', 'sha256', 'sha512'].flatMap(kind => ['hex', 'base64', 'base64url'].map(form => createHash(kind).update(text).digest(form as 'hex').slice(0, 22)))]
}

/** What would show an address: itself, its parts, in any spelling, and its bytes. */
function tracesOf (address: string): string[] {
  const plain = address.replace('::ffff:', '')
  const parts = plain.includes(':') ? [plain, plain.split('::')[0]!] : [plain, plain.split('.').slice(0, 3).join('.')]
  const bytes = plain.includes(':') ? [] : [Buffer.from(plain.split('.').map(Number)).toString('hex')]
  return [...new Set([address, ...parts])].flatMap(disguises).concat(bytes)
}

function found (haystack: string, needles: readonly string[]): string[] {
  const lower = haystack.toLowerCase()
  return needles.filter(needle => needle.length > 5 && lower.includes(needle.toLowerCase()))
}

/** What is hashed: every part behind its length. */
const frame = (parts: string[]) => parts.map(part => `${part.length}:${part}`).join('')

t.test('after a day and its change nothing that is kept or logged leads to anybody', async t => {
  const database = await createDatabase(t)
  let log = ''
  const logger = pino({ level: 'trace', serializers: { err: serializeError } }, new Writable({ write (line, _encoding, done) { log += String(line); done() } }))
  const app = await openTestApp(t, { now: new Date('2012-11-18T22:00:00Z'), database, logger })
  const moderator = { authorization: `Bearer ${await app.token(['admin'])}` }
  const send = (i: number, body: object) => app.report(
    { service: 'imessage', verdict: 'down', reporter: NONCES[i % NONCES.length], ...body }, ADDRESSES[i % ADDRESSES.length], { 'user-agent': AGENTS[i % AGENTS.length]! })

  for (let hour = 0; hour < 5; hour++) {
    for (let i = 0; i < 24; i++) {
      await send(i, { service: ['imessage', 'facetime', 'github'][i % 3], verdict: i % 5 === 0 ? 'working' : 'down', comment: `From ${ADDRESSES[i % ADDRESSES.length]}, write to ${MAILBOX} (${hour}-${i})` })
    }
    await send(hour, { service: 'nope' })
    await send(hour, { verdict: 7, comment: ADDRESSES[0] })
    const headers = { 'x-forwarded-for': ADDRESSES[hour]!, 'user-agent': AGENTS[hour % AGENTS.length]! }
    for (const url of ['/v1/services', `/v1/outages?since=${AGENTS[0]}`, `/nowhere/${ADDRESSES[1]}`, '/v1/admin/reports', '/metrics']) await app.ask(url, { headers })
    await app.ask('/v1/admin/reports', { headers: { ...headers, ...moderator } })
    await app.ask('/v1/reports/batch', { method: 'POST', headers: { ...headers, ...moderator }, payload: [{ service: 'imessage', verdict: 'down', reporter: NONCES[0] }] })
    await app.passMinute()
    app.now = new Date(app.now.getTime() + HOUR_MS)
  }
  // What Node refuses by itself, and errors behind a database that is gone.
  await app.http.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.http.server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1')
  socket.resume().end(`GET /x HTTP/9.9\r\nUser-Agent: ${AGENTS[0]}\r\nX-Forwarded-For: ${ADDRESSES[0]}\r\n\r\n`)
  await once(socket, 'close')
  const gone = cutOff(database)
  await gone.begin()
  for (let i = 0; i < 6; i++) await send(i, {})
  await gone.end()
  t.equal((await app.ask('/readyz')).status, 200)

  const today = await dumpAll(app)
  t.ok(today.includes('[removed]') && today.length > 10_000)
  t.ok(log.length > 1_000 && /"status":404/.test(log) && /database does not answer|terminat/.test(log), 'there is a log to search')
  const reports = await app.database.query<{ id: string, network: string }>("select id, encode(network, 'hex') as network from reports where network is not null")
  t.ok(reports.length > 50)
  for (const [what, kept] of [['the tables', today], ['the log', log]] as const) {
    for (const address of ADDRESSES) t.strictSame(found(kept, tracesOf(address)), [], `${what}: ${address}`)
    for (const told of [...AGENTS, ...NONCES, MAILBOX]) t.strictSame(found(kept, disguises(told)), [], `${what}: ${told}`)
  }
  t.strictSame(found(log, reports.flatMap(({ id, network }) => [id, network])), [], 'no report is named in the log')

  // One person's reports on two services share nothing.
  const shared = await app.database.query('select network from reports where network is not null group by network having count(distinct service_id) > 1')
  t.strictSame(shared, [])

  // Three days later the salts are gone: whatever key is in the tables, no id and no network can be made again.
  app.now = new Date(app.now.getTime() + 3 * DAY_MS)
  await app.jobs.tick()
  await app.jobs.tick()
  const later = await dumpAll(app)
  const keys = [...later.matchAll(/\\x([0-9a-f]{32,})/g)].map(([, hex]) => Buffer.from(hex!, 'hex'))
  t.ok(keys.length > 0)
  const known = new Set(reports.flatMap(({ id, network }) => [id, network]))
  const services = (await app.database.query<{ id: number }>('select id from services')).map(({ id }) => String(id))
  const remade: string[] = []
  for (const key of new Set(keys.map(key => key.toString('hex')))) {
    for (const service of services) {
      for (const network of ['ipv4 192.0.2', 'ipv4 198.51.100', 'ipv4 203.0.113']) {
        const made = createHmac('sha256', Buffer.from(key, 'hex')).update(frame(['network', service, network])).digest('hex').slice(0, 32)
        if (known.has(made)) remade.push(made)
      }
    }
  }
  t.strictSame(remade, [])
  t.strictSame(await app.database.query('select 1 from salts where day < $1', [app.now.toISOString().slice(0, 10)]), [])
  t.match(await app.database.query('select count(*) filter (where report_id is not null)::integer as tied from comments'), [{ tied: 0 }])
})

t.test('while the salt is kept the same search does find a network: it is not blind', async t => {
  const app = await openTestApp(t, { now: new Date('2012-11-18T22:00:00Z') })
  await app.report({ service: 'imessage', verdict: 'down' }, '192.0.2.17')
  const [{ salt }] = await app.database.query<{ salt: Buffer }>('select salt from salts') as [{ salt: Buffer }]
  const [{ service_id: service, network }] = await app.database.query<{ service_id: number, network: string }>("select service_id, encode(network, 'hex') as network from reports") as [{ service_id: number, network: string }]
  t.equal(createHmac('sha256', salt).update(frame(['network', String(service), 'ipv4 192.0.2'])).digest('hex').slice(0, 32), network)
})

// Several instances on one PostgreSQL and one Redis, as processes that come and go. How the counters are shared, call by call,
// stands in test/http/counters.test.ts; processes on one port in workers.test.ts.
import t from 'tap'
import { openDatabase } from '../../src/db/client.ts'
import { createToken } from '../../src/http/tokens.ts'
import { createDatabase, type TestDatabase } from '../database.ts'
import { listen } from '../http/events.ts'
import { NO_REDIS, startRedis } from '../redis.ts'
import { ask, audit, eventually, findLeader, startLoad, startService, type ServiceProcess } from './processes.ts'

const PEOPLE = 24
const UNHARMED = { missing: [], double: [], uneven: [], untrue: [] }
/** Within this the jobs must have moved, ms. */
const MOVED_WITHIN_MS = 10_000

async function createModerator ({ connection }: TestDatabase): Promise<Record<string, string>> {
  const database = openDatabase(connection, { onError: () => {}, max: 1 })
  const { token } = await createToken(database, { name: 'moderator', scopes: ['moderate'], expiresAt: null }, 'test', new Date()).finally(() => database.close())
  return { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
}

async function post (address: string, headers: Record<string, string>, path: string, body: object): Promise<any> {
  const response = await fetch(`${address}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
  const text = await response.text()
  if (response.status >= 300) throw new Error(`${path}: ${response.status} ${text}`)
  return JSON.parse(text)
}

t.test('instances come and go under load: the jobs move in time, all tell the same news, nothing is lost or doubled', { timeout: 180_000 }, async t => {
  const database = await createDatabase(t, { migrated: false })
  const { connection, url } = database
  if (NO_REDIS !== false) t.comment(`without Redis: ${NO_REDIS}`)
  const environment = { DATABASE_URL: url, ...(NO_REDIS === false ? { REDIS_URL: (await startRedis(t)).url } : {}) }
  const start = () => startService(t, environment)
  // The one that began first leads; the load is spread over all.
  const instances: ServiceProcess[] = [await start()]
  await eventually(() => findLeader(connection), 'the first leads')
  let turn = 0
  const load = startLoad(PEOPLE, () => instances[turn++ % instances.length]!.address)
  const moderator = await createModerator(database)
  const say = (place: number, id: string, reason: string) => post(instances[place]!.address, moderator, `/v1/admin/outages/${id}/annotate`, { reason })
  let outageId: string | undefined

  for (let round = 0; round < 3; round++) {
    instances.push(await start())
    const clients = await Promise.all(instances.map(({ address }) => listen(`${address}/v1/events`)))
    await Promise.all(clients.map(client => client.until(({ retryMs }) => retryMs !== undefined)))
    outageId ??= (await post(instances[0]!.address, moderator, '/v1/admin/outages', {
      service: 'facetime', onset_at: new Date(Date.now() - 60_000).toISOString(), reason: 'They rang'
    })).id as string
    await say(1, outageId, `round ${round}, by the second`)
    await say(0, outageId, `round ${round}, by the first`)
    const newest = Number((await ask<{ number: string }>(connection, 'select number from outbox_head'))[0]!.number)
    await Promise.all(clients.map(client => client.until(({ lastId }) => Number(lastId()) >= newest)))
    const [one, two] = clients.map(({ events }) => events.filter(({ event }) => event.startsWith('outage.')))
    t.ok(one!.length >= 2)
    t.strictSame(two, one, 'both tell the same, under the same numbers')

    const before = await findLeader(connection)
    const leader = instances.shift()!
    await load.spoken()
    const killedAt = performance.now()
    leader.kill('SIGKILL')
    await leader.exited
    await eventually(async () => {
      const now = await findLeader(connection)
      return now !== undefined && now !== before ? now : undefined
    }, 'another leads', MOVED_WITHIN_MS)
    const moved = load.acknowledged.size
    await eventually(async () => {
      const [row] = await ask<{ counted: number }>(connection, 'select coalesce(sum(working + degraded + down), 0)::integer as counted from windows')
      return row!.counted > moved ? true : undefined
    }, 'what is reported now is in the curve', MOVED_WITHIN_MS)
    t.comment(`round ${round}: ${Math.round(performance.now() - killedAt)} ms after the kill the other one counts`)

    // Whoever listened to the dead one goes on at the other where it left off.
    await say(0, outageId, `round ${round}, after the kill`)
    const resumed = await listen(`${instances[0]!.address}/v1/events`, { 'last-event-id': clients[0]!.lastId() })
    await resumed.until(({ events }) => events.some(({ event }) => event === 'outage.updated'))
    await clients[1]!.until(({ events }) => events.length > two!.length)
    const missed = ({ events }: typeof resumed) => events.filter(({ event, id }) => event.startsWith('outage.') && Number(id) > newest)
    t.ok(missed(resumed).length >= 1)
    t.strictSame(missed(resumed)[0], missed(clients[1]!)[0])
    for (const client of [...clients, resumed]) client.cut()
  }
  // One that is told to end hands over as well.
  instances.push(await start())
  const before = await findLeader(connection)
  const first = instances.shift()!
  await load.spoken()
  first.kill('SIGTERM')
  t.strictSame(await first.exited, { code: 0, signal: null })
  await eventually(async () => {
    const now = await findLeader(connection)
    return now !== undefined && now !== before ? now : undefined
  }, 'the last one leads', MOVED_WITHIN_MS)
  await load.finish()
  const { acknowledged, stored, ...harm } = await audit(connection, instances[0]!.address, load)
  t.strictSame(harm, UNHARMED)
  t.equal(stored, acknowledged)
  t.comment(`${acknowledged} acknowledged, ${load.duplicates()} of them found by a retry`)
})

t.test('limits and voices outlive the instance that counted them', { skip: NO_REDIS }, async t => {
  const redis = await startRedis(t)
  const { url } = await createDatabase(t, { migrated: false })
  const environment = { DATABASE_URL: url, REDIS_URL: redis.url, LIMIT_REPORTS: '6/600' }
  const instances = [await startService(t, environment), await startService(t, environment)]
  const speak = async (place: number, nonce: number) => {
    const { status, body } = await fetch(`${instances[place]!.address}/v1/reports`, {
      method: 'POST',
      body: JSON.stringify({ service: 'imessage', verdict: 'down', reporter: `nonce ${nonce}`, observed_at: seenAt }),
      headers: { 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.77' }
    }).then(async response => ({ status: response.status, body: await response.json() as { disposition: string } }))
    return status === 429 ? 'limited' : body.disposition
  }
  // The same quarter of an hour, however long this takes.
  const seenAt = new Date().toISOString()
  t.strictSame([await speak(0, 1), await speak(1, 2)], ['counted', 'counted'])
  instances[0]!.kill('SIGKILL')
  await instances[0]!.exited
  t.strictSame([await speak(1, 3), await speak(1, 4)], ['counted', 'quarantined'])
  instances[0] = await startService(t, environment)
  t.strictSame([await speak(0, 5), await speak(0, 1), await speak(0, 6), await speak(1, 7)], ['quarantined', 'duplicate', 'limited', 'limited'])
})

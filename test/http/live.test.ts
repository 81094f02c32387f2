// GET /v1/events over real sockets. What bounds the streams stands in streams.test.ts.
import t from 'tap'
import { HOUR_MS, MINUTE_MS } from '../../src/core/time.ts'
import { transact } from '../../src/db/client.ts'
import { announce } from '../../src/db/outbox.ts'
import { OutageItem } from '../../src/http/outages.ts'

import { exactly, problem } from './contract.ts'
import { listen, type EventClient } from './events.ts'
import { openFailing } from './failing.ts'

// Nothing but a notification makes it read; and nothing but reports makes ticks.
const { app, address, openBeside, say } = await openFailing(t, { pollMs: HOUR_MS, tickMs: HOUR_MS, heartbeatMs: HOUR_MS, streamsPerAddressMax: 100 })
const events = `${address}/v1/events`
const ids = (client: EventClient) => client.events.filter(({ event }) => event !== 'curve').map(({ id }) => Number(id))

t.test('a new listener hears every change as it is made, in order, as the outage stood then, and nothing of before', async t => {
  const client = await listen(events)
  t.equal(client.status, 200)
  t.match(client.headers, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
    'access-control-allow-origin': '*',
    'x-content-type-options': 'nosniff',
    ratelimit: /^"reads"/
  })
  await client.until(({ retryMs }) => retryMs !== undefined)
  t.ok(client.retryMs! >= 2_400 && client.retryMs! <= 3_600, 'comes back after about three seconds')
  const before = Number(client.lastId())
  t.ok(before >= 4, 'there were news before')
  await say('imessage', 'outage.updated')
  await say('github', 'outage.disputed', 'outage.updated')
  await client.until(({ events }) => events.length >= 3)
  t.match(client.events, [{ event: 'outage.updated' }, { event: 'outage.disputed' }, { event: 'outage.updated' }])
  t.strictSame(ids(client), [before + 1, before + 2, before + 3])
  for (const { data } of client.events) exactly(t, OutageItem, data)
  t.strictSame(client.events.map(({ data }) => data.service), ['imessage', 'github', 'github'])
  client.cut()
})

t.test('a moderator\'s word reaches listeners through the outbox', async t => {
  const client = await listen(events)
  const headers = { authorization: `Bearer ${await app.token(['moderate'])}` }
  const { items: [{ id }] } = (await app.ask('/v1/outages?service=github')).body
  t.equal((await app.ask(`/v1/admin/outages/${id}/annotate`, { method: 'POST', headers, payload: { reason: 'They rang' } })).status, 200)
  await client.until(({ events }) => events.length >= 1)
  t.match(client.events, [{ event: 'outage.updated', data: { id, service: 'github' } }])
  client.cut()
})

/** A number in [0, 1) that follows from the ones before (mulberry32). */
function seed (state: number): () => number {
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

t.test('over cuts at any moment no event is lost and none comes twice, of all services and of one', async t => {
  const ROUNDS = 30
  const chance = seed(20121118)
  const start = await listen(events)
  await start.until(({ retryMs }) => retryMs !== undefined)
  const begin = start.lastId()
  start.cut()
  const write = async () => {
    for (let i = 0; i < 4; i++) await say(chance() < 0.3 ? 'github' : 'imessage', ...Array.from({ length: 1 + Math.floor(chance() * 3) }, () => 'outage.updated' as const))
  }
  const numbers = async (where: string) => (await app.asOwner<{ number: string }>(
    `select number from outbox join services s on s.id = service_id where number > ${begin} and ${where} order by number`)).map(({ number }) => Number(number))
  const hearers = ['true', "slug = 'github'"].map(where => ({ where, heard: [] as number[], lastId: begin }))
  const hear = async (hearer: typeof hearers[0], until: (client: EventClient) => Promise<unknown>) => {
    const query = new URLSearchParams(hearer.where === 'true' ? {} : { service: 'github' })
    const inQuery = chance() < 0.5
    if (inQuery) query.set('last_event_id', hearer.lastId)
    const client = await listen(`${events}?${query}`, inQuery ? {} : { 'last-event-id': hearer.lastId })
    await until(client)
    client.cut()
    await client.ended
    hearer.heard.push(...ids(client))
    if (client.lastId() !== '') hearer.lastId = client.lastId()
  }
  for (let round = 0; round < ROUNDS; round++) {
    const writing = write()
    await Promise.all(hearers.map(hearer => {
      const few = Math.floor(chance() * 10)
      return hear(hearer, client => Promise.race([client.until(client => ids(client).length >= few), writing]))
    }))
    // Every now and then there is much to catch up with.
    if (chance() < 0.7) await writing
  }
  await say('github', 'outage.resolved')
  for (const hearer of hearers) {
    const expected = await numbers(hearer.where)
    await hear(hearer, client => client.until(client => Number(client.lastId()) >= expected.at(-1)!))
    t.strictSame(hearer.heard, expected)
    t.ok(expected.length > ROUNDS)
  }
  t.equal(hearers[0]!.heard.at(-1)! - Number(begin), hearers[0]!.heard.length, 'the numbers have no hole')
})

t.test('with a service only its own events come', async t => {
  const client = await listen(`${events}?service=github`)
  await say('imessage', 'outage.updated')
  await say('github', 'outage.updated')
  await client.until(client => ids(client).length >= 1)
  t.strictSame(client.events.filter(({ event }) => event !== 'curve').map(({ data }) => data.service), ['github'])
  client.cut()
})

t.test('whoever cannot go on where it left off is told so, and hears what is new', async t => {
  const { newest } = (await app.asOwner<{ newest: string }>('select number as newest from outbox_head'))[0]!
  await app.asOwner('delete from outbox where number <= 3')
  const cases: [string, object, boolean, RegExp?][] = [
    ['2', {}, true, /no longer kept/], ['3', {}, false], [String(Number(newest)), {}, false], [String(Number(newest) + 1), {}, true, /not known/],
    ['abc', {}, true, /not known/], ['-1', {}, true], ['1e3', {}, true], ['9'.repeat(30), {}, true]
  ]
  for (const [seen, , isReset, reason] of cases) {
    const client = await listen(events, { 'last-event-id': seen })
    await client.until(({ retryMs }) => retryMs !== undefined)
    if (!isReset) {
      if (seen === '3') await client.until(({ events }) => events.length > 0)
      t.equal(client.events[0]?.id, seen === '3' ? '4' : undefined, `goes on after ${seen}`)
    } else {
      await client.until(({ events }) => events.length >= 1)
      t.match(client.events, [{ event: 'reset', id: newest, data: { reason: reason ?? String, oldest: 4 } }], seen)
      t.equal(client.events.length, 1)
      t.equal(client.lastId(), newest, 'the next time it goes on from here')
    }
    client.cut()
  }
  const client = await listen(events, { 'last-event-id': '1' })
  await say('imessage', 'outage.updated')
  await client.until(({ events }) => events.length >= 2)
  t.match(client.events, [{ event: 'reset' }, { event: 'outage.updated', id: String(Number(newest) + 1) }])
  t.equal(client.events.length, 2)
  client.cut()
})

t.test('the points of a service come at once and whenever they change, as the curve tells them, without an id', async t => {
  const beside = await openBeside({ tickMs: 10 })
  // The jobs run on the first instance alone.
  const passTo = async (ms: number) => {
    app.now = beside.app.now = new Date(ms)
    await app.jobs.tick()
  }
  await passTo(app.now.getTime() + 30_000)
  const curve = async () => (await beside.app.ask('/v1/services/imessage/curve?window=1m')).body.points.slice(-2)
  const client = await listen(`${beside.address}/v1/events?service=imessage`)
  const told = () => client.events.map(({ data }) => data.point)
  const isTold = (points: object[]) => points.every(point => told().some(each => JSON.stringify(each) === JSON.stringify(point)))
  await client.until(({ events }) => events.length >= 2)
  t.strictSame(told(), await curve(), 'the minute before and this one')
  for (const { event, data } of client.events) t.match({ event, data }, { event: 'curve', data: { service: 'imessage' } })
  const lastId = client.lastId()
  await beside.app.report({ service: 'github', verdict: 'down' }, '198.51.100.1')
  await beside.app.report({ service: 'imessage', verdict: 'down' }, '198.51.100.2')
  await passTo(app.now.getTime())
  await client.until(({ events }) => events.length >= 3)
  t.match(told()[2], { down: told()[1].down + 1, start: told()[1].start })
  t.strictSame(told()[2], (await curve())[1])
  await passTo(app.now.getTime() + MINUTE_MS)
  const then = await curve()
  t.ok(then[1].start > told()[2].start)
  t.ok(await client.until(() => isTold(then)), 'the minute that has begun, and the one that is complete')
  t.strictSame(client.events.filter(({ data }, i) => told().findIndex(point => JSON.stringify(point) === JSON.stringify(data.point)) !== i), [], 'nothing is said twice')
  t.equal(client.lastId(), lastId)
  t.ok(client.events.every(({ event, data }) => event === 'curve' && data.service === 'imessage'))
  const second = await listen(`${beside.address}/v1/events?service=imessage`)
  await second.until(({ events }) => events.length >= 2)
  t.strictSame(second.events.map(({ data }) => data.point), then, 'whoever comes later has them at once')
  client.cut()
  second.cut()
})

t.test('without a service there are no ticks', async t => {
  const { address } = await openBeside({ tickMs: 5 })
  const [all, one] = [await listen(`${address}/v1/events`), await listen(`${address}/v1/events?service=imessage`)]
  await one.until(({ events }) => events.length >= 2)
  await say('imessage', 'outage.updated')
  await all.until(({ events }) => events.length >= 1)
  t.strictSame(all.events.map(({ event }) => event), ['outage.updated'])
  all.cut()
  one.cut()
})

t.test('no event is lost when the connection that listens is', async t => {
  const client = await listen(events)
  await client.until(({ retryMs }) => retryMs !== undefined)
  const before = Number(client.lastId())
  for (let round = 0; round < 3; round++) {
    const killed = await app.asOwner("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like 'listen%'")
    t.ok(killed.length > 0)
    await say('imessage', 'outage.updated')
    await client.until(({ events }) => events.length >= round + 1)
  }
  t.strictSame(ids(client), [before + 1, before + 2, before + 3])
  client.cut()
})

/** Writes one of the news again, and notifies nobody. */
const sayQuietly = () => app.asOwner(`with head as (update outbox_head set number = number + 1 returning number)
  insert into outbox select head.number, gen_random_uuid(), at, now(), type, service_id, outage_id, data from outbox, head where outbox.number = 4`)

t.test('whoever comes while others have not been told what is new hears it once, or not at all if it came after', async t => {
  const first = await listen(events)
  await first.until(({ retryMs }) => retryMs !== undefined)
  const start = Number(first.lastId())
  await sayQuietly()
  await sayQuietly()
  const resumed = await listen(events, { 'last-event-id': String(start) })
  const fresh = await listen(events)
  await fresh.until(({ retryMs }) => retryMs !== undefined)
  await say('imessage', 'outage.updated')
  for (const client of [first, resumed, fresh]) await client.until(client => ids(client).includes(start + 3))
  t.strictSame([first, resumed, fresh].map(ids), [[start + 1, start + 2, start + 3], [start + 1, start + 2, start + 3], [start + 3]])
  for (const client of [first, resumed, fresh]) client.cut()
})

t.test('no event is lost when no notification comes', async t => {
  const { address } = await openBeside({ pollMs: 10 })
  const client = await listen(`${address}/v1/events`)
  await client.until(({ retryMs }) => retryMs !== undefined)
  await sayQuietly()
  t.ok(await client.until(({ events }) => events.length >= 1))
  client.cut()
})

t.test('what cannot be asked is refused as a problem', async t => {
  const refused = async (query: string, headers: Record<string, string> = {}) => {
    const { status, headers: answered, body } = await listen(`${events}${query}`, headers)
    return { status, headers: answered, body: body() }
  }
  problem(t, await refused('', { accept: 'application/json' }), 'not-acceptable')
  problem(t, await refused('', { accept: 'text/event-stream;q=0, */*' }), 'not-acceptable')
  problem(t, await refused('?foo=1'), 'malformed', ['/foo'])
  problem(t, await refused('?service=imessage&service=github'), 'malformed', ['/service'])
  problem(t, await refused('?service=nope'), 'invalid', ['/service'])
  for (const id of ['', 'abc', '-1', '1.5', '9'.repeat(16)]) problem(t, await refused(`?last_event_id=${id}`), 'invalid', ['/last_event_id'])
  problem(t, await refused('?service=nope&last_event_id=x'), 'invalid', ['/service', '/last_event_id'])
  for (const accept of ['text/event-stream', '*/*', 'text/*', 'application/json, text/event-stream;q=0.1']) {
    const client = await listen(events, { accept })
    t.equal(client.status, 200, accept)
    client.cut()
  }
})

t.test('the head can be asked for, and has no end to wait for', async t => {
  const response = await fetch(events, { method: 'HEAD' })
  t.equal(response.status, 200)
  t.equal(response.headers.get('content-type'), 'text/event-stream')
  t.equal(response.headers.get('content-length'), null)
  t.equal(await response.text(), '')
})

t.test('what is rolled back is told to nobody', async t => {
  const client = await listen(events)
  const [row] = await app.asOwner<{ id: string, service_id: number }>('select id, service_id from outages limit 1')
  await transact(app.database, async tx => {
    await announce(tx, [{ type: 'outage.disputed', serviceId: row!.service_id, outageId: row!.id, at: app.now }])
    throw new Error('rolled back')
  }).catch(() => {})
  await say('imessage', 'outage.updated')
  await client.until(({ events }) => events.length >= 1)
  t.strictSame(client.events.map(({ event }) => event), ['outage.updated'])
  client.cut()
})

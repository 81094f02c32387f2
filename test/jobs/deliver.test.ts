// Webhooks to receivers that fail, stall and lie, by one instance and by two. What each answer means stands in
// test/core/webhooks.test.ts; what an outage tells, in test/db/outbox.test.ts.
import { setImmediate as turn } from 'node:timers/promises'
import { Webhook } from 'standardwebhooks'
import t, { type Test } from 'tap'
import { v7 as uuid7 } from 'uuid'
import { NEWS_TYPES, VERSION, type NewsType } from '../../src/core/vocabulary.ts'
import { RETRY_LADDER_S } from '../../src/core/webhooks.ts'
import { openDatabase, transact, type Database } from '../../src/db/client.ts'
import { pruneDeliveries, readAttempts, readDeliveries } from '../../src/db/deliveries.ts'
import { seedCatalog } from '../../src/db/services.ts'
import { disableWebhook, enableWebhook, findWebhook, insertWebhook, rotateSecret, updateWebhook } from '../../src/db/webhooks.ts'
import { DELIVERY_LIMITS, LANES_PER_WEBHOOK, LEASE_MS, openDeliverer, type Deliverer } from '../../src/jobs/deliver.ts'
import { openOutgoing, OutgoingError, type Call } from '../../src/jobs/outgoing.ts'
import { createDatabase } from '../database.ts'
import { openReceiver, type Receiver } from '../receiver.ts'

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const A = '00000000-0000-7000-8000-00000000000a'
const B = '00000000-0000-7000-8000-00000000000b'
const reach = openOutgoing({ allowPrivate: true })

interface Post {
  database: Database
  /** Real time, which the test moves. */
  now: Date
  errors: unknown[]
  /** Another instance on the same database. */
  open: (call?: Call) => Deliverer
  /** Writes news into the outbox, as those who change outages do. */
  tell: (...news: { outage: string, type?: NewsType, serviceId?: number }[]) => Promise<void>
  /** Ticks until nothing is left to do at this moment. */
  pass: (deliverer: Deliverer) => Promise<void>
  add: (url: string, more?: { events?: NewsType[], services?: string[] }) => Promise<string>
  /** How all deliveries to a webhook stand, oldest first. */
  stand: (webhookId: string) => Promise<{ number: number, outageId: string, state: string, attempts: number, nextAt: Date | null, log: (number | string | null)[] }[]>
}

async function openPost (t: Test): Promise<Post> {
  const { service: connection } = await createDatabase(t)
  const database = openDatabase(connection, { onError: () => {} })
  t.teardown(() => database.close())
  await seedCatalog(database)
  const errors: unknown[] = []
  const post: Post = {
    database,
    now: new Date(),
    errors,
    open (call = reach) {
      const deliverer = openDeliverer({ database, call, now: () => post.now, chance: () => 0, onError: error => errors.push(error) })
      t.teardown(() => deliverer.stop())
      return deliverer
    },
    tell: (...news) => transact(database, async tx => {
      for (const { outage, type = 'outage.updated', serviceId = 1 } of news) {
        const [head] = await tx.query<{ number: string }>('update outbox_head set number = number + 1 returning number')
        await tx.query('insert into outbox (number, id, at, type, service_id, outage_id, data) values ($1, $2, $3, $4, $5, $6, $7)',
          [head!.number, uuid7(), '2012-11-18T12:00:00Z', type, serviceId, outage, `{"id":"${outage}",  "number":${head!.number}}`])
      }
    }),
    async pass (deliverer) {
      while (await deliverer.tick());
      await deliverer.settle()
    },
    async add (url, { events = [...NEWS_TYPES], services } = {}) {
      const { id } = await insertWebhook(database, { id: uuid7(), url, events, services: services ?? null, secret: SECRET, createdAt: post.now })
      return id
    },
    async stand (webhookId) {
      const rows = (await readDeliveries(database, webhookId, undefined, 200)).reverse()
      const attempts = await readAttempts(database, webhookId, rows.map(({ number }) => number))
      return rows.map(({ number, outageId, state, attempts: count, nextAt }) => ({
        number, outageId, state, attempts: count, nextAt, log: attempts.filter(attempt => attempt.number === number).map(({ status, error }) => status ?? error)
      }))
    }
  }
  return post
}

const later = (post: Post, ms: number) => { post.now = new Date(post.now.getTime() + ms) }
const numbersOf = ({ calls }: Receiver, outage?: string) =>
  calls.filter(({ news }) => outage === undefined || news.data.id === outage).map(({ news }) => news.data.number as number)

t.test('a news arrives with a signature that the standard\'s own library takes, and as it was written', async t => {
  const post = await openPost(t)
  const receiver = await openReceiver(t)
  await post.add(receiver.url)
  await post.tell({ outage: A, type: 'outage.confirmed' })
  await post.pass(post.open())
  const [{ headers, body, id }] = receiver.calls as [Receiver['calls'][0]]
  t.match(headers, { 'content-type': 'application/json', 'user-agent': `Groundswell/${VERSION}`, 'webhook-signature': /^v1,\S+$/ })
  t.match(new Webhook(SECRET).verify(body, headers as Record<string, string>), { type: 'outage.confirmed', timestamp: '2012-11-18T12:00:00Z', data: { id: A } })
  t.equal(body, `{"type":"outage.confirmed","timestamp":"2012-11-18T12:00:00Z","data":{"id":"${A}",  "number":1}}`)
  t.equal(id, `msg_${(await post.database.query('select id from outbox'))[0]!['id']}`)
  t.throws(() => new Webhook(SECRET).verify(`${body} `, headers as Record<string, string>))
})

t.test('after a rotation both secrets sign for a day, then the new one alone', async t => {
  const post = await openPost(t)
  const receiver = await openReceiver(t)
  const deliverer = post.open()
  const webhook = await post.add(receiver.url)
  const fresh = `whsec_${Buffer.alloc(24, 9).toString('base64')}`
  await rotateSecret(post.database, webhook, fresh, new Date(post.now.getTime() + 60_000))
  const takes = (secret: string, call: number) => {
    try {
      new Webhook(secret).verify(receiver.calls[call]!.body, receiver.calls[call]!.headers as Record<string, string>)
      return true
    } catch {
      return false
    }
  }
  for (const waitMs of [0, 60_000]) {
    later(post, waitMs)
    await post.tell({ outage: A })
    await post.pass(deliverer)
  }
  t.strictSame([takes(fresh, 0), takes(SECRET, 0), takes(fresh, 1), takes(SECRET, 1)], [true, true, true, false])
  t.strictSame(receiver.calls.map(({ headers }) => String(headers['webhook-signature']).split(' ').length), [2, 1])
})

t.test('a webhook gets what it asked for, from its beginning on, however much it is', async t => {
  const post = await openPost(t)
  const receiver = await openReceiver(t)
  const deliverer = post.open()
  await post.tell({ outage: A })
  const some = await post.add(receiver.url, { events: ['outage.confirmed'], services: ['imessage'] })
  const all = await post.add(receiver.url)
  const [{ id: serviceId } = { id: 0 }] = await post.database.query<{ id: number }>("select id from services where slug = 'imessage'")
  const news = Array.from({ length: 230 }, (_, i) => ({ outage: i % 2 === 0 ? A : B, type: i % 3 === 0 ? 'outage.confirmed' as const : 'outage.updated' as const, serviceId: i % 5 === 0 ? serviceId : serviceId + 1 }))
  await post.tell(...news)
  await post.pass(deliverer)
  const wanted = news.flatMap(({ type, serviceId: of }, i) => type === 'outage.confirmed' && of === serviceId ? [i + 2] : [])
  t.strictSame((await post.stand(some)).map(({ number }) => number), wanted)
  t.equal((await post.database.query('select from deliveries where webhook_id = $1 and state = \'delivered\'', [all])).length, 230)
  t.equal(receiver.calls.length, 230 + wanted.length)
})

t.test('who fails is tried again up the ladder, with the same id and bytes, until it is switched off after three days', async t => {
  const post = await openPost(t)
  const receiver = await openReceiver(t, response => response.writeHead(500).end('<html>an error page'))
  const deliverer = post.open()
  const webhook = await post.add(receiver.url)
  await post.tell({ outage: A }, { outage: A })
  await post.pass(deliverer)
  for (const [index, waitS] of RETRY_LADDER_S.slice(1).entries()) {
    later(post, waitS * 1_000 - 1)
    await post.pass(deliverer)
    t.equal(receiver.calls.length, index + 1, 'not a moment early')
    later(post, 1)
    await post.pass(deliverer)
    t.equal(receiver.calls.length, index + 2)
  }
  t.equal(new Set(receiver.calls.map(({ id, body }) => `${id} ${body}`)).size, 1)
  t.equal(new Set(receiver.calls.map(({ headers }) => `${headers['webhook-timestamp']} ${headers['webhook-signature']}`)).size, 10, 'each attempt is dated and signed anew')
  t.match(await findWebhook(post.database, webhook), { enabled: false, disabledReason: /three days/ })
  t.match(await post.stand(webhook), [{ state: 'failed', attempts: 10, nextAt: null, log: Array(10).fill(500) }, { state: 'failed', attempts: 0, log: [] }])
  await post.tell({ outage: B })
  await post.pass(deliverer)
  t.equal(receiver.calls.length, 10, 'it is called no more')
  t.notMatch(JSON.stringify(await post.database.query('select * from delivery_attempts')), /html/, 'what it answered is not kept')

  await transact(post.database, tx => enableWebhook(tx, webhook))
  await post.tell({ outage: A })
  await post.pass(deliverer)
  t.strictSame(numbersOf(receiver).slice(10), [4], 'switched on again it is told what comes from then on')
})

t.test('a webhook that takes something meanwhile stays on, and loses only what it never took', async t => {
  const post = await openPost(t)
  const receiver = await openReceiver(t, (response, { news }) => response.writeHead(news.data.number === 1 ? 500 : 200).end())
  const deliverer = post.open()
  const webhook = await post.add(receiver.url)
  await post.tell({ outage: A }, { outage: A })
  for (const waitS of RETRY_LADDER_S) {
    later(post, waitS * 1_000)
    await post.tell({ outage: B })
    await post.pass(deliverer)
  }
  t.match(await findWebhook(post.database, webhook), { enabled: true, disabledReason: null })
  const [first, ...rest] = await post.stand(webhook)
  t.equal(first!.state, 'failed')
  t.ok(rest.every(({ state }) => state === 'delivered'))
})

t.test('410 switches the webhook off at once, and ends what was on its way', async t => {
  const post = await openPost(t)
  const receiver = await openReceiver(t, response => response.writeHead(410).end())
  const webhook = await post.add(receiver.url)
  await post.tell({ outage: A }, { outage: A })
  const deliverer = post.open()
  await post.pass(deliverer)
  await post.pass(deliverer)
  t.equal(receiver.calls.length, 1)
  t.match(await findWebhook(post.database, webhook), { enabled: false, disabledReason: /410/ })
  t.match(await post.stand(webhook), [{ state: 'failed', log: [410] }, { state: 'failed', log: [] }])
})

t.test('who is busy is left alone for as long as it asks', async t => {
  const post = await openPost(t)
  const receiver = await openReceiver(t, (response, _received, times) => times === 1 ? response.writeHead(429, { 'retry-after': '60' }).end() : response.writeHead(200).end('ok'))
  const webhook = await post.add(receiver.url)
  const deliverer = post.open()
  await post.tell({ outage: A })
  await post.pass(deliverer)
  t.strictSame((await post.stand(webhook))[0]!.nextAt, new Date(post.now.getTime() + 60_000))
  later(post, 60_000)
  await post.pass(deliverer)
  t.match(await post.stand(webhook), [{ state: 'delivered', attempts: 2, log: [429, 200] }])
})

t.test('news of one outage arrive in order through all failures, and another outage does not wait for them', async t => {
  const post = await openPost(t)
  let failing = 3
  const receiver = await openReceiver(t, (response, { news }) => response.writeHead(news.data.id === A && failing-- > 0 ? 503 : 200).end())
  const webhook = await post.add(receiver.url)
  const deliverer = post.open()
  await post.tell({ outage: A }, { outage: B }, { outage: A }, { outage: B }, { outage: A })
  await post.pass(deliverer)
  t.strictSame(numbersOf(receiver, A), [1])
  t.strictSame(numbersOf(receiver, B), [2, 4])
  for (const waitS of [300, 1_800, 7_200]) {
    later(post, waitS * 1_000)
    await post.tell({ outage: A })
    await post.pass(deliverer)
  }
  t.strictSame(numbersOf(receiver, A), [1, 1, 1, 1, 3, 5, 6, 7, 8])
  t.ok((await post.stand(webhook)).every(({ state }) => state === 'delivered'))
})

t.test('redirects are not followed, and answers that lie are failures told in a few words', async t => {
  const post = await openPost(t)
  const other = await openReceiver(t)
  const answers: Record<string, (response: Parameters<NonNullable<Parameters<typeof openReceiver>[1]>>[0]) => void> = {
    '/redirect': response => response.writeHead(307, { location: other.url }).end(),
    '/endless': response => response.writeHead(200).end('x'.repeat(DELIVERY_LIMITS.bodyMax + 1)),
    '/short': response => { response.writeHead(200, { 'content-length': '5' }).write('x', () => response.destroy()) },
    '/nothing': response => { response.destroy() }
  }
  const receiver = await openReceiver(t, (response, { path }) => answers[path]!(response))
  const added = new Map<string, string>()
  for (const path of Object.keys(answers)) added.set(path, await post.add(new URL(path, receiver.url).href))
  await post.tell({ outage: A })
  await post.pass(post.open())
  const logs: Record<string, unknown> = {}
  for (const [path, webhook] of added) {
    const [{ state, log } = { state: '', log: [] }] = await post.stand(webhook)
    t.equal(state, 'pending', path)
    logs[path] = log[0]
  }
  t.match(logs, { '/redirect': 307, '/endless': /longer than 65536 bytes/, '/short': /cannot be reached|not/, '/nothing': /ECONNRESET/ })
  t.match(await post.database.query('select error from delivery_attempts where status = 307'), [{ error: /not followed/ }])
  t.equal(other.calls.length, 0)
  t.strictSame(post.errors, [])
})

t.test('a private address is not called', async t => {
  const post = await openPost(t)
  const receiver = await openReceiver(t)
  const webhook = await post.add(receiver.url.replace('127.0.0.1', 'internal.example'))
  await post.tell({ outage: A })
  await post.pass(post.open(openOutgoing({ allowPrivate: false, lookup: async () => [{ address: '127.0.0.1', family: 4 }] })))
  t.match(await post.stand(webhook), [{ state: 'pending', attempts: 1, log: [/public address/] }])
  t.equal(receiver.calls.length, 0)
})

t.test('a call has 15 s, and what takes longer is tried again', async t => {
  const post = await openPost(t)
  const receiver = await openReceiver(t, () => {})
  const webhook = await post.add(receiver.url)
  const given: unknown[] = []
  await post.tell({ outage: A })
  await post.pass(post.open((request, limits, signal) => {
    given.push(limits)
    return reach(request, { ...limits, timeoutMs: 50 }, signal)
  }))
  t.strictSame(given, [{ timeoutMs: 15_000, bodyMax: 65_536, redirectsMax: 0 }])
  t.match(await post.stand(webhook), [{ state: 'pending', attempts: 1, log: [/not complete/] }])
})

t.test('receivers that stall hold up neither the others nor the end, and are sent it again', async t => {
  const post = await openPost(t)
  const stalling = await openReceiver(t, (response, { path }) => { if (path === '/well') response.writeHead(200).end() })
  const webhook = await post.add(stalling.url)
  for (let i = 0; i < 20; i++) await post.add(stalling.url)
  const other = await post.add(new URL('/well', stalling.url).href)
  const deliverer = post.open()
  await post.tell(...Array.from({ length: 5 }, () => ({ outage: uuid7() })))
  await deliverer.tick()
  await stalling.called(21 * LANES_PER_WEBHOOK + 5)
  while ((await post.stand(other)).some(({ state }) => state === 'pending')) await turn()
  t.equal(stalling.calls.filter(({ path }) => path === '/hook').length, 21 * LANES_PER_WEBHOOK, 'so many at once to each, and no more')
  const before = performance.now()
  await deliverer.stop()
  t.ok(performance.now() - before < 5_000)
  t.strictSame(await post.database.query('select from deliveries where leased_until is not null'), [], 'they are free for whoever comes next')
  t.match(await post.stand(webhook), Array(5).fill({ state: 'pending', attempts: 0 }))
  const next = post.open()
  await next.tick()
  await stalling.called(2 * 21 * LANES_PER_WEBHOOK + 5)
  t.equal(new Set(stalling.calls.map(({ id }) => id)).size, 5)
})

t.test('a delivery whose sender died is sent again when its time is up, with the same id, and not before', async t => {
  const post = await openPost(t)
  const receiver = await openReceiver(t)
  const webhook = await post.add(receiver.url)
  let die = () => {}
  // It has sent and got its answer, and never comes to write it down.
  const dying = post.open(async (request, limits) => {
    await reach(request, limits)
    return new Promise((_resolve, reject) => { die = () => reject(new OutgoingError('aborted', 'It is over.')) })
  })
  await post.tell({ outage: A }, { outage: A })
  await dying.tick()
  await receiver.called(1)
  const heir = post.open()
  later(post, LEASE_MS - 1)
  await post.pass(heir)
  t.strictSame(numbersOf(receiver), [1])
  later(post, 1)
  await post.pass(heir)
  t.strictSame(numbersOf(receiver), [1, 1, 2])
  t.equal(receiver.calls[0]!.id, receiver.calls[1]!.id)
  die()
  await dying.settle()
  t.match(await post.stand(webhook), [{ state: 'delivered', attempts: 1, log: [204] }, { state: 'delivered', attempts: 1 }], 'who comes too late changes nothing')
})

t.test('two instances lose nothing, send each news once, and one may be stopped at any moment', async t => {
  const post = await openPost(t)
  const receiver = await openReceiver(t, (response, _received, times) => response.writeHead(times % 7 === 0 ? 500 : 200).end())
  const paths = ['/one', '/two', '/three']
  for (const path of paths) await post.add(new URL(path, receiver.url).href)
  const outages = Array.from({ length: 5 }, () => uuid7())
  let [left, right] = [post.open(), post.open()]
  const isPending = async () => (await post.database.query("select from deliveries where state = 'pending' limit 1")).length > 0
  for (let round = 0; round < 12; round++) {
    await post.tell(...outages.map(outage => ({ outage })))
    await Promise.all([left.tick(), right.tick()])
    if (round % 4 === 3) await Promise.all([left.stop().then(() => { left = post.open() }), right.settle()])
    else if (round % 2 === 0) await Promise.all([left.settle(), right.settle()])
    later(post, 10_000)
  }
  for (let i = 0; i < 100 && await isPending(); i++) {
    await Promise.all([post.pass(left), post.pass(right)])
    later(post, 3_600_000)
  }
  t.notOk(await isPending())
  t.equal((await post.database.query("select from deliveries where state = 'delivered'")).length, 180)
  for (const path of paths) {
    for (const outage of outages) {
      const numbers = receiver.calls.filter(call => call.path === path && call.news.data.id === outage).map(({ news }) => news.data.number as number)
      t.strictSame(numbers, numbers.toSorted((a, b) => a - b), 'in order')
      t.equal(new Set(numbers).size, 12, 'none is lost')
    }
  }
  const failures = Math.floor(receiver.calls.length / 7)
  const again = receiver.calls.length - 180 - failures
  t.ok(again >= 0 && again <= 3 * paths.length * LANES_PER_WEBHOOK, `${again} were sent again because their sender was stopped`)
  t.strictSame(post.errors, [])
})

t.test('a webhook that is switched off or changed meanwhile is called where, and only while, it should be', async t => {
  const post = await openPost(t)
  const receiver = await openReceiver(t)
  const deliverer = post.open()
  const webhook = await post.add(new URL('/old', receiver.url).href)
  await post.tell({ outage: A })
  await updateWebhook(post.database, webhook, { url: new URL('/new', receiver.url).href })
  await post.pass(deliverer)
  t.strictSame(receiver.calls.map(({ path }) => path), ['/new'])
  await transact(post.database, tx => disableWebhook(tx, webhook, null, post.now))
  await post.tell({ outage: A })
  await post.pass(deliverer)
  await enableWebhook(post.database, webhook)
  await post.tell({ outage: A })
  await post.pass(deliverer)
  t.strictSame(numbersOf(receiver), [1, 3])
})

t.test('deliveries are forgotten a week after they ended, and given up after a week of trying', async t => {
  const post = await openPost(t)
  const receiver = await openReceiver(t, (response, { news }) => response.writeHead(news.data.number > 2 ? 500 : 200).end())
  const webhook = await post.add(receiver.url)
  await post.tell({ outage: A }, { outage: A }, { outage: A }, { outage: B })
  await post.pass(post.open())
  await post.database.query("update deliveries set ended_at = now() - interval '7 days 1 minute' where number = 1")
  await post.database.query("update deliveries set created_at = now() - interval '7 days 1 minute' where number = 3")
  await pruneDeliveries(post.database)
  const states = (await post.stand(webhook)).map(({ number, state }) => `${number} ${state}`)
  t.match(states.slice(1), ['3 failed', '4 pending'])
  t.equal(states.length, 3)
  t.strictSame(await post.database.query('select from delivery_attempts where number = 1'), [])
})

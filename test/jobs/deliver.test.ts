// Webhooks to receivers that fail, redirect and lie. What each answer means stands in test/core/webhooks.test.ts; what an
// outage tells, in test/db/outbox.test.ts; receivers that stall, and senders that die, in leases.test.ts.
import { Webhook } from 'standardwebhooks'
import t from 'tap'
import { VERSION } from '../../src/core/vocabulary.ts'
import { RETRY_LADDER_S } from '../../src/core/webhooks.ts'
import { transact } from '../../src/db/client.ts'
import { pruneDeliveries, requeueDelivery } from '../../src/db/deliveries.ts'
import { disableWebhook, enableWebhook, findWebhook, rotateSecret, updateWebhook } from '../../src/db/webhooks.ts'
import { DELIVERY_LIMITS } from '../../src/jobs/deliver.ts'
import { openOutgoing } from '../../src/jobs/outgoing.ts'
import { openReceiver, type Receiver } from '../receiver.ts'
import { A, B, later, numbersOf, openPost, reach, SECRET } from './post.ts'

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

t.test('who is sent the first of a queue again gets all of it at once, in order', async t => {
  const post = await openPost(t)
  const receiver = await openReceiver(t, (response, _received, times) => response.writeHead(times < 4 ? 500 : 200).end())
  const webhook = await post.add(receiver.url)
  const deliverer = post.open()
  await post.tell({ outage: A }, { outage: A })
  await post.pass(deliverer)
  for (const waitS of [5, 300]) {
    later(post, waitS * 1_000)
    await post.pass(deliverer)
  }
  await post.tell({ outage: A })
  await post.pass(deliverer)
  t.match((await post.stand(webhook)).map(({ nextAt }) => nextAt), Array(3).fill(new Date(post.now.getTime() + 1_800_000)), 'what waits behind it says so')
  await requeueDelivery(post.database, { webhookId: webhook, number: 1 }, post.now)
  await post.pass(deliverer)
  t.strictSame(numbersOf(receiver), [1, 1, 1, 1, 2, 3])
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

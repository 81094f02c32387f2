import { Writable } from 'node:stream'
import { pino } from 'pino'
import { Webhook } from 'standardwebhooks'
import t from 'tap'
import { NEWS_TYPES } from '../../src/core/vocabulary.ts'
import { WEBHOOKS_MAX } from '../../src/db/webhooks.ts'
import { OutageItem } from '../../src/http/outages.ts'
import { pageOf } from '../../src/http/schemas.ts'
import { DeliveryItem, NewWebhook, WebhookItem } from '../../src/http/webhooks.ts'
import { addressOf, openTestApp, type TestApp } from '../app.ts'
import { openReceiver } from '../receiver.ts'
import { exactly, problem } from './contract.ts'

const URL_TAKEN = 'https://receiver.example/hook'
const NOBODY = '0192a1b2-0000-7000-8000-000000000000'
let people = 0

/** Asks as somebody who may keep webhooks. */
async function asKeeper (app: TestApp) {
  const authorization = `Bearer ${await app.token(['webhooks'])}`
  return (method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, payload?: object, headers: Record<string, string> = {}) =>
    app.ask(`/v1/admin/webhooks${path}`, { method, headers: { authorization, ...headers }, ...(payload === undefined ? {} : { payload }) })
}

/** People fail until an outage is confirmed: two news. */
async function fail (app: TestApp) {
  for (let minute = 0; minute < 6; minute++) {
    await Promise.all(Array.from({ length: 12 }, () => app.report({ service: 'imessage', verdict: 'down' }, addressOf(people++))))
    await app.passMinute()
  }
  await app.passMinute()
}

t.test('a webhook is made with a secret that is told once, and is never in lists, the log, the audit or other answers', async t => {
  const lines: string[] = []
  const logger = pino({ level: 'trace' }, new Writable({ write (line, _encoding, done) { lines.push(String(line)); done() } }))
  const app = await openTestApp(t, { logger })
  const ask = await asKeeper(app)
  const { status, body } = await ask('POST', '', { url: URL_TAKEN })
  t.equal(status, 201)
  exactly(t, NewWebhook, body)
  t.match(body, { url: URL_TAKEN, events: NEWS_TYPES, services: null, enabled: true, disabled_reason: null })
  t.equal(Buffer.from(body.secret.slice('whsec_'.length), 'base64').byteLength, 32)
  const { secret, ...told } = body
  const rotated = await ask('POST', `/${body.id}/rotate`)
  t.equal(rotated.status, 200)
  exactly(t, NewWebhook, rotated.body)
  t.not(rotated.body.secret, secret)
  const one = await ask('GET', `/${body.id}`)
  t.strictSame(one.body, told)
  const own = `whsec_${Buffer.alloc(24, 1).toString('base64')}`
  t.equal((await ask('POST', '', { url: URL_TAKEN, secret: own })).body.secret, own)
  t.equal((await ask('POST', `/${body.id}/rotate`, { secret: own })).body.secret, own)
  const list = await ask('GET', '')
  exactly(t, pageOf(WebhookItem), list.body)
  const patched = await ask('PATCH', `/${body.id}`, { services: ['imessage'] }, { 'if-match': String(one.headers['etag']) })
  t.equal(patched.status, 200)
  t.equal((await ask('DELETE', `/${body.id}`)).status, 204)
  const audit = await app.ask('/v1/admin/audit', { headers: { authorization: `Bearer ${await app.token(['admin'])}` } })
  t.match(audit.body.items.map(({ action }: { action: string }) => action), ['token.create', 'webhook.retire', 'webhook.update', 'webhook.rotate', 'webhook.create', 'webhook.rotate', 'webhook.create'])
  const everywhere = [one, list, patched, audit].map(({ text }) => text).join() + lines.join()
  for (const each of [secret, rotated.body.secret, own]) t.notOk(everywhere.includes(each.slice(6)), 'it is nowhere else')
  t.match(await app.database.query('select secret, previous_secret from webhooks where retired_at is not null'), [{ secret: null, previous_secret: null }], 'retired, it is forgotten')
})

t.test('people report that something fails, and the receiver is told what the API tells, signed', async t => {
  const app = await openTestApp(t, { allowPrivateTargets: true })
  const ask = await asKeeper(app)
  const receiver = await openReceiver(t, (response, _received, times) => response.writeHead(times === 2 ? 429 : 204).end())
  const { body: { id, secret } } = await ask('POST', '', { url: receiver.url, services: ['imessage'] })
  await app.passMinute()
  await fail(app)
  t.match(receiver.calls.map(({ news }) => news.type), ['outage.suspected', 'outage.confirmed'])
  for (const { body, headers, news } of receiver.calls) {
    t.strictSame(new Webhook(secret).verify(body, headers as Record<string, string>), news)
    exactly(t, OutageItem, news.data)
  }
  t.equal(receiver.calls[0]!.news.timestamp, receiver.calls[0]!.news.data.detected_at, 'the time is that of the change, not of the call')

  const deliveries = await ask('GET', `/${id}/deliveries`)
  exactly(t, pageOf(DeliveryItem), deliveries.body)
  const [second, first] = deliveries.body.items
  t.match(first, { type: 'outage.suspected', state: 'delivered', attempts: 1, next_at: null, ended_at: /Z$/, log: [{ attempt: 1, status: 204, error: null, took_ms: Number }] })
  t.match(second, { type: 'outage.confirmed', state: 'pending', attempts: 1, next_at: /Z$/, ended_at: null, log: [{ attempt: 1, status: 429 }] })
  t.equal(first.outage, receiver.calls[0]!.news.data.id)
  t.strictSame(receiver.calls.map(({ id }) => id), [`msg_${first.id}`, `msg_${second.id}`], 'the receiver knows it by the same id')
  t.strictSame((await ask('GET', `/${id}/deliveries?state=pending`)).body.items, [second])
  const page = await ask('GET', `/${id}/deliveries?limit=1`)
  t.strictSame(page.body.items, [second])
  t.strictSame((await ask('GET', `/${id}/deliveries?limit=1&cursor=${page.body.next_cursor}`)).body, { items: [first], next_cursor: null })

  for (const { id: delivery } of [second, first]) {
    const again = await ask('POST', `/${id}/deliveries/${delivery}/redeliver`)
    t.equal(again.status, 202)
    exactly(t, DeliveryItem, again.body)
    t.match(again.body, { id: delivery, state: 'pending', ended_at: null, next_at: /Z$/ })
  }
  await app.jobs.tick()
  t.strictSame(receiver.calls.slice(2).map(({ id }) => id), [`msg_${first.id}`, `msg_${second.id}`], 'with the same ids, and in order')
  const after = (await ask('GET', `/${id}/deliveries`)).body.items
  t.match(after, [{ state: 'delivered', attempts: 2, log: [{ attempt: 1, status: 429 }, { attempt: 2, status: 204 }] }, { state: 'delivered', attempts: 2 }])
})

t.test('a change needs the version that was read; switching off ends what is on its way', async t => {
  const app = await openTestApp(t, { allowPrivateTargets: true })
  const ask = await asKeeper(app)
  const receiver = await openReceiver(t, response => response.writeHead(500).end())
  const { body: { id } } = await ask('POST', '', { url: receiver.url })
  await app.passMinute()
  await fail(app)
  const tag = async () => String((await ask('GET', `/${id}`)).headers['etag'])
  problem(t, await ask('PATCH', `/${id}`, { enabled: false }), 'precondition-required')
  problem(t, await ask('PATCH', `/${id}`, { enabled: false }, { 'if-match': '"old"' }), 'precondition-failed')
  t.match((await ask('PATCH', `/${id}`, { enabled: false }, { 'if-match': await tag() })).body, { enabled: false, disabled_reason: null })
  const ended = (await ask('GET', `/${id}/deliveries`)).body.items
  t.match(ended, [{ state: 'failed', next_at: null, ended_at: /Z$/ }, { state: 'failed' }])
  problem(t, await ask('POST', `/${id}/deliveries/${ended[0].id}/redeliver`), 'conflict')
  await app.database.query("update webhooks set disabled_reason = 'It answered 410.'")
  const { body } = await ask('PATCH', `/${id}`, { enabled: true, url: 'http://127.0.0.1:1/', events: ['outage.resolved'], services: null }, { 'if-match': await tag() })
  t.match(body, { id, enabled: true, disabled_reason: null, url: 'http://127.0.0.1:1/', events: ['outage.resolved'], services: null })
  t.match(await app.database.query('select outbox_number = (select number from outbox_head) as now from webhooks'), [{ now: true }])
  const before = await app.database.query('select from audit_log')
  t.strictSame((await ask('PATCH', `/${id}`, { enabled: true }, { 'if-match': await tag() })).body, body)
  t.equal((await app.database.query('select from audit_log')).length, before.length, 'what changes nothing is not written down')
})

t.test('what is wrong is refused by the name of its field', async t => {
  const app = await openTestApp(t)
  const ask = await asKeeper(app)
  const { body: { id } } = await ask('POST', '', { url: URL_TAKEN })
  const { headers } = await ask('GET', `/${id}`)
  const match = { 'if-match': String(headers['etag']) }
  const refusals: [object, string, string[]][] = [
    [{}, 'invalid', ['/url']],
    [{ url: URL_TAKEN, events: [] }, 'invalid', ['/events']],
    [{ url: URL_TAKEN, events: ['outage.confirmed', 'outage.exploded'] }, 'invalid', ['/events/1']],
    [{ url: URL_TAKEN, services: [] }, 'invalid', ['/services']],
    [{ url: URL_TAKEN, services: ['imessage', 'nothing'] }, 'invalid', ['/services/1']],
    [{ url: 'http://[::1]/', services: ['nothing'] }, 'invalid', ['/services/0', '/url']],
    [{ url: 'http://10.0.0.1/', events: ['x'] }, 'invalid', ['/events/0', '/url']],
    [{ url: URL_TAKEN, secret: 'whsec_c2hvcnQ=' }, 'invalid', ['/secret']],
    [{ url: URL_TAKEN, enabled: true, Url: '' }, 'malformed', ['/Url', '/enabled']],
    ...['ftp://receiver.example/', 'https://user:secret@receiver.example/', 'receiver.example', `https://receiver.example/${'x'.repeat(2_000)}`, 'http://127.0.0.1/', 'http://127.1/',
      'http://0x7f000001/', 'http://169.254.169.254/latest', 'http://[::ffff:10.0.0.1]/', 'http://[fd00::1]/'
    ].map((url): [object, string, string[]] => [{ url }, 'invalid', ['/url']])
  ]
  for (const [payload, name, pointers] of refusals) problem(t, await ask('POST', '', payload), name, pointers)
  problem(t, await ask('PATCH', `/${id}`, { url: 'http://127.0.0.1/' }, match), 'invalid', ['/url'])
  problem(t, await ask('PATCH', `/${id}`, { services: ['nothing'] }, match), 'invalid', ['/services/0'])
  problem(t, await ask('PATCH', `/${id}`, { enabled: null }, match), 'invalid', ['/enabled'])
  problem(t, await ask('PATCH', `/${id}`, { secret: 'x' }, match), 'malformed', ['/secret'])
  problem(t, await ask('POST', `/${id}/rotate`, { secret: 'x' }), 'invalid', ['/secret'])
  problem(t, await ask('GET', `/${id}/deliveries?state=lost`), 'invalid', ['/state'])
  problem(t, await ask('GET', `/${id}/deliveries?cursor=x`), 'invalid', ['/cursor'])
  t.equal((await ask('GET', '')).body.items.length, 1, 'nothing was made')
  for (const [method, path, more] of [['GET', '', ''], ['PATCH', '', ''], ['DELETE', '', ''], ['POST', '', '/rotate'], ['GET', '', '/deliveries'], ['POST', '', `/deliveries/${NOBODY}/redeliver`]] as const) {
    problem(t, await ask(method, `/${NOBODY}${path}${more}`, method === 'PATCH' ? {} : undefined, match), 'not-found')
  }
  problem(t, await ask('POST', `/${id}/deliveries/${NOBODY}/redeliver`), 'not-found')
  t.equal((await ask('DELETE', `/${id}`)).status, 204)
  problem(t, await ask('DELETE', `/${id}`), 'not-found')
})

t.test('there are a hundred webhooks at most, listed newest first, and a retired one makes room', async t => {
  const app = await openTestApp(t)
  const ask = await asKeeper(app)
  const made: string[] = []
  for (let i = 0; i < WEBHOOKS_MAX - 1; i++) made.push((await ask('POST', '', { url: URL_TAKEN })).body.id)
  const both = await Promise.all([ask('POST', '', { url: URL_TAKEN }), ask('POST', '', { url: URL_TAKEN })])
  t.strictSame(both.map(({ status }) => status).sort(), [201, 409], 'also of two that come together')
  problem(t, await ask('POST', '', { url: URL_TAKEN }), 'conflict')
  const { body: { items, next_cursor: cursor } } = await ask('GET', '?limit=60')
  const rest = await ask('GET', `?limit=60&cursor=${cursor}`)
  const ids = [...items, ...rest.body.items].map(({ id }: { id: string }) => id)
  t.strictSame(ids.slice(1), made.toReversed())
  t.equal(ids.length, WEBHOOKS_MAX)
  t.equal((await ask('DELETE', `/${made[0]}`)).status, 204)
  t.equal((await ask('POST', '', { url: URL_TAKEN })).status, 201)
})

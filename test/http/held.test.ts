import type { IncomingMessage } from 'node:http'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { Fault } from '../../src/core/faults.ts'
import type { Catalog } from '../../src/db/services.ts'
import { tagAnswers } from '../../src/http/guards.ts'
import { holdAnswers } from '../../src/http/held.ts'
import { BRIEFLY } from '../../src/http/schemas.ts'
import { openTestApp } from '../app.ts'
import { problem } from './contract.ts'

// Answers are held for a real second, which passes only when a test says so.
let nowMs = 1_000_000
performance.now = () => nowMs

const UNLIMITED = { max: 1_000_000, windowS: 60 }
const PAGES: [string, string?][] = [
  ['/v1/services'], ['/v1/services/imessage'], ['/v1/services/imessage/curve'], ['/v1/services/imessage/curve', 'image/svg+xml'],
  ['/v1/outages'], ['/feeds/outages.atom'], ['/feeds/imessage.atom'], ['/statuspage/api/v2/summary.json'],
  ['/statuspage/imessage/api/v2/status.json'], ['/badges/imessage.svg']
]

t.test('a public page is told again for a second without asking the database, whole, to HEAD, and as 304', async t => {
  const app = await openTestApp(t, { heldMs: 1_000 })
  const first = new Map<string, Awaited<ReturnType<typeof app.ask>>>()
  const own = ({ date: _date, ratelimit: _left, ...headers }: Record<string, unknown>) => headers
  const ask = ([url, accept = 'application/json']: typeof PAGES[number], more: object = {}, headers: object = {}) =>
    app.ask(url, { ...more, headers: { accept: /^\/v1/.test(url) ? accept : '*/*', ...headers } })
  for (const page of PAGES) first.set(page.join(' '), await ask(page))
  for (const table of ['windows', 'outages']) await app.asOwner(`alter table ${table} rename to ${table}_gone`)
  nowMs += 999
  for (const page of PAGES) {
    const name = page.join(' ')
    const { status, text, headers } = first.get(name)!
    t.equal(status, 200, name)
    const again = await ask(page)
    t.equal(again.text, text, name)
    t.strictSame(own(again.headers), own(headers), name)
    const head = await ask(page, { method: 'HEAD' })
    t.equal(head.text, '')
    t.strictSame(own(head.headers), own(headers), `HEAD ${name}`)
    for (const method of ['GET', 'HEAD']) {
      const kept = await ask(page, { method }, { 'if-none-match': headers['etag'] })
      t.match(kept, { status: 304, text: '', headers: { etag: headers['etag'], 'cache-control': BRIEFLY } }, name)
      t.notOk('content-type' in kept.headers)
    }
  }
  nowMs += 1
  for (const page of PAGES) problem(t, await ask(page), 'internal')
})

t.test('what is new is told after a second', async t => {
  const app = await openTestApp(t, { heldMs: 1_000 })
  const down = async () => (await app.ask('/v1/services/imessage/curve?window=1m&from=2012-11-18T12:00:00Z')).body.points.map(({ down }: { down: number }) => down)
  app.now = new Date('2012-11-18T12:00:30Z')
  t.strictSame(await down(), [0])
  await app.report({ service: 'imessage', verdict: 'down' })
  await app.jobs.tick()
  t.strictSame(await down(), [0])
  nowMs += 1_000
  t.strictSame(await down(), [1])
})

t.test('what an editor changes is told at once', async t => {
  const app = await openTestApp(t, { heldMs: 1_000 })
  const headers = { authorization: `Bearer ${await app.token(['admin'])}` }
  problem(t, await app.ask('/v1/services/signal-flags'), 'not-found')
  t.notMatch((await app.ask('/badges/imessage.svg')).text, /Renamed/)
  t.equal((await app.ask('/v1/admin/services/imessage', { method: 'PATCH', payload: { name: 'Renamed' }, headers: { ...headers, 'if-match': '*' } })).status, 200)
  t.match((await app.ask('/badges/imessage.svg')).text, /Renamed/)
  t.equal((await app.ask('/v1/admin/services', { method: 'POST', payload: { slug: 'signal-flags', name: 'Signal flags' }, headers })).status, 201)
  t.equal((await app.ask('/v1/services/signal-flags')).status, 200, 'a fault was not held')
})

t.test('what a moderator says is told at once', async t => {
  const app = await openTestApp(t, { heldMs: 1_000 })
  t.strictSame((await app.ask('/v1/outages')).body.items, [])
  const opened = await app.ask('/v1/admin/outages', {
    method: 'POST',
    headers: { authorization: `Bearer ${await app.token(['moderate'])}` },
    payload: { service: 'imessage', onset_at: '2012-11-18T11:50:00Z', reason: 'Apple rang' }
  })
  t.equal(opened.status, 201)
  t.match((await app.ask('/v1/outages')).body.items, [{ id: opened.body.id }])
})

t.test('each form, question and name of ours has its own answer', async t => {
  const app = await openTestApp(t, { heldMs: 1_000 })
  const url = '/v1/services/imessage/curve'
  for (let i = 0; i < 2; i++) {
    for (const type of ['application/json', 'text/csv', 'application/x-ndjson', 'image/svg+xml']) {
      const { headers } = await app.ask(url, { headers: { accept: type } })
      t.match(headers, { 'content-type': `${type}; charset=utf-8`, vary: /accept/i })
    }
    t.equal((await app.ask(`${url}?window=1h`)).body.window_s, 3_600)
    t.equal((await app.ask(url)).body.window_s, 300)
    problem(t, await app.ask(`${url}?window=2h`), 'invalid', ['/window'])
    for (const host of ['one.example', 'two.example']) {
      t.equal((await app.ask('/statuspage/api/v2/status.json', { headers: { host } })).body.page.url, `http://${host}`)
    }
  }
  const named = await openTestApp(t, { heldMs: 1_000, publicUrl: 'https://people.example' })
  for (const host of ['one.example', 'two.example']) {
    t.equal((await named.ask('/statuspage/api/v2/status.json', { headers: { host } })).body.page.url, 'https://people.example')
  }
})

t.test('who is told what is held is counted and refused like everybody', async t => {
  const app = await openTestApp(t, { heldMs: 1_000, limits: { reports: UNLIMITED, reads: { max: 3, windowS: 30 }, admin: UNLIMITED } })
  for (const left of [2, 1, 0]) {
    const { status, headers } = await app.ask('/v1/services/imessage', { headers: { origin: 'https://other.example' } })
    t.equal(status, 200)
    t.match(headers, { ratelimit: new RegExp(`^"reads";r=${left};`), 'access-control-allow-origin': '*', 'x-content-type-options': 'nosniff' })
  }
  problem(t, await app.ask('/v1/services/imessage'), 'rate-limited')
  problem(t, await app.ask('/v1/services/imessage', { headers: { accept: 'text/css', 'x-forwarded-for': '192.0.2.9' } }), 'not-acceptable')
})

/** A server of one route, whose answers the test gives. */
async function openBare (t: { teardown: (end: () => unknown) => unknown }, handler: (url: string) => Promise<string>, cacheControl = BRIEFLY) {
  const app: FastifyInstance = Fastify()
  let catalog = {} as Catalog
  holdAnswers(app, { catalog: () => catalog, heldMs: 1_000 }, () => nowMs, () => 0)
  tagAnswers(app)
  app.get('/*', async ({ url }, reply) => {
    reply.header('cache-control', cacheControl)
    return handler(url)
  })
  t.teardown(() => app.close())
  return { app, renew: () => { catalog = {} as Catalog } }
}

/** A promise, and what settles it. */
function promised () {
  let settle!: { resolve: (text: string) => void, reject: (error: Error) => void }
  const promise = new Promise<string>((resolve, reject) => { settle = { resolve, reject } })
  return { promise, ...settle }
}

/** Lets what is on its way arrive. */
async function turn () {
  for (let i = 0; i < 5; i++) await new Promise(resolve => setImmediate(resolve))
}

t.test('one request makes what many wait for, and all share its answer or its fault', async t => {
  let makings: ReturnType<typeof promised>[] = []
  const { app, renew } = await openBare(t, () => {
    const making = promised()
    makings.push(making)
    return making.promise
  })
  const askMany = async () => {
    makings = []
    const answers = Array.from({ length: 20 }, () => app.inject('/page'))
    await turn()
    return answers
  }
  let answers = await askMany()
  t.equal(makings.length, 1)
  makings[0]!.resolve('the answer')
  for (const { statusCode, body } of await Promise.all(answers)) t.strictSame([statusCode, body], [200, 'the answer'])

  nowMs += 1_000
  answers = await askMany()
  t.equal(makings.length, 1)
  makings[0]!.reject(new Fault('unavailable', 'Not now.'))
  for (const { statusCode, body } of await Promise.all(answers)) t.match([statusCode, body], [500, /Not now/])

  answers = await askMany()
  t.equal(makings.length, 1, 'a fault is not held')
  const [older] = makings
  renew()
  const later = await askMany()
  t.equal(makings.length, 1, 'what is being made out of the old catalog is not waited for')
  makings[0]!.resolve('new')
  for (const { body } of await Promise.all(later)) t.equal(body, 'new')
  t.equal((await app.inject('/page')).body, 'new')
  older!.resolve('old')
  for (const { body } of await Promise.all(answers)) t.equal(body, 'old')
})

t.test('who leaves while an answer is made for others holds up nobody', async t => {
  const making = promised()
  const { app } = await openBare(t, () => making.promise)
  const base = await app.listen({ port: 0, host: '127.0.0.1' })
  const closed = new Promise(resolve => {
    app.server.once('request', (request: IncomingMessage) => {
      request.socket.once('close', resolve)
      setImmediate(() => leaving.abort())
    })
  })
  const leaving = new AbortController()
  t.equal(await fetch(`${base}/page`, { signal: leaving.signal }).catch((error: Error) => error.name), 'AbortError')
  await closed
  const waiting = app.inject('/page')
  await turn()
  making.resolve('the answer')
  t.equal((await waiting).body, 'the answer')
})

t.test('what may be kept for longer or not at all is not held', async t => {
  for (const cacheControl of ['no-store', 'public, max-age=3600']) {
    let makings = 0
    const { app } = await openBare(t, async () => `answer ${++makings}`, cacheControl)
    for (const text of ['answer 1', 'answer 2']) t.equal((await app.inject('/page')).body, text)
  }
})

t.test('what is held is bounded: the oldest goes first, and the largest is never held', async t => {
  const seen: string[] = []
  const { app } = await openBare(t, async url => {
    seen.push(url)
    return 'x'.repeat(url.startsWith('/huge') ? 1_048_576 : url.startsWith('/large') ? 1_000_000 : 1)
  })
  const ask = async (urls: readonly string[]) => {
    seen.length = 0
    for (const url of urls) await app.inject(url)
    return seen.length
  }
  const many = Array.from({ length: 2_000 }, (_, i) => `/${i}`)
  t.equal(await ask(['/huge', '/huge']), 2)
  t.equal(await ask(many), 2_000)
  t.equal(await ask(many), 0)
  await ask(['/one-more'])
  t.equal(await ask(['/1', '/one-more']), 0)
  t.equal(await ask(['/0']), 1)
  const large = Array.from({ length: 17 }, (_, i) => `/large${i}`)
  t.equal(await ask(large), 17)
  t.equal(await ask(large.slice(1)), 0)
  t.equal(await ask(['/large0']), 1)
})

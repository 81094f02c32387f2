import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
import { pino } from 'pino'
import t from 'tap'
import { trustProxies } from '../../src/http/guards.ts'
import { serializeError } from '../../src/log.ts'
import { addressOf, openTestApp } from '../app.ts'
import { problem } from './contract.ts'

const UNLIMITED = { max: 1_000_000, windowS: 60 }
const report = { service: 'imessage', verdict: 'down' }

t.test('one address may ask so often and no more, and is told what is left in the current draft\'s form', async t => {
  const app = await openTestApp(t, { limits: { reports: { max: 2, windowS: 60 }, reads: { max: 3, windowS: 30 }, admin: UNLIMITED } })
  const ask = (address: string) => app.ask('/v1/services', { headers: { 'x-forwarded-for': address } })
  for (const left of [2, 1, 0]) {
    const { status, headers } = await ask('192.0.2.1')
    t.equal(status, 200)
    t.equal(headers['ratelimit-policy'], '"reads";q=3;w=30')
    t.match(headers['ratelimit'], new RegExp(`^"reads";r=${left};t=([1-9]|[12]\\d|30)$`))
    for (const old of ['x-ratelimit-limit', 'ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset', 'retry-after']) t.notOk(old in headers)
  }
  const refused = await ask('192.0.2.1')
  problem(t, refused, 'rate-limited')
  t.match(refused.headers, { 'ratelimit-policy': '"reads";q=3;w=30', ratelimit: /^"reads";r=0;t=\d+$/, 'retry-after': /^([1-9]|[12]\d|30)$/ })
  for (const url of ['/v1/regions', '/v1/services?foo=1', '/openapi.json', '/docs', '/problems/invalid']) {
    problem(t, await app.ask(url, { headers: { 'x-forwarded-for': '192.0.2.1' } }), 'rate-limited')
  }
  t.equal((await ask('192.0.2.2')).status, 200, 'the neighbour is not meant')
  for (const url of ['/healthz', '/readyz']) {
    for (let i = 0; i < 9; i++) t.equal((await app.ask(url, { headers: { 'x-forwarded-for': '192.0.2.1' } })).status, 200)
  }
  for (const status of [201, 200, 429]) t.equal((await app.report(report, '192.0.2.1')).status, status, 'reports have a limit of their own')
})

t.test('an IPv6 address counts as its /64, an IPv4 address alone however it is written', async t => {
  const app = await openTestApp(t, { limits: { reports: { max: 2, windowS: 60 }, reads: UNLIMITED, admin: UNLIMITED } })
  const say = async (address: string) => (await app.report(report, address)).status
  t.notSame(await say('2001:db8:0:1::1'), 429)
  t.notSame(await say('2001:db8:0:1:ffff::2'), 429)
  t.equal(await say('2001:0db8:0000:0001::3'), 429)
  t.equal(await say('2001:db8:0:2::1'), 201)
  t.notSame(await say('192.0.2.1'), 429)
  t.notSame(await say('::ffff:192.0.2.1'), 429)
  t.equal(await say('::ffff:c000:201'), 429)
  t.equal(await say('::ffff:192.0.2.2'), 201)
})

t.test('X-Forwarded-For is believed of a trusted proxy alone', async t => {
  const ids = async (trustProxy: string[], forwarded: string[]) => {
    const app = await openTestApp(t, { trustProxy })
    const seen = new Set<string>()
    for (const address of forwarded) seen.add((await app.report(report, address)).body.id)
    return seen.size
  }
  t.equal(await ids([], ['198.51.100.1', '203.0.113.1', '2001:db8::1']), 1, 'nobody is trusted')
  t.equal(await ids(['10.0.0.0/8'], ['198.51.100.1', '203.0.113.1']), 1, 'somebody else is')
  t.equal(await ids(['127.0.0.1'], ['198.51.100.1', '203.0.113.1']), 2)
  t.equal(await ids(['127.0.0.1', '10.0.0.0/8'], ['198.51.100.1', '203.0.113.1, 198.51.100.1', '203.0.113.2, 198.51.100.1, 10.1.2.3']), 1, 'what the client wrote itself counts for nothing')
  t.equal(await ids(['127.0.0.1'], ['nonsense', '<script>', '999.1.1.1']), 1, 'what is no address is all one')
})

t.test('whether a proxy is believed does not depend on who was asked about before', async t => {
  const cidrs = ['10.0.0.0/8', '2001:db8::/32']
  const trusted = (address: string) => address.startsWith('10.') || address.startsWith('2001:db8:')
  const addresses = ['10.1.2.3', '11.1.2.3', '2001:db8::1', '2001:db9::1']
  const trust = trustProxies(cidrs)
  for (const before of addresses) {
    for (const address of addresses) {
      t.equal(trust(before, 0), trusted(before))
      t.equal(trust(address, 1), trusted(address), `${address} after ${before}`)
    }
  }
})

t.test('every answer says that it is what it is, and loads nothing', async t => {
  const app = await openTestApp(t)
  for (const url of ['/v1/services', '/nope', '/healthz', '/v1/services/imessage/curve', '/problems/invalid']) {
    const { headers } = await app.ask(url)
    t.equal(headers['x-content-type-options'], 'nosniff')
    t.match(headers['content-security-policy'], /default-src 'none'/)
    t.notOk('x-powered-by' in headers || 'server' in headers)
  }
})

t.test('an ETag is honoured however If-None-Match names it, and changes with the answer', async t => {
  const app = await openTestApp(t)
  for (const url of ['/v1/services/imessage/curve', '/v1/regions', '/v1/outages', '/openapi.json', '/problems/invalid', '/v1/services/imessage/breakdown?by=region']) {
    const { headers, text } = await app.ask(url)
    const etag = String(headers['etag'])
    t.match(etag, /^"[\w-]+"$/, url)
    t.match(headers['cache-control'], /^public, max-age=\d+$/)
    for (const given of [etag, `W/${etag}`, '*', `"other", ${etag}`, `W/"other",W/${etag} , "x"`]) {
      for (const method of ['GET', 'HEAD'] as const) {
        const kept = await app.ask(url, { method, headers: { 'if-none-match': given } })
        t.equal(kept.status, 304, `${method} ${url} ${given}`)
        t.equal(kept.text, '')
        t.match(kept.headers, { etag, 'cache-control': headers['cache-control'] })
        t.notOk('content-type' in kept.headers)
        t.equal(kept.headers['content-length'] ?? headers['content-length'], headers['content-length'], 'no length but that of what was not sent')
      }
    }
    for (const given of ['"other"', etag.slice(1, -1), '']) t.equal((await app.ask(url, { headers: { 'if-none-match': given } })).status, 200)
    const head = await app.ask(url, { method: 'HEAD' })
    t.match(head, { status: 200, text: '', headers: { etag, 'content-length': String(Buffer.byteLength(text)), 'content-type': headers['content-type'] } })
  }
  const url = '/v1/services/imessage/curve?window=1m&from=2012-11-18T11:59:00Z'
  app.now = new Date('2012-11-18T12:00:30Z')
  const before = await app.ask(url)
  t.not((await app.ask(url, { headers: { accept: 'text/csv' } })).headers['etag'], before.headers['etag'], 'another form has another')
  t.match(before.headers['vary'], /accept/i)
  await app.report(report)
  await app.jobs.tick()
  const after = await app.ask(url, { headers: { 'if-none-match': String(before.headers['etag']) } })
  t.equal(after.status, 200)
  t.notOk('etag' in (await app.ask('/v1/services/nope')).headers, 'a problem has none')
})

t.test('no log line holds an address, a user agent or what was sent', async t => {
  let log = ''
  const stream = new Writable({ write (chunk, _encoding, done) { log += chunk; done() } })
  const app = await openTestApp(t, { logger: pino({ level: 'trace', serializers: { err: serializeError } }, stream), limits: { reports: { max: 8, windowS: 60 }, reads: UNLIMITED, admin: UNLIMITED } })
  const headers = { 'user-agent': 'SecretBrowser/7', referer: 'https://secret.example/', cookie: 'secret=1', authorization: 'Bearer gsw_secretid_secretsecret' }
  const address = '203.0.113.77'
  const sent = { ...report, comment: 'secret words', reporter: 'secret nonce' }
  for (let i = 0; i < 4; i++) await app.report(sent, address, headers)
  await app.report({ ...sent, verdict: 'secret' }, address, headers)
  await app.ask('/v1/reports', { method: 'POST', payload: '{"secret', headers: { ...headers, 'content-type': 'application/json', 'x-forwarded-for': '2001:db8::5ec' } })
  for (const url of ['/v1/services/secret', '/secret', '/v1/services?secret=1', '/v1/services/imessage/curve', '/v1/outages/secret', '/v1/services/%E0%A4%A']) {
    await app.ask(url, { headers: { ...headers, 'x-forwarded-for': address } })
  }
  await app.ask('/v1/reports/batch', { method: 'POST', payload: [sent], headers: { ...headers, 'x-forwarded-for': address } })
  for (let i = 0; i < 9; i++) await app.report(sent, address, headers)
  await app.asOwner('drop table stale_minutes')
  app.now = new Date(app.now.getTime() + 60_000)
  const broken = await app.report({ ...sent, reporter: 'secret too' }, '203.0.113.78', headers)
  problem(t, broken, 'internal')
  await app.jobs.tick()
  t.ok(log.split('\n').length > 20, 'there is a log')
  t.match(log, /"status":500/)
  t.match(log, new RegExp(broken.body.request_id))
  t.notMatch(log, /secret|203\.0\.113|2001:db8|127\.0\.0\.1|::1|user-agent|remoteAddress|imessage|"down"/i)
})

t.test('all reports together have a limit where it is set, which one address alone cannot use up', async t => {
  const app = await openTestApp(t, { limits: { reports: { max: 2, windowS: 60 }, reads: UNLIMITED, admin: UNLIMITED, global: { max: 5, windowS: 60 } } })
  const send = (address: string) => app.report(report, address)
  for (const status of [201, 200, 429, 429, 429, 429]) t.equal((await send('192.0.2.1')).status, status)
  for (let i = 0; i < 3; i++) t.equal((await send(`198.51.100.${i}`)).status, 201)
  const refused = await app.ask('/v1/reports', { method: 'POST', payload: report, headers: { 'x-forwarded-for': '203.0.113.9' } })
  problem(t, refused, 'rate-limited')
  t.match(refused.body.detail, /5 reports in 60 s/)
  t.match(refused.headers, { 'retry-after': /^\d+$/ })
  t.equal((await app.ask('/v1/services')).status, 200, 'reading goes on')
})

t.test('a port that a proxy writes behind an address tells nobody apart and puts nobody together', async t => {
  const app = await openTestApp(t, { limits: { reports: { max: 4, windowS: 60 }, reads: UNLIMITED, admin: UNLIMITED } })
  const say = async (address: string) => {
    const { status, body } = await app.report(report, address)
    return `${status} ${body.disposition ?? ''}`
  }
  t.strictSame([await say('198.51.100.7:40001'), await say('198.51.100.7:40002'), await say('198.51.100.7')], ['201 counted', '200 duplicate', '200 duplicate'])
  t.strictSame([await say('198.51.101.7:40001'), await say('[2001:db8:77::1]:443'), await say('[2001:db8:77::1]:444')], ['201 counted', '201 counted', '200 duplicate'])
  t.strictSame([await say('198.51.100.7:40003'), await say('198.51.100.7:40004')], ['200 duplicate', '429 '], 'the limit goes by the address')
})

t.test('who leaves without waiting for the answer and says it again is one reporter', async t => {
  const app = await openTestApp(t)
  await app.http.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.http.server.address() as AddressInfo
  const payload = JSON.stringify({ ...report, observed_at: app.now.toISOString() })
  const addresses = Array.from({ length: 60 }, (_, i) => addressOf(i))
  for (const [i, address] of addresses.entries()) {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    await new Promise(resolve => socket.write(`POST /v1/reports HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Forwarded-For: ${address}\r\nContent-Length: ${payload.length}\r\n\r\n${payload}`, resolve))
    if (i % 2 === 0) socket.resetAndDestroy()
    else socket.destroy()
  }
  const said = await Promise.all(addresses.map(address => app.report(JSON.parse(payload), address)))
  t.ok(said.every(({ status }) => status < 300))
  t.equal(said.length, (await app.database.query('select from reports')).length)
})

t.test('who resets the connection behind a request causes no fault of ours', async t => {
  const lines: string[] = []
  const logger = pino({ level: 'error' }, new Writable({
    write (line, _encoding, done) {
      lines.push(String(line))
      done()
    }
  }))
  const app = await openTestApp(t, { logger, trustProxy: [] })
  await app.http.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.http.server.address() as AddressInfo
  const body = JSON.stringify(report)
  for (let i = 0; i < 40; i++) {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    const request = i % 2 === 0
      ? 'GET /v1/services/imessage HTTP/1.1\r\nHost: x\r\n\r\n'
      : `POST /v1/reports HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    await new Promise(resolve => socket.write(request, resolve))
    socket.resetAndDestroy()
  }
  const response = await fetch(`http://127.0.0.1:${port}/v1/services`)
  t.equal(response.status, 200)
  t.strictSame(lines, [])
})

import fc from 'fast-check'
import t from 'tap'
import { MINUTE_MS } from '../../src/core/time.ts'
import { Problem } from '../../src/http/documentation.ts'
import { Report } from '../../src/http/reports.ts'
import { openTestApp, type TestApp } from '../app.ts'
import { exactly, members, problem } from './contract.ts'

const NOW = new Date('2012-11-18T12:07:30.500Z')
const app = await openTestApp(t, { now: NOW })
const send = (payload: string | object, headers: Record<string, string> = { 'content-type': 'application/json' }) =>
  app.ask('/v1/reports', { method: 'POST', payload, headers })
const good = { service: 'imessage', verdict: 'down' }

/** Networks that no test has used before. */
let networks = 0
const freshAddress = () => `10.${networks >> 8}.${networks++ % 256}.1`
t.beforeEach(() => { app.now = NOW })

async function countIn (app: TestApp, minute: string, region = '*'): Promise<number> {
  await app.jobs.tick()
  const to = new Date(Date.parse(minute) + MINUTE_MS).toISOString()
  const { body } = await app.ask(`/v1/services/github/curve?window=1m&from=${minute}&to=${to}&region=${region}`)
  return body.points[0].down
}

t.test('a report is answered with 201, its id, its minute and the service as it stands', async t => {
  const { status, body, headers } = await app.ask('/v1/reports', { method: 'POST', payload: { ...good, region: 'CA-ON', device_class: 'mac', symptom: 'sending', impact: 'blocked', comment: 'nothing goes out', observed_at: '2012-11-18T12:05:59.999Z', reporter: 'x', proof: 'y' } })
  t.equal(status, 201)
  exactly(t, Report, body)
  members(t, body, 'id received_at window disposition service')
  members(t, body.service, 'slug name group components state since window outages official disputed disputed_since freshness workarounds fallbacks')
  t.match(body.id, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/, 'a UUIDv8')
  t.equal(body.received_at, '2012-11-18T12:07:30.500Z')
  t.strictSame(body.window, { start: '2012-11-18T12:05:00Z', end: '2012-11-18T12:06:00Z' })
  t.equal(body.disposition, 'counted')
  t.equal(body.service.slug, 'imessage')
  t.equal(headers['cache-control'], 'no-store')
})

t.test('the same report again is 200 with the same id, a duplicate, and counts once', async t => {
  const address = freshAddress()
  const minute = '2012-11-18T11:07:00Z'
  const body = { service: 'github', verdict: 'down', observed_at: '2012-11-18T11:07:10Z' }
  const first = await app.report(body, address)
  for (const again of [body, { ...body, region: 'CA', device_class: 'mac', comment: 'again' }, { ...body, observed_at: '2012-11-18T11:14:59Z' }]) {
    const { status, body: { id, disposition } } = await app.report(again, address)
    t.strictSame({ status, id, disposition }, { status: 200, id: first.body.id, disposition: 'duplicate' })
  }
  app.now = new Date('2012-11-18T16:00:00Z')
  t.equal((await app.report(body, address)).body.id, first.body.id, 'a retry hours later is the same report')
  t.equal(await countIn(app, minute), 1)
  t.equal(await countIn(app, minute, 'CA'), 0, 'the first one stands')
})

t.test('a report differs by verdict, by service, by interval, by network, by nonce and by platform, and by nothing else', async t => {
  const address = freshAddress()
  const ids = new Set<string>()
  const add = async (body: object, from = address, headers = {}) => { ids.add((await app.report({ ...good, ...body }, from, headers)).body.id) }
  await add({})
  await add({ region: 'US' })
  await add({ device_class: 'iphone' })
  await add({}, address, { 'user-agent': 'curl/8' })
  await add({ reporter: '' })
  t.equal(ids.size, 1)
  await add({ verdict: 'working' })
  await add({ verdict: 'degraded' })
  await add({ service: 'github' })
  await add({ observed_at: '2012-11-18T11:59:59Z' })
  await add({}, freshAddress())
  await add({ reporter: '1' })
  await add({}, address, { 'user-agent': 'Mozilla/5.0 (iPhone; CPU iPhone OS 6_0)' })
  t.equal(ids.size, 8)
})

t.test('the fourth voice of a network in an interval is kept and not counted, whatever becomes of the others', async t => {
  for (const [first, address] of [
    ['198.51.100.1', (host: number) => `198.51.100.${host}`],
    ['2001:db8:77::1', (host: number) => `2001:db8:77:${host}::${host}`]
  ] as const) {
    const seen: string[] = []
    const say = async (host: number, body = {}) => { seen.push((await app.report({ ...good, ...body }, address(host))).body.disposition) }
    for (const host of [1, 2, 3, 4, 5]) await say(host)
    await say(4)
    await say(1)
    t.strictSame(seen, ['counted', 'counted', 'counted', 'quarantined', 'quarantined', 'duplicate', 'duplicate'], first)
    const other = await app.report({ ...good, service: 'github' }, address(6))
    t.equal(other.body.disposition, 'counted', 'another service has its own voices')
    const later = await app.report({ ...good, observed_at: '2012-11-18T11:50:00Z' }, address(7))
    t.equal(later.body.disposition, 'counted', 'and so has another interval')
  }
  t.equal((await app.report(good, '198.51.101.1')).body.disposition, 'counted', 'the next /24')
  t.equal((await app.report(good, '2001:db8:78::1')).body.disposition, 'counted', 'the next /48')
})

t.test('what comes at once is told apart as what comes in turn', async t => {
  const address = freshAddress()
  const same = await Promise.all(Array.from({ length: 20 }, () => app.report(good, address)))
  t.strictSame(same.map(({ status }) => status).sort(), [...Array(19).fill(200), 201])
  t.equal(new Set(same.map(({ body }) => body.id)).size, 1)
  const crowd = freshAddress()
  const many = await Promise.all(Array.from({ length: 20 }, (_, i) => app.report({ ...good, reporter: `${i}` }, crowd)))
  t.equal(many.filter(({ body }) => body.disposition === 'counted').length, 3)
  t.equal(many.filter(({ body }) => body.disposition === 'quarantined').length, 17)
})

t.test('an IPv4 address is the same in IPv6 clothes', async t => {
  const first = await app.report(good, '192.0.2.200')
  for (const dressed of ['::ffff:192.0.2.200', '::ffff:c000:2c8']) t.equal((await app.report(good, dressed)).body.id, first.body.id)
})

t.test('observed_at reaches from 24 h ago to 120 s ahead, which is taken as now', async t => {
  const cases: [number, number, string?][] = [
    [-86_400_000, 201, '2012-11-17T12:07:00Z'], [-86_400_001, 422], [0, 201, '2012-11-18T12:07:00Z'], [29_500, 201, '2012-11-18T12:07:00Z'],
    [120_000, 201, '2012-11-18T12:07:00Z'], [120_001, 422], [-30_501, 201, '2012-11-18T12:06:00Z'], [-31_536_000_000, 422]
  ]
  for (const [offset, status, start] of cases) {
    const answer = await app.report({ ...good, observed_at: new Date(NOW.getTime() + offset).toISOString() }, freshAddress())
    t.equal(answer.status, status, `${offset} ms`)
    if (status === 422) problem(t, answer, 'invalid', ['/observed_at'])
    else t.equal(answer.body.window.start, start)
  }
})

t.test('a deeper region is counted as its first level', async t => {
  for (const [region, counted] of [['FR-75C', 'FR-IDF'], ['CA-ON', 'CA-ON'], ['US', 'US'], ['ZZ', 'ZZ']] as const) {
    await app.report({ service: 'github', verdict: 'down', region, observed_at: '2012-11-18T09:00:00Z' }, freshAddress())
    t.equal(await countIn(app, '2012-11-18T09:00:00Z', counted), 1, region)
  }
})

t.test('a wrong field is named, whatever is wrong with it', async t => {
  const wrong: Record<string, unknown[]> = {
    service: ['nope', '', 'IMESSAGE', 'a'.repeat(65), 'imessage\u0000', ' imessage', 7, null, {}, []],
    verdict: ['broken', '', 'DOWN', 0, null, true, ['down']],
    region: ['XX', 'ca', '', 'CA-', 'CA-XX', 'CANADA-ONTARIO', '*', 1, null, '\ud800', 'C\u0000'],
    device_class: ['toaster', '', '*', 1, null, 'mac\u0000', '\ud800'],
    symptom: ['love', '', 1, null],
    impact: ['some', '', 1, null],
    comment: ['x'.repeat(281), '😀'.repeat(281), 'a\u0000b', 'a\u001bb', '\u007f', '\ud800', 'a\udfff', 1, null, ['x']],
    observed_at: ['', 'now', '2012-11-18', '2012-11-18T12:00:00', '2012-11-18 12:00:00Z', '2012-11-18T12:00:00+01:00', '2012-02-30T12:00:00Z', '2012-11-18T24:00:00Z', '0001-01-01T00:00:00Z', '9999-12-31T23:59:59Z', 1353240000, null],
    reporter: ['x'.repeat(65), '😀'.repeat(65), 1, null, {}],
    proof: ['x'.repeat(4097), 1, null, {}]
  }
  for (const [field, values] of Object.entries(wrong)) {
    for (const value of values) problem(t, await send({ ...good, [field]: value }), 'invalid', [`/${field}`])
  }
})

t.test('whatever is long or strange and within bounds is taken', async t => {
  const fine = [
    { comment: '😀'.repeat(280) }, { comment: 'two\nlines\tand a tab\r\n' }, { comment: '' }, { comment: '  ' }, { comment: '\u202e\u0301' }, { comment: "'; drop table reports; --" },
    { reporter: '😀'.repeat(64) }, { reporter: '\u0000' }, { reporter: '\ud800' }, { region: 'ZZ' }, { device_class: 'unknown' }, { impact: 'none' }
  ]
  for (const more of fine) t.equal((await app.report({ ...good, ...more }, freshAddress())).status, 201, JSON.stringify(more).slice(0, 40))
})

t.test('a missing member is named', async t => {
  problem(t, await send({}), 'invalid', ['/service', '/verdict'])
  problem(t, await send({ service: 'imessage' }), 'invalid', ['/verdict'])
})

t.test('unknown members are refused by name, and then everything that is wrong is listed', async t => {
  problem(t, await send({ ...good, 'a/b~c': 1, '': 2, servce: 'x' }), 'malformed', ['/a~1b~0c', '/', '/servce'])
  problem(t, await send('{"service":"imessage","verdict":"down","__proto__":{"admin":true},"constructor":{"prototype":1},"toString":1}'), 'malformed', ['/__proto__', '/constructor', '/toString'])
  problem(t, await send({ service: 'nope', verdict: 'broken', region: 'XX', device_class: 'toaster', observed_at: '2011-01-01T00:00:00Z', foo: 1 }),
    'malformed', ['/service', '/verdict', '/region', '/device_class', '/observed_at', '/foo'])
  problem(t, await send({ service: 'nope', verdict: 'broken', symptom: 'love' }), 'invalid', ['/service', '/verdict', '/symptom'])
})

t.test('a parameter is refused by name, beside whatever is wrong with the body', async t => {
  const ask = (payload: object) => app.ask('/v1/reports?dry_run=1&dry_run=2', { method: 'POST', payload })
  problem(t, await ask(good), 'malformed', ['/dry_run'])
  problem(t, await ask({ ...good, verdict: 'broken' }), 'malformed', ['/dry_run', '/verdict'])
})

t.test('a body that is no JSON object is refused', async t => {
  for (const text of ['{', '{"service":"imessage",}', "{'a':1}", 'down', '{"a":1}{"b":2}', '\u0000', '﻿', 'NaN', '[1,', ' ']) problem(t, await send(text), 'malformed')
  for (const text of ['null', '[]', '[{}]', '"x"', '7', 'true']) problem(t, await send(text), 'invalid', [''])
  problem(t, await send(''), 'malformed')
  problem(t, await app.ask('/v1/reports', { method: 'POST' }), 'malformed', [''])
})

t.test('a body of another type or coding is not read', async t => {
  const text = JSON.stringify(good)
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/xml', 'application/x-ndjson', 'application/jsonx', 'multipart/form-data; boundary=x', 'nonsense']) {
    problem(t, await send(text, { 'content-type': type }), 'unsupported-media-type')
  }
  problem(t, await send(text, { 'content-type': 'application/json', 'content-encoding': 'gzip' }), 'unsupported-media-type')
  for (const type of ['application/json; charset=utf-8', 'APPLICATION/JSON']) {
    t.equal((await send(text, { 'content-type': type, 'x-forwarded-for': freshAddress() })).status, 201, type)
  }
})

t.test('a body that is too large or too deep harms nobody', async t => {
  problem(t, await send(JSON.stringify({ ...good, comment: 'x'.repeat(20_000) })), 'too-large')
  problem(t, await send('x'.repeat(5_000_000)), 'too-large')
  problem(t, await send('['.repeat(16_000)), 'malformed')
  problem(t, await send(`${'['.repeat(8_000)}${']'.repeat(8_000)}`), 'invalid', [''])
  problem(t, await send(`{"service":${'{"a":'.repeat(2_000)}1${'}'.repeat(2_000)},"verdict":"down"}`), 'invalid', ['/service'])
  const many = Object.fromEntries(Array.from({ length: 1_500 }, (_, i) => [`k${i}`, 1]))
  const { status, body } = await send({ ...good, ...many })
  t.equal(status, 400)
  t.equal(body.errors.length, 100, 'no more than a hundred are named')
})

t.test('property: whatever JSON comes, the answer is a report or a problem that points at what is wrong', async () => {
  const names = ['service', 'verdict', 'region', 'device_class', 'symptom', 'impact', 'comment', 'observed_at', 'reporter', 'proof', '__proto__', 'x']
  const value = fc.oneof(fc.jsonValue(), fc.constantFrom('imessage', 'down', 'CA', 'mac', 'sending', 'none', '2012-11-18T12:00:00Z'), fc.string({ unit: 'binary' }))
  const body = fc.oneof(fc.jsonValue(), fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string({ unit: 'binary' })), value),
    fc.record(Object.fromEntries(names.map(name => [name, value])), { requiredKeys: [] }),
    value.chain(extra => fc.constantFrom(...names).map(name => ({ ...good, [name]: extra }))))
  await fc.assert(fc.asyncProperty(body, async sent => {
    const { status, body } = await send(JSON.stringify(sent))
    if (status === 200 || status === 201) return Report.safeParse(body).success
    const checked = Problem.safeParse(body)
    return [400, 413, 422].includes(status) && checked.success &&
      (status === 413 || (checked.data.errors ?? []).every(({ pointer }) => /^(\/([^~]|~[01])*)*$/su.test(pointer))) &&
      (status === 413 || checked.data.errors !== undefined)
  }), { numRuns: 300 })
})

import { request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { HOUR_MS, MINUTE_MS } from '../../src/core/time.ts'
import { Batch, itemsOfLines } from '../../src/http/batches.ts'
import { createToken, revokeToken } from '../../src/http/tokens.ts'
import { openTestApp, type TestApp } from '../app.ts'
import { createDatabase } from '../database.ts'
import { cutOff, exactly, members, problem, type Answer } from './contract.ts'

const NOW = new Date('2012-11-18T12:00:00Z')
const app = await openTestApp(t, { now: NOW })
const token = await app.token()
const ZEROS = { received: 0, counted: 0, duplicate: 0, quarantined: 0, refused: 0, problems: [] }

async function send (payload: string | Buffer | Readable | object, type = 'application/json', authorization = `Bearer ${token}`, to: TestApp = app): Promise<Answer> {
  const headers = { 'content-type': type, ...(authorization === '' ? {} : { authorization }) }
  return to.ask('/v1/reports/batch', { method: 'POST', payload, headers })
}
const lines = (payload: string | Buffer | Readable) => send(payload, 'application/x-ndjson')

let reporters = 0
const item = (more = {}) => ({ service: 'imessage', verdict: 'down', reporter: `r${reporters++}`, observed_at: '2012-11-18T11:50:00Z', ...more })
const ndjson = (items: unknown[], end = '\n') => items.map(one => `${JSON.stringify(one)}${end}`).join('')

async function stored (): Promise<number> {
  const [row] = await app.database.query<{ count: number }>('select count(*)::integer as count from reports')
  return row!.count
}

/** Passes when an answer has these counts, sums up, and names items at these positions. */
function counts (t: Tap, answer: Answer, expected: Partial<typeof ZEROS>, named: number[] = []): void {
  t.equal(answer.status, 200, JSON.stringify(answer.body).slice(0, 300))
  exactly(t, Batch, answer.body)
  members(t, answer.body, 'received counted duplicate quarantined refused problems')
  const { problems, received, counted, duplicate, quarantined, refused } = answer.body
  t.match(answer.body, expected)
  t.equal(received, counted + duplicate + quarantined + refused)
  t.strictSame(problems.map(({ index }: { index: number }) => index), named)
}
type Tap = Pick<typeof t, 'equal' | 'match' | 'strictSame'>

t.test('without a good token nothing is read, and every reason gets the same answer', async t => {
  const [, id, secret] = token.split('_') as [string, string, string]
  const { token: expired } = await createToken(app.database, { name: 'old', scopes: ['import'], expiresAt: NOW }, 'test', new Date('2012-11-01T00:00:00Z'))
  const revoked = await app.token()
  await revokeToken(app.database, revoked.split('_')[1]!, 'test', NOW)
  const bad = ['', token, `Basic ${token}`, `Bearer ${token}x`, `Bearer ${token.slice(0, -1)}`, `Bearer gsw_${'0'.repeat(12)}_${secret}`, `Bearer gsw_${id}_`,
    `Bearer gsw_${id}_${secret} x`, 'Bearer', 'Bearer ', `Bearer ${expired}`, `Bearer ${revoked}`, `Bearer gsw_${'\u00e9'}_x`, `Bearer ${'x'.repeat(5_000)}`]
  const answers: unknown[] = []
  for (const authorization of bad) {
    const answer = await send('{this is not read', 'application/json', authorization)
    problem(t, answer, 'unauthorized')
    t.match(answer.headers!['www-authenticate'], /^Bearer/)
    answers.push({ ...answer.body, request_id: '' })
  }
  t.equal(new Set(answers.map(answer => JSON.stringify(answer))).size, 1)
  problem(t, await send('{this is not read', 'application/json', `Bearer ${await app.token(['moderate', 'catalog', 'webhooks'])}`), 'forbidden')
  for (const scheme of ['bearer', 'BEARER', 'Bearer ']) counts(t, await send('', 'application/json', `${scheme} ${token}`), ZEROS)
  counts(t, await send('[]', 'application/json', `Bearer ${await app.token(['admin'])}`), ZEROS)
})

t.test('an endless body is not awaited when the token is bad', async t => {
  let read = 0
  const endless = Readable.from((function * () { while (true) { read++; yield Buffer.alloc(1024, 0x20) } })())
  problem(t, await send(endless, 'application/x-ndjson', 'Bearer gsw_x_y'), 'unauthorized')
  t.ok(read < 1_000, `${read} KiB`)
})

t.test('an empty body is a batch of nothing', async t => {
  for (const type of ['application/json', 'application/x-ndjson']) counts(t, await send('', type), ZEROS)
  for (const text of ['\n', '\r\n\r\n', '\n'.repeat(1_000), '   \n']) counts(t, await lines(text), ZEROS)
  counts(t, await send('[]'), ZEROS)
  const { status, body } = await app.ask('/v1/reports/batch', { method: 'POST', headers: { authorization: `Bearer ${token}` } })
  counts(t, { status, body }, ZEROS)
})

t.test('sending it again doubles nothing, as an array or as lines', async t => {
  const items = Array.from({ length: 1_000 }, () => item({ region: 'CA-ON', device_class: 'mac' }))
  counts(t, await send(items), { received: 1_000, counted: 1_000 })
  const before = await stored()
  counts(t, await send(items), { received: 1_000, duplicate: 1_000 })
  counts(t, await lines(ndjson(items)), { received: 1_000, duplicate: 1_000 })
  counts(t, await lines(ndjson([...items.slice(0, 10), item(), ...items.slice(0, 5)])), { received: 16, counted: 1, duplicate: 15 })
  const twin = item()
  counts(t, await send([twin, twin, { ...twin, region: 'US' }]), { received: 3, counted: 1, duplicate: 2 })
  t.equal(await stored(), before + 2)
})

t.test('the same reports in two batches at once, and once more within one, count once each', async t => {
  const before = await stored()
  const items = Array.from({ length: 3_500 }, (_, i) => item({ service: ['imessage', 'github', 'slack'][i % 3] }))
  const answers = await Promise.all([lines(ndjson([...items, ...items])), lines(ndjson([...items].reverse())), lines(ndjson(items))])
  for (const answer of answers) counts(t, answer, { refused: 0 })
  const sum = (key: string) => answers.reduce((sum, { body }) => sum + body[key], 0)
  t.equal(sum('counted'), 3_500)
  t.equal(sum('duplicate'), 3 * 3_500)
  t.equal(await stored(), before + 3_500)
})

t.test('a relay answers for its networks: thousands of one address count', async t => {
  counts(t, await send(Array.from({ length: 50 }, () => item({ service: 'github' }))), { counted: 50, quarantined: 0 })
})

t.test('more than a thousand in an array are refused whole, and so is a broken one', async t => {
  const before = await stored()
  const answer = await send(Array.from({ length: 1_001 }, () => item()))
  t.equal(answer.status, 413)
  t.match(answer.body, { type: '/problems/too-large', received: 0, counted: 0 })
  problem(t, await send(`${JSON.stringify([item(), item()]).slice(0, -1)},`), 'malformed')
  problem(t, await send(`[${JSON.stringify(item({ comment: 'x'.repeat(9_000_000) }))}]`), 'too-large')
  for (const text of ['{}', '7', '"x"', 'null', JSON.stringify(item())]) t.match(await send(text), { status: 422, body: { type: '/problems/invalid' } })
  for (const type of ['text/plain', 'text/csv', 'application/xml']) problem(t, await send(ndjson([item()]), type), 'unsupported-media-type')
  t.equal(await stored(), before)
})

t.test('bad items are named by their position, and the good ones beside them are taken', async t => {
  const { reporter, ...anonymous } = item()
  const bad: [unknown, string, string[]][] = [
    [anonymous, 'invalid', ['/reporter']], [item({ reporter: '' }), 'invalid', ['/reporter']], [item({ reporter: 7, verdict: 'x' }), 'invalid', ['/reporter', '/verdict']],
    [item({ service: 'nope' }), 'invalid', ['/service']], [item({ region: 'XX', device_class: 'toaster' }), 'invalid', ['/device_class', '/region']],
    [item({ observed_at: '2012-10-18T00:00:00Z' }), 'invalid', ['/observed_at']], [item({ observed_at: '2012-11-18T12:02:01Z' }), 'invalid', ['/observed_at']],
    [item({ foo: 1, verdict: 'x' }), 'malformed', ['/foo', '/verdict']], [null, 'invalid', ['']], [[], 'invalid', ['']], ['x', 'invalid', ['']]
  ]
  const items = bad.flatMap(([sent]) => [item(), sent])
  const positions = bad.map((_, i) => 2 * i + 1)
  for (const answer of [await send(items), await lines(ndjson(bad.flatMap(([sent]) => [item(), sent])))]) {
    counts(t, answer, { received: 22, counted: 11, refused: 11 }, positions)
    t.strictSame(answer.body.problems.map(({ type, errors }: any) => [type, errors.map(({ pointer }: any) => pointer).sort()]),
      bad.map(([, type, pointers]) => [`/problems/${type}`, pointers]))
    members(t, answer.body.problems[0], 'index type title status detail errors')
  }
  const poisoned = '{"service":"imessage","verdict":"down","reporter":"p","__proto__":{"x":1}}'
  for (const answer of [await send(`[${poisoned}]`), await lines(poisoned)]) t.strictSame(answer.body.problems[0].errors.map(({ pointer }: any) => pointer), ['/__proto__'])
})

t.test('lines end in LF or CRLF, the last one in nothing, and blank ones do not count', async t => {
  counts(t, await lines(ndjson([item(), item(), item()], '\r\n')), { received: 3, counted: 3 })
  counts(t, await lines(`\n${ndjson([item(), item()], '\n\n \r\n')}${JSON.stringify(item())}`), { received: 3, counted: 3 })
  counts(t, await lines(`\ufeff${ndjson([item()])}`), { received: 1, counted: 1 })
  counts(t, await lines(`${ndjson([item()])}{"service":"imessa`), { received: 2, counted: 1, refused: 1 }, [1])
  counts(t, await lines(`\n${'not json'}\n\u0000\n[1,2\n${ndjson([item()])}`), { received: 4, counted: 1, refused: 3 }, [0, 1, 2])
  const bytes = Buffer.from(ndjson([item({ comment: 'é😀' }), item()]))
  counts(t, await lines(Readable.from([...bytes].map(byte => Buffer.from([byte])))), { received: 2, counted: 2 })
  counts(t, await lines(Buffer.concat([Buffer.from([0xff, 0xfe, 0x0a]), bytes])), { received: 3, duplicate: 2, refused: 1 }, [0])
})

t.test('a line over 8 KiB is refused and reading goes on', async t => {
  const padded = (bytes: number) => {
    const text = JSON.stringify(item())
    return text.slice(0, -1) + ' '.repeat(bytes - text.length) + '}'
  }
  const answer = await lines(`${padded(8_192)}\n${padded(8_193)}\n${'x'.repeat(3_000_000)}\n${padded(8_192)}\r\n${JSON.stringify(item())}`)
  counts(t, answer, { received: 5, counted: 3, refused: 2 }, [1, 2])
  t.strictSame(answer.body.problems.map(({ type }: { type: string }) => type), ['/problems/too-large', '/problems/too-large'])
})

t.test('line 100,001 ends it with 413 and the counts so far, which are committed', async t => {
  const before = await stored()
  const good = ndjson(Array.from({ length: 700 }, () => item()))
  const body = `${good}${'{}\n'.repeat(99_300)}${ndjson([item()])}${'never taken\n'.repeat(100_000)}`
  const url = await app.http.listen({ port: 0, host: '127.0.0.1' })
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' }
  const response = await fetch(`${url}/v1/reports/batch`, { method: 'POST', headers, body })
  const answer = await response.json() as { problems: unknown[] }
  t.equal(response.status, 413, 'over a real connection, whose rest is not cut off')
  t.match(answer, { type: '/problems/too-large', received: 100_000, counted: 700, refused: 99_300, duplicate: 0 })
  t.equal(answer.problems.length, 1_000, 'no more than a thousand are named')
  t.equal(await stored(), before + 700)
})

t.test('a database lost midway is told as 503 with the counts so far, and the file sent again completes them', async t => {
  const database = await createDatabase(t)
  const app = await openTestApp(t, { now: NOW, database })
  const authorization = `Bearer ${await app.token()}`
  const items = Array.from({ length: 2_400 }, () => item())
  const absence = cutOff(database)
  const answer = await send(Readable.from((async function * () {
    yield ndjson(items.slice(0, 1_200))
    while ((await app.database.query('select 1 from reports limit 1')).length === 0) await setImmediate()
    await absence.begin()
    yield ndjson(items.slice(1_200))
  })()), 'application/x-ndjson', authorization, app)
  t.match(answer, { status: 503, headers: { 'retry-after': /^\d+$/ }, body: { type: '/problems/unavailable', received: 1_000, counted: 1_000, refused: 0, problems: [] } })
  await absence.end()
  const again = await send(ndjson(items), 'application/x-ndjson', authorization, app)
  counts(t, again, { received: 2_400, counted: 1_400, duplicate: 1_000 })
})

t.test('a connection lost midway keeps what was whole, and is no failure of ours', async t => {
  const before = await stored()
  const { port } = app.http.server.address() as AddressInfo
  const client = request({ port, host: '127.0.0.1', method: 'POST', path: '/v1/reports/batch', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' } })
  client.on('error', () => {})
  client.write(ndjson(Array.from({ length: 1_200 }, () => item())) + '{"service":"imess')
  while (await stored() < before + 1_000) await setImmediate()
  client.destroy()
  while (await stored() < before + 1_200) await setImmediate()
  t.equal(await stored(), before + 1_200)
})

t.test('property: whatever a line holds, no answer is a 5xx', async () => {
  const { default: fc } = await import('fast-check')
  const line = fc.oneof(fc.json(), fc.string({ unit: 'binary' }).map(text => text.replaceAll('\n', '')), fc.constantFrom('{}', '[]', '', '\r'))
  await fc.assert(fc.asyncProperty(fc.array(line, { maxLength: 20 }), async found => {
    const { status, body } = await lines(found.join('\n'))
    return status === 200 && Batch.safeParse(body).success && body.received === found.filter(text => text.trim() !== '').length
  }), { numRuns: 100 })
})

t.test('the limit counts whoever asks, before the token is looked at', async t => {
  const limited = await openTestApp(t, { limits: { reports: { max: 9, windowS: 60 }, reads: { max: 9, windowS: 60 }, admin: { max: 2, windowS: 60 } } })
  for (const name of ['unauthorized', 'unauthorized', 'rate-limited']) problem(t, await send('[]', 'application/json', 'Bearer gsw_x_y', limited), name)
})

t.test('imported history is judged: the curve has its baseline, and nothing of it is late', async t => {
  const app = await openTestApp(t, { now: NOW })
  const authorization = `Bearer ${await app.token()}`
  const items: object[] = []
  for (let at = NOW.getTime() - 72 * HOUR_MS; at < NOW.getTime(); at += 20 * MINUTE_MS) {
    items.push(item({ verdict: at % HOUR_MS === 0 ? 'down' : 'working', observed_at: new Date(at).toISOString() }))
  }
  counts(t, await send(items, 'application/json', authorization, app), { counted: 216 })
  t.strictSame(await app.database.query('select count(*)::integer as count from reports where late'), [{ count: 0 }])
  const [row] = await app.database.query<{ history_from: Date, history_to: Date }>("select history_from, history_to from services where slug = 'imessage'")
  t.strictSame(row, { history_from: new Date('2012-11-15T12:00:00Z'), history_to: new Date('2012-11-18T11:40:00Z') })
  const curve = async () => (await app.ask('/v1/services/imessage/curve?window=1h&from=2012-11-16T12:00:00Z&to=2012-11-16T14:00:00Z')).body.points
  t.match(await curve(), [{ down: 0, gap: false, expected_down: null, state: 'unknown' }, {}], 'watched, and not yet judged or rolled up')
  for (let minute = 0; minute < 8; minute++) await app.passMinute()
  t.match(await curve(), [{ down: 1, working: 2, gap: false, expected_down: Number, upper_down: Number, state: 'operational' }, {}])
  const { body } = await app.ask('/v1/services/imessage/curve?window=1h&from=2012-11-15T10:00:00Z&to=2012-11-15T14:00:00Z')
  t.strictSame(body.points.map(({ gap }: { gap: boolean }) => gap), [true, true, false, false])
  await send([item({ observed_at: '2012-11-18T12:01:00Z' })], 'application/json', authorization, app)
  t.strictSame(await app.database.query('select count(*)::integer as count from reports where late'), [{ count: 1 }], 'what is no history may be late')
})

t.test('a token that is revoked while its batch flows takes no more, and the answer says how far it came', async t => {
  const doomed = await app.token()
  async function * lines () {
    for (let i = 0; i < 6_000; i++) {
      if (i === 3_000) await revokeToken(app.database, doomed.split('_')[1]!, 'test', new Date())
      yield `${JSON.stringify({ service: 'imessage', verdict: 'down', reporter: `revoked-${i}` })}\n`
    }
  }
  const answer = await app.ask('/v1/reports/batch', {
    method: 'POST', headers: { authorization: `Bearer ${doomed}`, 'content-type': 'application/x-ndjson' }, payload: Readable.from(lines())
  })
  t.equal(answer.status, 401)
  t.match(answer.body, { type: '/problems/unauthorized', counted: Number })
  t.ok(answer.body.counted >= 1_000 && answer.body.counted < 6_000, `${answer.body.counted} were taken`)
})

t.test('blank lines without end hold nobody up', async t => {
  const source = Readable.from([Buffer.alloc(100_000, '\n')])
  const pause = { turns: 0, over: false }
  const others = (async () => {
    for (; !pause.over; pause.turns++) await setImmediate()
  })()
  for await (const item of itemsOfLines(source)) t.fail(`${JSON.stringify(item)} is no item`)
  pause.over = true
  await others
  t.ok(pause.turns > 50, `${pause.turns} turns of others`)
})

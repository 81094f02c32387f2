import fc from 'fast-check'
import t from 'tap'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../src/core/time.ts'
import { Breakdown } from '../../src/http/breakdowns.ts'
import { Curve } from '../../src/http/curves.ts'
import { addressOf, openTestApp } from '../app.ts'
import { exactly, members, problem } from './contract.ts'

const NOW = new Date('2012-11-18T12:34:56.789Z')
const app = await openTestApp(t, { now: NOW })
t.beforeEach(() => { app.now = NOW })
const WIDTHS = { '1m': MINUTE_MS, '5m': 5 * MINUTE_MS, '15m': 15 * MINUTE_MS, '1h': HOUR_MS, '1d': DAY_MS }

type Total = { working: number, degraded: number, down: number }
const sum = (parts: Total[]): Total => parts.reduce((a, b) => ({ working: a.working + b.working, degraded: a.degraded + b.degraded, down: a.down + b.down }), { working: 0, degraded: 0, down: 0 })
const pick = ({ working, degraded, down }: Total): Total => ({ working, degraded, down })

async function curveOf (query: string, service = 'imessage') {
  const { status, body } = await app.ask(`/v1/services/${service}/curve?${query}`)
  if (status !== 200) throw new Error(JSON.stringify(body))
  return body
}

t.test('a curve has the members of the contract, and so has each point', async t => {
  for (const window of Object.keys(WIDTHS)) {
    const body = await curveOf(`window=${window}`)
    exactly(t, Curve, body)
    members(t, body, 'service window_s region device_class points')
    members(t, body.points[0], 'start working degraded down expected_down upper_down state complete gap')
    t.match(body, { service: 'imessage', window_s: WIDTHS[window as '1m'] / 1000, region: '*', device_class: '*' })
  }
})

t.test('without parameters it is the last 24 hours at 5 minutes, even, aligned, and up to the open window', async t => {
  const { points, window_s: windowS } = await curveOf('')
  t.equal(windowS, 300)
  t.equal(points.length, 289)
  t.strictSame([points[0].start, points.at(-1).start], ['2012-11-17T12:30:00Z', '2012-11-18T12:30:00Z'])
  t.strictSame(points.map(({ complete }: { complete: boolean }) => complete), [...Array(288).fill(true), false])
  points.forEach(({ start }: { start: string }, i: number) => t.equal(Date.parse(start), Date.parse(points[0].start) + i * 300_000))
})

t.test('from is floored and to is ceiled to the window, and cut after the open one', async t => {
  const cases: [string, string, string, string, number][] = [
    ['1m', '2012-11-18T11:00:59.999Z', '2012-11-18T11:01:00.001Z', '2012-11-18T11:00:00Z', 2],
    ['5m', '2012-11-18T11:04:59Z', '2012-11-18T11:05:00Z', '2012-11-18T11:00:00Z', 1],
    ['15m', '2012-11-18T12:29:00Z', '2012-11-18T12:31:00Z', '2012-11-18T12:15:00Z', 2],
    ['1h', '2012-11-17T23:59:59Z', '2012-11-18T00:00:00.001Z', '2012-11-17T23:00:00Z', 2],
    ['1d', '2012-03-25T00:59:59Z', '2012-03-26T00:00:01Z', '2012-03-25T00:00:00Z', 2],
    ['1d', '2012-02-28T12:00:00Z', '2012-03-01T00:00:00Z', '2012-02-28T00:00:00Z', 2],
    ['1m', '2012-11-18T12:33:00Z', '9999-12-31T23:59:59Z', '2012-11-18T12:33:00Z', 2],
    ['1h', '2012-11-18T12:34:56.788Z', '2013-01-01T00:00:00Z', '2012-11-18T12:00:00Z', 1],
    ['1d', '2012-11-18T12:00:00Z', '2012-11-18T12:34:56.789Z', '2012-11-18T00:00:00Z', 1]
  ]
  for (const [window, from, to, start, count] of cases) {
    const { points } = await curveOf(`window=${window}&from=${from}&to=${to}`)
    t.strictSame([points[0].start, points.length], [start, count], `${window} ${from} ${to}`)
  }
  const { points } = await curveOf('window=1h&to=2012-11-01T00:00:00Z')
  t.strictSame([points[0].start, points.length], ['2012-10-31T00:00:00Z', 24], 'from is a day before to')
})

t.test('property: every grain and every partition by country, subdivision and device class adds up to what was sent', async t => {
  const regions = ['CA', 'CA-ON', 'CA-QC', 'US', 'US-CA', 'FR-75C', 'ZZ', undefined]
  const classes = ['mac', 'iphone', 'ipad-wifi', 'unknown', undefined]
  const report = fc.record({
    verdict: fc.constantFrom('working', 'degraded', 'down'), region: fc.constantFrom(...regions), device_class: fc.constantFrom(...classes), ago: fc.integer({ min: 0, max: DAY_MS - 1 })
  })
  let sent = 0
  const expected: { counts: Total, country: string, subdivision: string, device: string, at: number }[] = []
  await fc.assert(fc.asyncProperty(fc.array(report, { minLength: 1, maxLength: 25 }), async found => {
    for (const { ago, ...body } of found) {
      const at = NOW.getTime() - ago
      const { status } = await app.report({ service: 'github', ...body, observed_at: new Date(at).toISOString() }, addressOf(sent++))
      if (status !== 201) return false
      const subdivision = body.region === 'FR-75C' ? 'FR-IDF' : body.region ?? 'ZZ'
      expected.push({ counts: { working: 0, degraded: 0, down: 0, [body.verdict]: 1 }, country: subdivision.slice(0, 2), subdivision, device: body.device_class ?? 'unknown', at })
    }
    await app.jobs.tick()
    const total = async (query: string) => sum((await curveOf(query, 'github')).points)
    const all = (keep: (one: typeof expected[number]) => boolean = () => true) => sum(expected.filter(keep).map(({ counts }) => counts))
    const same: [Total, Total][] = []
    for (const window of Object.keys(WIDTHS)) same.push([await total(`window=${window}&from=2012-11-17T12:34:00Z`), all()])
    for (const region of ['CA', 'US', 'FR', 'ZZ']) same.push([await total(`region=${region}&window=1h`), all(({ country }) => country === region)])
    for (const region of ['CA-ON', 'CA-QC', 'US-CA', 'FR-IDF', 'FR-75C']) same.push([await total(`region=${region}`), all(({ subdivision }) => subdivision === region.replace('FR-75C', 'FR-IDF'))])
    for (const device of ['mac', 'iphone', 'ipad-wifi', 'unknown', 'web']) same.push([await total(`device_class=${device}&window=15m`), all(one => one.device === device)])
    same.push([await total('region=CA&device_class=mac'), all(({ country, device }) => country === 'CA' && device === 'mac')])
    const cells = async (query: string): Promise<(Total & { key: string })[]> => {
      const { body } = await app.ask(`/v1/services/github/breakdown?${query}`)
      exactly(t, Breakdown, body)
      return body.cells
    }
    for (const [query, key, keep] of [['by=region', 'country', () => true], ['by=device_class', 'device', () => true],
      ['by=region&region=CA', 'subdivision', one => one.country === 'CA'], ['by=device_class&region=US', 'device', one => one.country === 'US']] as
      [string, 'country' | 'subdivision' | 'device', (one: typeof expected[number]) => boolean][]) {
      const kept = expected.filter(keep)
      for (const cell of await cells(`${query}&from=2012-11-17T12:34:00Z`)) same.push([pick(cell), sum(kept.filter(one => one[key] === cell.key).map(({ counts }) => counts))])
      same.push([sum(await cells(`${query}&from=2012-11-17T12:34:00Z`)), sum(kept.map(({ counts }) => counts))])
    }
    const one = expected.at(-1)!
    const minute = new Date(one.at).toISOString()
    const { points } = await curveOf(`window=1m&from=${minute}&to=${new Date(one.at + 1).toISOString()}`, 'github')
    same.push([pick(points[0]), all(({ at }) => Math.floor(at / MINUTE_MS) === Math.floor(one.at / MINUTE_MS))])
    same.forEach(([found, wanted]) => t.strictSame(found, wanted))
    return true
  }), { numRuns: 6 })
})

t.test('what cannot be answered is refused, and the parameter named', async t => {
  const ask = (query: string, service = 'imessage') => app.ask(`/v1/services/${service}/curve?${query}`)
  for (const [query, pointer] of [
    ['from=2012-11-18T12:00:00Z&to=2012-11-18T12:00:00Z', '/from'], ['from=2012-11-18T12:00:01Z&to=2012-11-18T12:00:00Z', '/from'], ['from=2012-11-18T12:34:56.789Z', '/from'],
    ['from=2013-01-01T00:00:00Z&to=2013-01-02T00:00:00Z', '/from'], ['from=yesterday', '/from'], ['to=2012-11-18', '/to'], ['from=', '/from'], ['to=1353240000', '/to'],
    ['from=1969-12-31T23:59:59Z', '/from'], ['window=2m', '/window'], ['window=', '/window'], ['window=5M', '/window'], ['region=XX', '/region'], ['region=', '/region'], ['region=ca', '/region'],
    ['device_class=toaster', '/device_class'], ['device_class=', '/device_class'], ['device_class=MAC', '/device_class'], ['region=%00', '/region'], ['device_class=%00', '/device_class']
  ]) problem(t, await ask(query!), 'invalid', [pointer!])
  for (const query of ['form=2012-11-18T12:00:00Z', 'window=5m&window=5m', 'region=CA&region=US', 'limit=5', 'Window=5m']) {
    problem(t, await ask(query), 'malformed', [`/${query.split('=')[0]}`])
  }
  problem(t, await ask('', 'nope'), 'not-found')
})

t.test('more than 2,000 windows, or finer ones than are kept, are refused with the finest that fits', async t => {
  const day = (days: number) => new Date(NOW.getTime() - days * DAY_MS).toISOString()
  for (const [window, days, finest] of [['1m', 2, '5m'], ['5m', 7, '15m'], ['15m', 21, '1h'], ['1m', 34, '1h'], ['1h', 84, '1d'], ['1m', 36, '1h'], ['5m', 40, '1h'], ['15m', 80, '1h'], ['1h', 800, '1d']] as const) {
    const answer = await app.ask(`/v1/services/imessage/curve?window=${window}&from=${day(days)}`)
    problem(t, answer, 'invalid', ['/window'])
    t.match(answer.body.errors[0].detail, new RegExp(`\\b${finest}\\.$`), `${window} over ${days} days`)
    t.equal((await app.ask(`/v1/services/imessage/curve?window=${finest}&from=${day(days)}`)).status, 200, 'which does fit')
  }
  for (const window of ['1m', '5m', '15m']) {
    problem(t, await app.ask(`/v1/services/imessage/curve?window=${window}&from=${day(35.5)}&to=${day(35.4)}`), 'invalid', ['/window'])
    t.equal((await app.ask(`/v1/services/imessage/curve?window=${window}&from=${day(34.9)}&to=${day(34.8)}`)).status, 200)
  }
  problem(t, await app.ask('/v1/services/imessage/curve?window=1d&from=1970-01-01T00:00:00Z'), 'invalid', ['/window'])
  t.equal((await curveOf('window=1m&from=2012-11-17T03:15:00Z')).points.length, 2_000)
})

t.test('silence is zeros, and what nobody watched is a gap', async t => {
  const app = await openTestApp(t, { now: new Date('2012-11-18T12:00:00Z') })
  await app.passMinute()
  app.now = new Date('2012-11-18T12:14:00Z')
  await app.passMinute()
  const read = async (window: string, from: string) => (await app.ask(`/v1/services/imessage/curve?window=${window}&from=${from}`)).body.points
  const minutes = await read('1m', '2012-11-18T11:58:00Z')
  t.strictSame(minutes.map(({ gap }: { gap: boolean }) => gap), [true, true, false, false, ...Array(13).fill(true)])
  t.ok(minutes.every((point: Total) => point.working + point.degraded + point.down === 0))
  t.strictSame((await read('5m', '2012-11-18T11:55:00Z')).map(({ gap }: { gap: boolean }) => gap), [true, false, true, true], 'a window is a gap when no minute of it was watched')
})

t.test('the expected is null before the first reading, and a number after it, over the watched minutes alone', async t => {
  const app = await openTestApp(t, { now: new Date('2012-11-18T12:00:00Z') })
  const read = async (query: string) => (await app.ask(`/v1/services/imessage/curve?from=2012-11-18T12:00:00Z&${query}`)).body.points
  app.now = new Date('2012-11-18T12:00:10Z')
  t.match(await read('window=1m'), [{ expected_down: null, upper_down: null, state: 'unknown', gap: false }])
  for (let minute = 0; minute < 10; minute++) await app.passMinute()
  const minutes = await read('window=1m')
  const [whole] = await read('window=1h')
  t.match(minutes[3], { expected_down: Number, upper_down: Number, state: 'operational' })
  t.ok(Number.isInteger(minutes[3].upper_down) && minutes[3].upper_down > minutes[3].expected_down)
  const total = minutes.reduce((all: number, { expected_down: expected }: { expected_down: number }) => all + expected, 0)
  t.ok(Math.abs(whole.expected_down - total) < 1e-9, 'the hour expects what its begun minutes do')
  const before = (await app.ask('/v1/services/imessage/curve?window=1m&from=2012-11-18T11:58:00Z&to=2012-11-18T12:00:00Z')).body.points
  t.match(before, [{ expected_down: null, upper_down: null, gap: true, state: 'unknown' }, {}])
})

t.test('CSV and NDJSON say what JSON says, under the same names', async t => {
  const query = '/v1/services/github/curve?window=1h'
  const { body: { points } } = await app.ask(query)
  const csv = await app.ask(query, { headers: { accept: 'text/csv' } })
  t.match(csv.headers['content-type'], /^text\/csv/)
  const [head, ...rows] = csv.text.trimEnd().split('\r\n')
  t.equal(head, Object.keys(points[0]).join(','))
  t.equal(head, 'start,working,degraded,down,expected_down,upper_down,state,complete,gap')
  t.strictSame(rows, points.map((point: object) => Object.values(point).map(value => value ?? '').join(',')))
  const ndjson = await app.ask(query, { headers: { accept: 'application/x-ndjson' } })
  t.match(ndjson.headers['content-type'], /^application\/x-ndjson/)
  t.strictSame(ndjson.text.trimEnd().split('\n').map(line => JSON.parse(line)), points)
})

t.test('the form follows Accept', async t => {
  const chrome = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8'
  for (const [accept, type] of [
    ['*/*', 'application/json'], [chrome, 'application/json'], ['text/csv;q=0.2, application/json;q=0.1', 'text/csv'], ['text/*', 'text/csv'], ['image/*', 'image/svg+xml'],
    ['image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8', 'image/svg+xml'], ['application/json;q=0, */*', 'text/csv'], ['application/x-ndjson, application/json;q=0.9', 'application/x-ndjson'],
    ['text/csv; charset=utf-8', 'text/csv'], ['TEXT/CSV', 'text/csv']
  ]) {
    const { status, headers } = await app.ask('/v1/services/imessage/curve', { headers: { accept: accept! } })
    t.equal(status, 200)
    t.match(headers, { 'content-type': new RegExp(`^${type!.replace('+', '\\+')}`), vary: /accept/i, 'cache-control': 'public, max-age=2' }, accept!)
  }
  for (const accept of ['text/html', 'application/json;q=0', 'image/png', 'video/*']) problem(t, await app.ask('/v1/services/imessage/curve', { headers: { accept } }), 'not-acceptable')
})

t.test('the picture is well-formed, whatever it shows, and brings all it needs', async t => {
  for (const query of ['window=5m', 'window=1h&region=CA', 'window=1m&from=2012-11-18T12:34:00Z', 'window=1d&from=2010-01-01T00:00:00Z', 'device_class=mac']) {
    const { text, headers } = await app.ask(`/v1/services/github/curve?${query}`, { headers: { accept: 'image/svg+xml' } })
    t.match(headers['content-type'], /^image\/svg\+xml/)
    t.match(text, /^<svg[^>]* xmlns="http:\/\/www\.w3\.org\/2000\/svg"/)
    const open: string[] = []
    for (const [, end, name, rest] of text.replace(/<style>[^<]*<\/style>/g, '').matchAll(/<(\/?)([\w:]+)((?:\s+[\w:-]+="[^"<]*")*\s*\/?)>/g)) {
      if (end === '/') t.equal(open.pop(), name)
      else if (!rest!.endsWith('/')) open.push(name!)
    }
    t.strictSame(open, [])
    t.notMatch(text, /NaN|undefined|Infinity|<script|\son\w+=|href="http|url\(http|&(?!(amp|lt|gt|quot|apos|#\d+);)/)
  }
})

t.test('imported history was watched from its first report to its last, for its service alone', async t => {
  const app = await openTestApp(t, { now: new Date('2012-11-18T12:00:00Z') })
  const { body } = await app.ask('/v1/reports/batch', {
    method: 'POST',
    headers: { authorization: `Bearer ${await app.token()}` },
    payload: ['09:10', '09:40'].map((time, i) => ({ service: 'imessage', verdict: 'down', reporter: `r${i}`, observed_at: `2012-11-18T${time}:30Z` }))
  })
  t.equal(body.counted, 2)
  await app.jobs.tick()
  const watched = async (service: string, window: string) => {
    const { body: { points } } = await app.ask(`/v1/services/${service}/curve?window=${window}&from=2012-11-18T09:00:00Z&to=2012-11-18T10:00:00Z`)
    return points.filter(({ gap }: { gap: boolean }) => !gap).map(({ start }: { start: string }) => start.slice(11, 16))
  }
  t.strictSame(await watched('imessage', '1m'), Array.from({ length: 31 }, (_, i) => `09:${10 + i}`))
  t.strictSame(await watched('imessage', '15m'), ['09:00', '09:15', '09:30'])
  t.strictSame(await watched('facetime', '1m'), [])
})

t.test('a minute is operational once it was judged, and not before', async t => {
  const app = await openTestApp(t, { now: new Date('2012-11-18T12:00:00Z') })
  for (let minute = 0; minute < 5; minute++) await app.passMinute()
  app.now = new Date('2012-11-18T12:05:10Z')
  const states = async () => (await app.ask('/v1/services/imessage/curve?window=1m&from=2012-11-18T12:00:00Z')).body.points.map(({ state }: { state: string }) => state)
  t.strictSame(await states(), [...Array(4).fill('operational'), 'unknown', 'unknown'])
  app.now = new Date('2012-11-18T12:05:20Z')
  await app.jobs.tick()
  t.strictSame(await states(), [...Array(5).fill('operational'), 'unknown'])
})

t.test('a range that begins in the future is told so, also when no end is named', async t => {
  for (const query of ['from=2012-11-18T12:40:00Z', 'from=2012-11-18T12:40:00Z&to=2012-11-18T13:00:00Z']) {
    const answer = await app.ask(`/v1/services/imessage/curve?${query}`)
    problem(t, answer, 'invalid', ['/from'])
    t.match(answer.body.errors[0].detail, /future/)
  }
})

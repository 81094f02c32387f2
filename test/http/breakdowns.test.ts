import t from 'tap'
import { Breakdown } from '../../src/http/breakdowns.ts'
import { addressOf, openTestApp } from '../app.ts'
import { exactly, members, problem } from './contract.ts'

const app = await openTestApp(t, { now: new Date('2012-11-18T12:00:00Z') })
const ask = (query: string, service = 'imessage') => app.ask(`/v1/services/${service}/breakdown?${query}`)
let people = 0
const say = (region: string | undefined, device: string | undefined, verdict = 'down') =>
  app.report({ service: 'imessage', verdict, region, device_class: device }, addressOf(people++))

for (let minute = 0; minute < 5; minute++) await app.passMinute()
for (const region of ['CA', 'CA-ON', 'CA-ON', 'CA-QC', 'US-CA', undefined]) await say(region, 'mac')
await say('CA-ON', undefined, 'degraded')
await say('US', 'iphone', 'working')
for (let minute = 0; minute < 3; minute++) await app.passMinute()
const keyed = (body: { cells: { key: string, working: number, degraded: number, down: number }[] }) =>
  Object.fromEntries(body.cells.map(({ key, working, degraded, down }) => [key, [working, degraded, down]]))

t.test('it has the members of the contract, over the last 24 hours by default', async t => {
  const { status, body, headers } = await ask('by=region')
  t.equal(status, 200)
  exactly(t, Breakdown, body)
  members(t, body, 'service by from to k cells')
  for (const cell of body.cells) members(t, cell, 'key working degraded down expected_down ratio suppressed')
  t.match(body, { service: 'imessage', by: 'region', k: 5, from: '2012-11-17T12:08:00Z', to: '2012-11-18T12:08:00Z' })
  t.equal(headers['cache-control'], 'public, max-age=2')
})

t.test('by region it lists countries, and within one its subdivisions with itself', async t => {
  t.strictSame(keyed((await ask('by=region')).body), { CA: [0, 1, 4], US: [1, 0, 1], ZZ: [0, 0, 1] })
  t.strictSame(keyed((await ask('by=region&region=CA')).body), { CA: [0, 0, 1], 'CA-ON': [0, 1, 2], 'CA-QC': [0, 0, 1] })
  t.strictSame(keyed((await ask('by=region&region=US')).body), { US: [1, 0, 0], 'US-CA': [0, 0, 1] })
  t.strictSame(keyed((await ask('by=region&region=FR')).body), {})
  problem(t, await ask('by=region&region=CA-ON'), 'invalid', ['/region'])
})

t.test('by device class it lists kinds of device, everywhere or in a region', async t => {
  t.strictSame(keyed((await ask('by=device_class')).body), { iphone: [1, 0, 0], mac: [0, 0, 6], unknown: [0, 1, 0] })
  t.strictSame(keyed((await ask('by=device_class&region=CA')).body), { mac: [0, 0, 4], unknown: [0, 1, 0] })
  t.strictSame(keyed((await ask('by=device_class&region=CA-ON')).body), { mac: [0, 0, 2], unknown: [0, 1, 0] })
})

t.test('counts are of whole minutes of the range', async t => {
  const between = async (from: string, to: string) => (await ask(`by=device_class&from=${from}&to=${to}`)).body
  t.strictSame(keyed(await between('2012-11-18T12:05:59Z', '2012-11-18T12:06:00Z')), { iphone: [1, 0, 0], mac: [0, 0, 6], unknown: [0, 1, 0] })
  t.strictSame(keyed(await between('2012-11-18T12:06:00Z', '2012-11-18T12:07:00Z')), {})
  t.match(await between('2012-11-18T12:00:30Z', '2099-01-01T00:00:00Z'), { from: '2012-11-18T12:00:00Z', to: '2012-11-18T12:09:00Z' }, 'cut after the open minute')
})

t.test('each cell stands beside what is expected of it once that is known', async t => {
  const { body: { cells } } = await ask('by=device_class')
  const mac = cells.find(({ key }: { key: string }) => key === 'mac')
  if (mac.expected_down !== null) t.ok(Math.abs(mac.ratio - mac.down / mac.expected_down) < 1e-6)
  t.match((await app.ask('/v1/services/github/breakdown?by=region')).body, { cells: [] })
})

t.test('what is not valid is refused by name', async t => {
  problem(t, await ask(''), 'invalid', ['/by'])
  for (const by of ['', 'verdict', 'device-class', 'REGION']) problem(t, await ask(`by=${by}`), 'invalid', ['/by'])
  problem(t, await ask('by=region&region=XX'), 'invalid', ['/region'])
  problem(t, await ask('by=region&from=2012-11-18T12:00:00Z&to=2012-11-18T12:00:00Z'), 'invalid', ['/from'])
  problem(t, await ask('by=region&from=2012-11-19T12:00:00Z&to=2012-11-20T12:00:00Z'), 'invalid', ['/from'])
  problem(t, await ask('by=region&to=now'), 'invalid', ['/to'])
  problem(t, await ask('by=region&by=region'), 'malformed', ['/by'])
  problem(t, await ask('by=region&window=5m'), 'malformed', ['/window'])
  problem(t, await ask('by=region', 'nope'), 'not-found')
})

t.test('a range of later today is refused like any other of the future', async t => {
  problem(t, await ask('by=region&from=2012-11-18T12:30:00Z&to=2012-11-18T13:00:00Z'), 'invalid', ['/from'])
  problem(t, await ask('by=region&from=2012-11-18T12:30:00Z'), 'invalid', ['/from'])
  problem(t, await ask('by=region&region=CA-ON&form=x'), 'malformed', ['/form', '/region'])
  problem(t, await ask('by=region&region=CA-ON', 'nope'), 'not-found')
})

t.test('a ratio holds reports against what was expected of the same minutes, and of no others', async t => {
  const app = await openTestApp(t, { now: new Date('2012-11-18T10:00:00Z') })
  await app.passQuietly(65)
  // Late ones are counted and not judged, so nothing is expected of their class before the one in time at 11:05.
  for (let i = 0; i < 10; i++) await app.report({ service: 'imessage', verdict: 'down', device_class: 'mac', observed_at: '2012-11-18T10:30:00Z' }, addressOf(i))
  await app.report({ service: 'imessage', verdict: 'down', device_class: 'mac' }, addressOf(10))
  await app.report({ service: 'imessage', verdict: 'degraded', device_class: 'mac' }, addressOf(11))
  for (let minute = 0; minute < 3; minute++) await app.passMinute()
  const { body: { cells: [mac] } } = await app.ask('/v1/services/imessage/breakdown?by=device_class')
  t.match(mac, { key: 'mac', degraded: 1, down: 11, expected_down: Number })
  const { body: { points } } = await app.ask('/v1/services/imessage/curve?window=1m&device_class=mac&from=2012-11-18T10:00:00Z')
  const known = points.filter((point: { expected_down: number | null }) => point.expected_down !== null)
  t.ok(known.length > 0 && known.length < points.length)
  const sum = (of: (point: { down: number, degraded: number, expected_down: number }) => number) => known.map(of).reduce((a: number, b: number) => a + b)
  t.equal(sum(({ down, degraded }) => down + degraded / 2), 1.5)
  const expected = sum(({ expected_down: expected }) => expected)
  t.ok(Math.abs(mac.expected_down - expected) < 1e-9)
  t.ok(Math.abs(mac.ratio - 1.5 / expected) < 1e-9, `${mac.ratio} is ${1.5 / expected}`)
})

t.test('symptoms are told from five reports on, in whole hours, and none can be worked out from the others', async t => {
  const app = await openTestApp(t, { now: new Date('2012-11-18T12:20:00Z') })
  const ask = (query = '') => app.ask(`/v1/services/imessage/breakdown?by=symptom${query}`)
  let people = 10_000
  const say = async (symptom: string | undefined, count: number, verdict = 'down') => {
    for (let i = 0; i < count; i++) await app.report({ service: 'imessage', verdict, ...(symptom === undefined ? {} : { symptom }) }, addressOf(people++))
  }
  const cells = async (query = '') => Object.fromEntries((await ask(query)).body.cells.map(({ key, working, degraded, down, suppressed }: Record<string, unknown>) => [key, suppressed === true ? 'held back' : `${working} ${degraded} ${down}`]))
  await say('sending', 7)
  await say('slow', 2, 'degraded')
  await say('slow', 4)
  exactly(t, Breakdown, (await ask()).body)
  t.match((await ask()).body, { by: 'symptom', k: 5, from: '2012-11-17T12:00:00Z', to: '2012-11-18T13:00:00Z' })
  t.strictSame(await cells(), { sending: '0 0 7', slow: '0 2 4' })
  await say('calls', 1)
  t.strictSame(await cells(), { sending: '0 0 7', slow: 'held back', calls: 'held back' }, 'one alone would be the total less the others')
  await say(undefined, 4)
  t.strictSame(await cells(), { sending: '0 0 7', slow: '0 2 4', calls: 'held back' })
  t.match((await ask()).body.cells.find(({ key }: { key: string }) => key === 'calls'), { working: 0, degraded: 0, down: 0, expected_down: null, ratio: null, suppressed: true })
  t.match((await ask('&from=2012-11-18T12:10:00Z&to=2012-11-18T12:11:00Z')).body, { from: '2012-11-18T12:00:00Z', to: '2012-11-18T13:00:00Z' })
  t.strictSame(await cells('&to=2012-11-18T12:00:00Z'), {})
  problem(t, await ask('&from=2012-10-10T00:00:00Z&to=2012-11-01T00:00:00Z'), 'invalid', ['/from'])
})

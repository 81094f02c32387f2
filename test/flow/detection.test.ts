// The detector from people's reports to outages with the real tables: who may alarm, and that live, history, replay and
// restarts all say the same.
import { Readable, Writable } from 'node:stream'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { NETWORKS_MIN } from '../../src/core/detector.ts'
import { DAY_MS, floorTo, HOUR_MS, MINUTE_MS } from '../../src/core/time.ts'
import { replay } from '../../src/replay.ts'
import type { Said } from '../../src/replayed.ts'
import { addressOf, openTestApp, type TestApp } from '../app.ts'
import { chance } from '../core/streams.ts'
import { createDatabase, type TestDatabase } from '../database.ts'

/** One person's word in a minute of a story. */
interface Word { minute: number, verdict: string, region?: string, device_class?: string }

const CELLS = [{ region: 'CA-ON', device_class: 'iphone' }, { region: 'CA-QC', device_class: 'mac' }, { region: 'GB', device_class: 'iphone' }, {}]

/** A few reports an hour on each of four cells, and from minute `fails` on for half an hour four in a minute, of which three name an iPhone in Ontario. */
function tell (minutes: number, fails: number, seed: number): Word[] {
  const next = chance(seed)
  const words: Word[] = [{ minute: 0, verdict: 'working' }]
  for (let minute = 0; minute < minutes; minute++) {
    for (const cell of CELLS) {
      if (next() < 0.06) words.push({ minute, verdict: ['working', 'working', 'degraded', 'down'][Math.floor(next() * 4)]!, ...cell })
    }
    if (minute < fails || minute >= fails + 30) continue
    for (const cell of [0, 0, 0, 2]) words.push({ minute, verdict: 'down', ...CELLS[cell] })
  }
  return [...words, { minute: minutes - 1, verdict: 'working' }]
}

/** Sends a minute's words, each from a network of its own. */
async function send (app: TestApp, words: readonly Word[], minute: number): Promise<void> {
  const sent = words.flatMap((word, i) => word.minute === minute ? [{ word, address: addressOf(i) }] : [])
  for (const { status } of await Promise.all(sent.map(({ word: { minute: _, ...word }, address }) => app.report({ service: 'imessage', ...word }, address)))) {
    if (status !== 201) throw new Error(`a report was answered ${status}`)
  }
}

async function importWords (app: TestApp, words: readonly Word[], from: number): Promise<void> {
  const lines = words.map(({ minute, ...word }, i) =>
    JSON.stringify({ service: 'imessage', ...word, observed_at: new Date(from + minute * MINUTE_MS).toISOString(), reporter: `r${i}` }))
  const { status, body } = await app.ask('/v1/reports/batch', {
    method: 'POST', payload: lines.join('\n'), headers: { authorization: `Bearer ${await app.token()}`, 'content-type': 'application/x-ndjson' }
  })
  if (status !== 200 || body.counted !== words.length) throw new Error(JSON.stringify(body))
  app.now = new Date(app.now.getTime() + 30_000)
  await untilJudgedAgain(app)
}

async function untilJudgedAgain (app: TestApp): Promise<void> {
  // A day or a whole service in each.
  for (let i = 0; i < 200; i++) {
    await app.jobs.tick()
    if ((await app.database.query('select 1 from rejudge')).length === 0) return
  }
  throw new Error('the service was not judged again')
}

/** Outages and timelines as they stand, ids apart. */
async function readSaid (app: TestApp) {
  const outages = await app.database.query(`select region, device_class, state, onset_at, onset_from, onset_to, detected_at, confirmed_at, recovering_at,
    resolved_at, dismissed_at, severity, peak_start, peak_down, peak_expected, affected_share from outages order by detected_at`)
  const events = await app.database.query<{ at: Date, type: string, state: string, text: string, reading: Record<string, unknown> }>(
    'select at, type, state, text, reading from outage_events order by at, id')
  return { outages, events }
}

t.test('up to six networks never alarm, whatever they send; a seventh does', async t => {
  // Across midnight, when every network gets another key.
  const app = await openTestApp(t, { now: new Date('2012-11-18T23:20:00Z') })
  const services = (await app.ask('/v1/services')).body.items.slice(0, 12).map(({ slug }: { slug: string }) => slug) as string[]
  const strategies = fc.sample(fc.record({
    networks: fc.integer({ min: 4, max: 6 }),
    verdicts: fc.constantFrom<string[]>(['down'], ['down', 'degraded'], ['down', 'down', 'working'], ['down', 'degraded', 'working']),
    regions: fc.constantFrom([undefined], ['CA-ON'], ['CA-ON', 'CA-QC', 'GB', 'ZZ']),
    devices: fc.constantFrom([undefined], ['iphone'], ['iphone', 'mac', 'android', 'web']),
    /** Nonces a network makes up in one of its minutes, and how many minutes it waits then. */
    nonces: fc.integer({ min: 1, max: 4 }),
    every: fc.integer({ min: 2, max: 8 }),
    seed: fc.integer({ min: 1, max: 1e6 })
  }), { numRuns: services.length, seed: 8 })
  const nexts = strategies.map(({ seed }) => chance(seed))
  let spoken = 0
  const shout = (service: string, network: number, word: object) =>
    app.report({ service, reporter: `nonce-${spoken}`, ...word }, `198.51.${network}.${++spoken % 250}`)
  for (let minute = 0; minute < 62; minute++) {
    await Promise.all(strategies.flatMap(({ networks, verdicts, regions, devices, nonces, every }, k) => {
      const next = nexts[k]!
      const one = <T>(of: readonly T[]): T => of[Math.floor(next() * of.length)]!
      return Array.from({ length: networks }, (_, network) => network).filter(network => (minute + network) % every === 0).flatMap(network =>
        Array.from({ length: nonces }, () => shout(services[k]!, network, { verdict: one(verdicts), region: one(regions), device_class: one(devices) })))
    }))
    await app.passMinute()
  }
  const alarms = async () => (await app.ask('/v1/outages?limit=100')).body.items.map(({ service }: { service: string }) => service) as string[]
  t.strictSame((await alarms()).map(service => ({ service, ...strategies[services.indexOf(service)] })), [])
  const withheld = await app.database.query<{ service_id: number, most: number }>('select service_id, max(networks) as most from withheld group by 1')
  t.ok(withheld.length >= 3, `${withheld.length} of ${services.length} would have alarmed`)
  t.ok(withheld.every(({ most }) => most < NETWORKS_MIN))

  const failing = services.filter((_, k) => !strategies[k]!.verdicts.includes('working'))
  for (let interval = 0; interval < 2; interval++) {
    await Promise.all(failing.flatMap(service => [0, 1, 2, 3, 4, 5, 6].flatMap(network =>
      Array.from({ length: 4 }, () => shout(service, network, { verdict: 'down' })))))
    for (let minute = 0; minute < 15; minute++) await app.passMinute()
  }
  t.strictSame((await alarms()).sort(), failing.sort())
})

t.test('the same reports give the same outages lived through, imported as history, and replayed from their windows', async t => {
  const start = Date.parse('2012-11-18T12:00:00Z')
  const words = tell(300, 150, 5)
  const live = await openTestApp(t, { now: new Date(start) })
  for (let minute = 0; minute < 300; minute++) {
    await send(live, words, minute)
    await live.passMinute()
  }
  await live.passMinute()
  const said = await readSaid(live)
  // Of history nobody counts networks.
  for (const { reading } of said.events) delete reading['networks']
  t.strictSame(said.events.map(({ state }) => state).filter((state, i, all) => state !== all[i - 1]), ['suspected', 'confirmed', 'recovering', 'resolved'])
  t.equal(said.outages.length, 1)

  const later = await openTestApp(t, { now: new Date(start + 300 * MINUTE_MS) })
  await importWords(later, words, start)
  t.strictSame(await readSaid(later), said, 'as history')

  const replayed = await replayWindows(live)
  t.strictSame(replayed.map(({ at, state, score }) => [at, state, score]),
    said.events.map(({ at, state, reading }) => [instant(at), state, Math.round(Number(reading['score']) * 1000) / 1000]), 'replayed')
  const [outage] = said.outages
  t.match(replayed.at(-1), {
    scope: { region: outage!['region'], device_class: outage!['device_class'] },
    onset_at: instant(outage!['onset_at']),
    severity: Math.round(Number(outage!['severity']) * 1000) / 1000
  })
})

const instant = (at: unknown): string => (at as Date).toISOString().replace('.000Z', 'Z')

/** What a replay says of the windows as the live service saw them. */
async function replayWindows (app: TestApp): Promise<Said[]> {
  const rows = await app.database.query<Record<string, unknown>>(`select s.slug as service, minute as start, region, device_class,
    seen_working as working, seen_degraded as degraded, seen_down as down from windows join services s on s.id = service_id order by minute, region, device_class`)
  let out = ''
  const sink = (take: (text: string) => void) => new Writable({
    write (chunk: Buffer, _, done) {
      take(chunk.toString())
      done()
    }
  })
  const bytes = Readable.from([Buffer.from(rows.map(row => JSON.stringify(row)).join('\n'))])
  await replay([{ name: 'windows', bytes }], { out: sink(text => { out += text }), err: sink(() => {}) })
  return out.split('\n').filter(line => line !== '').map(line => JSON.parse(line) as Said)
}

/** Lives through a story, stopped and started at the beginning of some minutes, with nobody there for seven minutes after minute `gap`. */
async function live (t: Test, { words, from, minutes, gap, stops }: { words: readonly Word[], from: number, minutes: number, gap: number, stops: readonly number[] }) {
  const database: TestDatabase = await createDatabase(t, { now: new Date(from) })
  // Closed here, since one app follows another on the same database.
  const open = (now: Date) => openTestApp({ teardown: () => {} }, { now, database })
  let app = await open(new Date(from))
  for (let minute = 0; minute < minutes; minute++) {
    if (stops.includes(minute)) {
      await app.close()
      app = await open(app.now)
    }
    if (minute > gap && minute <= gap + 7) {
      app.now = new Date(app.now.getTime() + MINUTE_MS)
      continue
    }
    await send(app, words, minute)
    await app.passMinute()
  }
  await app.passMinute()
  const states = await app.database.query<{ judged_until: Date, service_id: number, state: string }>(
    'select judged_until, service_id, state::text from detector_states order by 1, 2')
  const result = { said: await readSaid(app), states, baselines: await app.database.query('select * from baselines order by service_id, hour') }
  await app.close()
  return result
}

t.test('a service stopped and started at random minutes ends with the same outages and, to the byte, the same states', async t => {
  const from = Date.parse('2012-11-18T17:50:00Z')
  // The last minute judged is the one at whose end the service is checkpointed.
  const story = { words: tell(131, 30, 8), from, minutes: 131, gap: 45 }
  // A start marks its minute as watched, so none falls into the gap.
  const minute = fc.nat(130).filter(minute => minute <= story.gap || minute > story.gap + 8)
  const through = await live(t, { ...story, stops: [] })
  // At random, and just before each step of the outage.
  const steps = through.said.events.map(({ at }) => (at.getTime() - from) / MINUTE_MS)
  const stops = [...fc.sample(fc.uniqueArray(minute, { minLength: 8, maxLength: 12 }), 1)[0]!, ...steps].sort((a, b) => a - b)
  t.ok(through.said.events.length >= 4, 'there was an outage to speak of')
  const told = through.states.filter(({ service_id: service }) => service === 1)
  t.equal(told.at(-1)!.judged_until.getTime(), from + story.minutes * MINUTE_MS, 'the last state of who was reported is that of the end')
  const stopped = await live(t, { ...story, stops })
  t.strictSame(stopped.said, through.said, `stopped before minutes ${stops.join(', ')}`)
  t.strictSame(stopped.baselines, through.baselines)
  t.equal(stopped.states.length, through.states.length)
  const different = stopped.states.filter(({ state }, i) => state !== through.states[i]!.state)
  t.strictSame(different.map(({ service_id: service, judged_until: at }) => ({ service, at })), [], 'no byte of any state differs')
})

t.test('after an import every scope is warm at once: countries, subdivisions, device classes and cells', async t => {
  const days = 8
  const now = Date.parse('2012-11-18T12:00:00Z')
  const from = now - days * DAY_MS
  const rates: [string, string, number][] = [['CA-ON', 'iphone', 2], ['CA-QC', 'iphone', 1], ['CA-QC', 'mac', 3], ['GB', 'mac', 2]]
  // So many down reports in each hour, at even distances, and once as many working ones.
  const words = rates.flatMap(([region, deviceClass, perHour]) => Array.from({ length: days * 24 * perHour }, (_, i) =>
    ['down', 'working'].map((verdict, k): Word => ({ minute: Math.floor((i + k / 2) * 60 / perHour), verdict, region, device_class: deviceClass })))).flat()
  const app = await openTestApp(t, { now: new Date(now) })
  await importWords(app, words, from)

  const sum = (hit: (region: string, deviceClass: string) => boolean) => rates.reduce((all, [region, deviceClass, rate]) => all + (hit(region, deviceClass) ? rate : 0), 0)
  const scopes: [string, number][] = [
    ['', sum(() => true)],
    ['&region=CA', sum(region => region.startsWith('CA'))],
    ['&region=CA-QC', sum(region => region === 'CA-QC')],
    ['&device_class=mac', sum((_, deviceClass) => deviceClass === 'mac')],
    ['&region=CA&device_class=iphone', 3],
    ['&region=GB&device_class=mac', 2],
    ['&region=CA-QC&device_class=mac', 3]
  ]
  for (const [scope, perHour] of scopes) {
    const { body: { points } } = await app.ask(`/v1/services/imessage/curve?window=1h&from=${new Date(from).toISOString()}&to=${new Date(now).toISOString()}${scope}`)
    t.equal(points.length, days * 24)
    const cold = points.filter((point: Record<string, unknown>) => point['expected_down'] === null || point['upper_down'] === null)
    t.strictSame(cold, [], `${scope}: every hour of the past has an expectation`)
    // A scope that never spoke before leans on what the catalogue expects; within two days it is known.
    const off = points.slice(48).filter(({ expected_down: expected, upper_down: upper }: Record<string, number>) =>
      expected! < perHour * 0.7 || expected! > perHour * 1.4 || upper! <= expected!)
    t.strictSame(off, [], `${scope}: about ${perHour} an hour are expected`)
  }
})

/** Makes every checkpoint one of an earlier version, which learnt in another way. */
async function forgetFormat (app: TestApp): Promise<void> {
  await app.database.query("update detector_states set state = (state::jsonb || '{\"format\":1,\"scopes\":[]}')::json")
}

t.test('a checkpoint of an earlier format is learnt anew from the windows that are kept, and an open outage stays open', async t => {
  const from = Date.parse('2012-11-18T12:10:00Z')
  const words = tell(240, 165, 3)
  const database = await createDatabase(t, { now: new Date(from) })
  let app = await openTestApp({ teardown: () => {} }, { now: new Date(from), database })
  for (let minute = 0; minute < 180; minute++) {
    await send(app, words, minute)
    await app.passMinute()
  }
  const hour = floorTo(app.now.getTime() - 2 * MINUTE_MS, HOUR_MS)
  const read = async () => ({
    outages: (await app.ask('/v1/outages')).body.items.map(({ id, state, detected_at: detectedAt, severity }: Record<string, unknown>) => ({ id, state, detectedAt, severity })),
    expected: (await app.database.query('select learnt_hours, scopes::text from baselines where service_id = 1 and hour = $1', [new Date(hour).toISOString()]))[0]
  })
  const before = await read()
  t.strictSame(before.outages.map(({ state }: { state: string }) => state), ['confirmed'])
  t.equal(before.expected!['learnt_hours'], 2)
  await app.jobs.stop()
  await forgetFormat(app)
  await app.close()
  app = await openTestApp(t, { now: app.now, database })
  await untilJudgedAgain(app)
  const after = await read()
  t.strictSame(after, before, 'the same outage, and what is expected is what was')
  const [state] = await app.database.query("select state ->> 'format' as format, state #>> '{scopes,0,baseline,learntHours}' as learnt from detector_states where service_id = 1 order by judged_until desc limit 1")
  t.strictSame(state, { format: '3', learnt: '2' })

  for (let minute = 180; minute < 330; minute++) {
    await send(app, words, minute)
    await app.passMinute()
  }
  const { id, detectedAt } = before.outages[0]
  t.match((await read()).outages, [{ id, detectedAt, state: 'resolved' }], 'it goes on as it would have')
})

t.test('while it is learnt anew nobody is alarmed by what is usual', async t => {
  const from = Date.parse('2012-11-18T12:00:00Z')
  const database = await createDatabase(t, { now: new Date(from) })
  const usual = (minutes: number): Word[] => Array.from({ length: minutes * 20 }, (_, i) => ({ minute: Math.floor(i / 20), verdict: i % 2 === 0 ? 'down' : 'working' }))
  const before = await openTestApp({ teardown: () => {} }, { now: new Date(from), database })
  await importWords(before, usual(360), from - 6 * HOUR_MS)
  before.now = new Date(from + MINUTE_MS)
  const words = usual(15)
  const pass = async (app: TestApp, minutes: number) => {
    for (let i = 0; i < minutes; i++) {
      await send(app, words, (app.now.getTime() - from) / MINUTE_MS)
      await app.passMinute()
    }
  }
  const readAlarms = (app: TestApp) => app.database.query('select state, detected_at from outages where not retrospective')
  await pass(before, 10)
  t.strictSame(await readAlarms(before), [])
  await before.jobs.stop()
  await forgetFormat(before)
  await before.close()
  const app = await openTestApp(t, { now: before.now, database })
  await pass(app, 3)
  t.strictSame(await readAlarms(app), [], 'nothing is said')
})

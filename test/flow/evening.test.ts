// The evening of 18 November 2012 from end to end on a moved clock: people through the front door, the vendor's page
// over HTTP, what the service says of both, and what the demonstration tells of it. The clock that runs is demo.test.ts.
import type { z } from 'zod'
import t, { type Test } from 'tap'
import { ON_PAGE, servePage } from '../../src/apple-page.ts'
import { HOUR_MS, MINUTE_MS } from '../../src/core/time.ts'
import { ALSO_FAILING, EVENING, FAILING, quietWeeks, SERVICES, simulateEvening, type SimulatedReport } from '../../src/evening.ts'
import type { Outage } from '../../src/http/outages.ts'
import type { SummaryBody } from '../../src/http/services.ts'
import { Narrator, timeOf } from '../../src/narrator.ts'
import { openTestApp, type TestApp } from '../app.ts'

type OutageBody = z.infer<typeof Outage>

const SEED = 20_121_118
const HISTORY_DAYS = 7
const LOOK_MS = 5 * MINUTE_MS

// Summaries are read at most once a second of the monotonic clock, which no test has time to wait for.
const monotonic = performance.now.bind(performance)
let skippedMs = 0
performance.now = () => monotonic() + skippedMs

/** What the service said at a moment of the evening (ms) of what fails, and which outages it had found until then. */
interface Look { at: number, services: Record<string, SummaryBody>, outages: OutageBody[] }

/** A report in the API's form. */
const bodyOf = ({ service, verdict, region, deviceClass, symptom, impact }: SimulatedReport) =>
  ({ service, verdict, region, device_class: deviceClass, symptom, impact })

/** Brings the quiet days in through the batch call, and lets the service learn from them. */
async function learn (app: TestApp): Promise<void> {
  const lines = [...quietWeeks(SEED, HISTORY_DAYS)].map(report =>
    JSON.stringify({ ...bodyOf(report), observed_at: new Date(report.at).toISOString(), reporter: report.address }))
  const { status, body } = await app.ask('/v1/reports/batch', {
    method: 'POST', headers: { authorization: `Bearer ${await app.token()}`, 'content-type': 'application/x-ndjson' }, payload: lines.join('\n')
  })
  if (status !== 200 || body.counted !== lines.length) throw new Error(JSON.stringify(body).slice(0, 500))
  await app.passMinute()
  for (let tick = 0; tick < 200; tick++) {
    await app.jobs.tick()
    if ((await app.database.query('select 1 from rejudge')).length === 0) return
  }
  throw new Error('the history was not judged')
}

/** Points the catalog's own sources at a page and switches them on, as an editor would. */
async function switchOn (t: Test, app: TestApp, url: string): Promise<void> {
  const headers = { authorization: `Bearer ${await app.token(['catalog'])}` }
  for (const service of ON_PAGE) {
    const { body: { items: [source] } } = await app.ask(`/v1/admin/sources?service=${service}`, { headers })
    t.match(source, { format: 'apple', enabled: false })
    const { headers: { etag } } = await app.ask(`/v1/admin/sources/${source.id}`, { headers })
    const { status } = await app.ask(`/v1/admin/sources/${source.id}`, { method: 'PATCH', headers: { ...headers, 'if-match': String(etag) }, payload: { url, enabled: true } })
    t.equal(status, 200)
  }
}

async function lookAt (app: TestApp): Promise<Look> {
  skippedMs += 2_000
  const services = Object.fromEntries(await Promise.all(ON_PAGE.map(async slug => [slug, (await app.ask(`/v1/services/${slug}`)).body])))
  const { body: { items } } = await app.ask('/v1/outages?limit=200')
  const outages = await Promise.all(items.map(async ({ id }: OutageBody) => (await app.ask(`/v1/outages/${id}`)).body))
  return { at: app.now.getTime(), services, outages: outages.filter(({ retrospective }) => !retrospective) }
}

/** Plays the evening to the end of its story. */
async function playEvening (t: Test) {
  const app = await openTestApp(t, { now: new Date(EVENING.startsAt), allowPrivateTargets: true })
  const page = await servePage(() => app.now.getTime())
  t.teardown(page.close)
  await switchOn(t, app, page.url)
  await learn(app)
  const lines: string[] = []
  const narrator = new Narrator(await app.http.listen({ host: '127.0.0.1', port: 0 }), page.url, line => lines.push(line))
  const people = simulateEvening(SEED).filter(({ at }) => at >= app.now.getTime())
  const looks: Look[] = []
  const counted: SimulatedReport[] = []
  for (let over = false; !over;) {
    const minuteEnd = app.now.getTime() + MINUTE_MS
    const due: SimulatedReport[] = []
    while (people[0] !== undefined && people[0].at < minuteEnd) due.push(people.shift()!)
    const answers = await Promise.all(due.map(report => app.report(bodyOf(report), report.address, { 'user-agent': report.userAgent })))
    counted.push(...due.filter((_, index) => answers[index]!.body.disposition === 'counted'))
    await app.passMinute()
    if (minuteEnd % LOOK_MS !== 0) continue
    looks.push(await lookAt(app))
    over = await narrator.look(minuteEnd)
  }
  await narrator.summarize({ counted: counted.length, duplicate: 0, quarantined: 0, refused: 0 })
  const told = (slug: string) => looks.at(-1)!.outages.filter(({ service }) => service === slug)
  return { page, looks, lines, counted, outages: told(FAILING), beside: told(ALSO_FAILING), vendor: new URL(page.url).host }
}

// Four hundred minutes, each judged: half a minute where nothing else runs. The comment tells tap's runner of it.
const TIMEOUT_MS = 240_000
t.setTimeout(TIMEOUT_MS)
t.comment(`timeout=${TIMEOUT_MS}`)
t.test('the evening of 18 November 2012', { timeout: TIMEOUT_MS }, async t => {
  const { page, looks, lines, counted, outages, beside, vendor } = await playEvening(t)
  const [outage] = outages as [OutageBody]
  const [other] = beside as [OutageBody]
  const detectedAt = Date.parse(outage.detected_at)
  const during = (from: number, to: number) => looks.filter(({ at }) => at >= from && at < to)
  const entriesOf = ({ timeline }: OutageBody, type: string) => timeline.filter(entry => entry.type === type)

  t.test('it is suspected within minutes of the first who report, and confirmed', async t => {
    const first = counted.filter(({ service, verdict, impact }) => service === FAILING && verdict !== 'working' && impact !== undefined)
    t.equal(outages.length, 1, 'one outage, from beginning to end')
    // The seventh network with a failure of this evening is the first that an alarm may stand on.
    const seventhAt = first[6]!.at
    t.ok(detectedAt > first[0]!.at && detectedAt <= seventhAt + 10 * MINUTE_MS, `the seventh at ${timeOf(seventhAt)}, suspected at ${timeOf(detectedAt)}`)
    t.ok(Date.parse(outage.onset_interval.from) <= EVENING.failsAt + 20 * MINUTE_MS && Date.parse(outage.onset_at) >= EVENING.failsAt - 10 * MINUTE_MS, outage.onset_at)
    t.ok(Date.parse(outage.confirmed_at!) < EVENING.admittedAt)
  })

  t.test('while the vendor\'s page is green it is disputed, from the moment it is suspected', async t => {
    t.match(entriesOf(outage, 'disputed')[0], { at: outage.detected_at, actor: 'vendor', text: `${vendor} says that it works; people report that it does not.` })
    const before = during(detectedAt + 2 * MINUTE_MS, EVENING.admittedAt)
    t.ok(before.length > 20)
    t.ok(before.every(({ services }) => services[FAILING]!.disputed && services[FAILING]!.official.status === 'up' && services[FAILING]!.disputed_since === outage.detected_at))
    t.ok(during(EVENING.startsAt, EVENING.failsAt).slice(1).every(({ services }) => services[FAILING]!.official.status === 'up' && !services[FAILING]!.disputed))
  })

  t.test('the vendor admits it two to three hours later, and that is the lead time, however it back-dates', async t => {
    for (const { acknowledgement, lead_time_s: leadS, detected_at: at } of [outage, other]) {
      t.strictSame(acknowledgement, { source: vendor, published_at: new Date(EVENING.admittedAt).toISOString().replace('.000Z', 'Z'), url: page.url })
      t.equal(leadS, (EVENING.admittedAt - Date.parse(at)) / 1000)
      t.ok(leadS! >= 2 * HOUR_MS / 1000 && leadS! <= 3 * HOUR_MS / 1000, `${leadS} s`)
    }
    t.equal(entriesOf(outage, 'acknowledged').length, 1)
    const admitted = during(EVENING.admittedAt + 2 * MINUTE_MS, EVENING.greenAt)
    t.ok(admitted.length > 10)
    t.ok(admitted.every(({ services }) => services[FAILING]!.official.status === 'down' && !services[FAILING]!.disputed && services[FAILING]!.state === 'outage'))
  })

  t.test('when the page turns green it is disputed again, until people say that it works', async t => {
    t.equal(entriesOf(outage, 'disputed').length, 2)
    t.match(entriesOf(outage, 'disputed')[1], { at: new Date(EVENING.greenAt).toISOString().replace('.000Z', 'Z'), text: /says that it works again.*people still report that it does not\.$/ })
    const green = during(EVENING.greenAt + 2 * MINUTE_MS, EVENING.worksAt)
    t.ok(green.length > 10)
    t.ok(green.every(({ services }) => services[FAILING]!.official.status === 'up' && services[FAILING]!.disputed))
    t.equal(outage.state, 'resolved')
    t.ok(Date.parse(outage.resolved_at!) > EVENING.worksAt && Date.parse(outage.resolved_at!) <= EVENING.endsAt, outage.resolved_at!)
    t.match(looks.at(-1)!.services[FAILING], { state: 'operational', official: { status: 'up' }, disputed: false, disputed_since: null, outages: [] })
  })

  t.test('those who have nothing else are listed first throughout: iPads and Macs before iPhones with SMS', async t => {
    const confirmed = looks.flatMap(look => look.outages).filter(({ service, state }) => service === FAILING && state !== 'suspected')
    t.ok(confirmed.length > 40)
    for (const { device_impact: impact } of confirmed) {
      const places = ['ipad-wifi', 'mac', 'iphone'].map(slug => impact.findIndex(({ device_class: deviceClass }) => deviceClass === slug))
      if (places.includes(-1) || places[0]! > places[2]! || places[1]! > places[2]!) t.fail(JSON.stringify(impact))
      if (places.map(place => impact[place]!.fallback).join() !== ',,SMS') t.fail(JSON.stringify(impact))
    }
    t.ok(outage.device_impact.every(({ down }) => down > 0))
  })

  t.test('iMessage and FaceTime point at each other, and nothing else is flagged', async t => {
    t.equal(beside.length, 1)
    t.strictSame(outage.related, [other.id])
    t.strictSame(other.related, [outage.id])
    t.strictSame(looks.at(-1)!.outages.filter(({ service }) => !ON_PAGE.includes(service)).map(({ service }) => service), [])
    t.ok(SERVICES.every(service => counted.some(report => report.service === service)), 'though people speak of all')
  })

  t.test('the demonstration tells all of it in the service\'s words', async t => {
    const at = timeOf(detectedAt)
    const lead = `${Math.floor(outage.lead_time_s! / 3600)} h ${Math.round(outage.lead_time_s! / 60) % 60} min`
    const expected = [
      '18:48 * iMessage and FaceTime begin to fail',
      new RegExp(`^${at} {3}iMessage suspected: \\d+ reports where .+ normal; Apple's page still green$`),
      `${at}   iMessage disputed: Apple's page says that it works; people report that it does not.`,
      `21:40   iMessage acknowledged: Apple's page admits it, ${lead} after Groundswell`,
      /^23:05 {3}iMessage disputed: Apple's page says that it works again.*; people still report that it does not\.$/,
      /^0[01]:\d\d {3}iMessage resolved: /,
      'iMessage on 18 November 2012:',
      `  21:40  Apple's page admitted it, ${lead} after we suspected it`,
      /^ {2}23:05 {2}Apple's page was green again; [\d,]+ reports of failure came after that$/,
      /^FaceTime: suspected at \d\d:\d\d, admitted 2 h \d+ min after that, taken as over at \d\d:\d\d\. The service says that the two are related\.$/,
      'Other services flagged this evening: none.'
    ]
    let line = 0
    for (const each of expected) {
      const found = lines.findIndex((said, index) => index >= line && (typeof each === 'string' ? said.startsWith(each) : each.test(said)))
      t.ok(found >= 0, `says, after the others: ${each}`)
      if (found >= 0) line = found
    }
    t.notMatch(lines.join('\n'), vendor, 'Apple\'s page is called so')
  })
})

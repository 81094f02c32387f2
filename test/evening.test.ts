// The simulated evening keeps to what is known of that evening, and is the same each time.
import t from 'tap'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../src/core/time.ts'
import { catalog } from '../src/db/catalog.ts'
import { ALSO_FAILING, EVENING, FAILING, quietWeeks, SERVICES, simulateEvening, ZONE, type SimulatedReport } from '../src/evening.ts'
import { readAddress } from '../src/ingest/intake.ts'

const SEED = 20_121_118
const evening = simulateEvening(SEED)
const weeks = [...quietWeeks(SEED)]
const failsAt = (name: string) => ({ service, verdict }: SimulatedReport) => service === name && verdict !== 'working'
const fails = failsAt(FAILING)
const within = (reports: readonly SimulatedReport[], from: number, to: number) => reports.filter(({ at }) => at >= from && at < to)

t.test('the same seed tells the same story, another one another', async t => {
  const told = JSON.stringify(evening)
  t.ok(JSON.stringify(simulateEvening(SEED)) === told)
  t.notOk(JSON.stringify(simulateEvening(SEED + 1)) === told)
  t.ok(JSON.stringify([...quietWeeks(SEED)]) === JSON.stringify(weeks))
})

t.test('reports begin two to three hours before the page admits it, on that evening of the East', async t => {
  const early = EVENING.admittedAt - EVENING.failsAt
  t.ok(early >= 2 * HOUR_MS && early <= 3 * HOUR_MS)
  for (const service of [FAILING, ALSO_FAILING]) {
    const those = evening.filter(failsAt(service))
    const quiet = within(those, EVENING.startsAt, EVENING.failsAt).length / (EVENING.failsAt - EVENING.startsAt)
    const before = within(those, EVENING.failsAt, EVENING.admittedAt).length / early
    t.ok(before > 20 * quiet, `${service}: ${Math.round(before / quiet)} times as many`)
  }
  t.equal(new Intl.DateTimeFormat('en-CA', { timeZone: ZONE, dateStyle: 'short' }).format(EVENING.failsAt), '2012-11-18')
})

t.test('when the page is green again it still fails for some, and then for nobody', async t => {
  const quiet = within(weeks.filter(fails), EVENING.startsAt - 27 * DAY_MS, EVENING.startsAt).length / (27 * DAY_MS)
  const rate = (from: number, to: number) => within(evening.filter(fails), from, to).length / (to - from)
  t.ok(rate(EVENING.greenAt, EVENING.greenAt + 30 * MINUTE_MS) > 5 * quiet)
  t.ok(rate(EVENING.worksAt + 5 * MINUTE_MS, EVENING.endsAt) < 3 * quiet)
})

t.test('no wifi-only iPad and no iPad at all can carry on, few Macs can, most iPhones can', async t => {
  const during = within(evening, EVENING.failsAt, EVENING.worksAt).filter(report => fails(report) && report.impact !== undefined)
  const carriesOn = (deviceClass: string) => {
    const those = during.filter(report => report.deviceClass === deviceClass)
    t.ok(those.length > 50, `${those.length} reports from ${deviceClass}`)
    return those.filter(({ impact }) => impact === 'workaround').length / those.length
  }
  t.equal(carriesOn('ipad-wifi'), 0)
  t.equal(carriesOn('ipad-cellular'), 0)
  t.ok(carriesOn('mac') < 0.15)
  t.ok(carriesOn('iphone') > 0.75)
})

t.test('nothing else fails, and the quiet weeks have days and nights', async t => {
  for (const service of SERVICES.filter(service => service !== FAILING && service !== ALSO_FAILING)) {
    const count = (reports: readonly SimulatedReport[]) => reports.filter(report => report.service === service).length
    const usual = count(within(weeks, EVENING.startsAt - 7 * DAY_MS, EVENING.startsAt - 7 * DAY_MS + (EVENING.endsAt - EVENING.startsAt)))
    t.ok(count(evening) < 1.6 * usual + 10, `${service}: ${count(evening)} beside ${usual} a week before`)
  }
  const byHour = Array.from({ length: 24 }, () => 0)
  for (const { at } of weeks) byHour[Math.floor(at / HOUR_MS) % 24]!++
  t.ok(Math.max(...byHour) > 3 * Math.min(...byHour))
  t.ok(byHour.indexOf(Math.min(...byHour)) >= 8 && byHour.indexOf(Math.min(...byHour)) <= 13, 'least before dawn in the Americas')
})

t.test('everything it names is in the catalog, ascends in time and comes from many networks', async t => {
  const known = (list: readonly { slug: string }[], name: string | undefined) => name === undefined || list.some(({ slug }) => slug === name)
  const all = [...weeks, ...evening]
  t.strictSame(all.filter(({ service, deviceClass, symptom }) =>
    !known(catalog.services, service) || !known(catalog.deviceClasses, deviceClass) || !known(catalog.symptoms, symptom)), [])
  t.ok(evening.every(({ at }, i) => i === 0 || at >= evening[i - 1]!.at))
  t.ok(weeks.every(({ at }) => at >= EVENING.startsAt - 28 * DAY_MS && at < EVENING.startsAt))
  t.notOk(all.some(({ address }) => readAddress(address).network === 'unknown'))
  const networks = new Set(evening.filter(fails).map(({ address }) => readAddress(address).network))
  t.ok(networks.size > 1_000)
  t.ok(weeks.length < 90_000 && evening.length < 20_000, `${weeks.length} and ${evening.length} reports: a demonstration, no load test`)
})

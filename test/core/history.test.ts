import fc from 'fast-check'
import t from 'tap'
import { defaultFrom, isTooLong, monthsWithin, splitWatched, tellHistory } from '../../src/core/history.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../src/core/time.ts'

const at = (text: string): number => Date.parse(text)
const range = (from: string, to: string) => ({ from: at(from), to: at(to) })
/** The months of a range, watched without a break. */
const watched = (from: string, to: string) => monthsWithin(range(from, to)).map(month => ({ ...month, watchedMs: month.to - month.from }))
const outage = (onset: string, resolved: string | null) => ({ onsetAt: at(onset), resolvedAt: resolved === null ? null : at(resolved) })

t.test('an outage counts in the month of its onset, and its time in each month that it touches', async t => {
  const { months, years } = tellHistory([
    outage('2025-11-03T10:00:00Z', '2025-11-03T11:00:00Z'),
    outage('2025-12-31T22:00:00Z', '2026-02-01T01:00:00Z')
  ], watched('2025-11-01T00:00:00Z', '2026-03-01T00:00:00Z'))
  t.strictSame(months.map(({ month, outageCount, outageS }) => [month, outageCount, outageS / 3600]),
    [['2025-11', 1, 1], ['2025-12', 1, 2], ['2026-01', 0, 31 * 24], ['2026-02', 0, 1]])
  t.strictSame(years.map(({ year, outageCount, outageS, changeS }) => [year, outageCount, outageS / 3600, changeS === null ? null : changeS / 3600]),
    [[2025, 2, 3, null], [2026, 0, 745, 742]], 'the first year has nothing to be compared with')
})

t.test('one that is open lasts until the end, and one that began before counts by its time alone', async t => {
  const { months, meanRecoveryS, meanBetweenS } = tellHistory([
    outage('2026-01-31T23:00:00Z', '2026-02-01T02:00:00Z'), outage('2026-02-10T00:00:00Z', null)
  ], watched('2026-02-01T00:00:00Z', '2026-02-10T05:00:00Z'))
  t.match(months, [{ month: '2026-02', outageCount: 1, outageS: 7 * 3600 }])
  t.equal(meanRecoveryS, null, 'none that began here was resolved')
  t.equal(meanBetweenS, (8 * 24 + 22) * 3600, 'from the end of the one to the onset of the other')
})

t.test('the means are of whole pauses and of resolved outages, and null without one', async t => {
  const outages = [
    outage('2026-01-02T00:00:00Z', '2026-01-02T01:00:00Z'), outage('2026-01-04T01:00:00Z', '2026-01-04T04:00:00Z'), outage('2026-01-08T04:00:00Z', '2026-01-08T06:00:00Z')
  ]
  const whole = tellHistory(outages, watched('2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z'))
  t.strictSame([whole.meanBetweenS, whole.meanRecoveryS], [3 * 86_400, 2 * 3600])
  const cut = tellHistory(outages, watched('2026-01-01T00:00:00Z', '2026-01-08T05:00:00Z'))
  t.strictSame([cut.meanBetweenS, cut.meanRecoveryS], [3 * 86_400, 2 * 3600], 'what was resolved after the end is not among the recoveries')
  const one = tellHistory(outages.slice(0, 1), watched('2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z'))
  t.strictSame([one.meanBetweenS, one.meanRecoveryS], [null, 3600])
  t.match(tellHistory([], watched('2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z')), { meanBetweenS: null, meanRecoveryS: null, months: [{ outageCount: 0, outageS: 0, watchedS: 31 * 86_400 }] })
})

t.test('time in which two outages were open together is counted once', async t => {
  const { months } = tellHistory([
    outage('2026-01-02T00:00:00Z', '2026-01-02T04:00:00Z'), outage('2026-01-02T03:00:00Z', '2026-01-02T05:00:00Z')
  ], watched('2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z'))
  t.match(months, [{ outageCount: 2, outageS: 5 * 3600 }])
})

t.test('property: months partition the range, and months and years add up to the outages\' time', async () => {
  const moment = fc.integer({ min: at('2015-01-01T00:00:00Z') / MINUTE_MS, max: at('2026-01-01T00:00:00Z') / MINUTE_MS }).map(minute => minute * MINUTE_MS)
  fc.assert(fc.property(moment, fc.integer({ min: 1, max: 3_000_000 }), fc.array(fc.tuple(moment, fc.integer({ min: 1, max: 100_000 })), { maxLength: 30 }), (from, minutes, list) => {
    const to = from + minutes * MINUTE_MS
    const months = monthsWithin({ from, to })
    if (months[0]!.from !== from || months.at(-1)!.to !== to) return false
    if (months.some((month, i) => i > 0 && month.from !== months[i - 1]!.to)) return false
    const told = tellHistory(list.map(([onsetAt, length]) => ({ onsetAt, resolvedAt: onsetAt + length * MINUTE_MS })), months.map(month => ({ ...month, watchedMs: 0 })))
    const inRange = new Set<number>()
    for (const [onset, length] of list) for (let minute = Math.max(onset, from); minute < Math.min(onset + length * MINUTE_MS, to); minute += MINUTE_MS) inRange.add(minute)
    const sum = (parts: readonly { outageS: number }[]) => parts.reduce((all, { outageS }) => all + outageS, 0)
    return sum(told.months) === inRange.size * 60 && sum(told.years) === sum(told.months) &&
      new Set(told.months.map(({ month }) => month)).size === told.months.length
  }), { numRuns: 60 })
})

t.test('a history begins where somebody began to watch, and is two years long at most by itself', async t => {
  const to = at('2026-11-18T12:00:00Z')
  const cases: [number | null, [string, string] | null, string][] = [
    [at('2026-10-05T08:00:00Z'), null, '2026-10-01'],
    [at('2020-01-01T00:00:00Z'), null, '2024-11-01'],
    [at('2026-10-05T08:00:00Z'), ['2026-02-11T00:00:00Z', '2026-03-01T00:00:00Z'], '2026-02-01'],
    [null, null, '2026-11-01'],
    [at('2027-01-01T00:00:00Z'), null, '2024-11-01']
  ]
  for (const [liveSince, history, from] of cases) {
    t.equal(new Date(defaultFrom(to, { liveSince, history: history === null ? null : range(...history) })).toISOString().slice(0, 10), from)
  }
  t.equal(defaultFrom(at('2026-11-01T00:00:00Z'), { liveSince: null, history: null }), at('2026-10-01T00:00:00Z'), 'never empty')
})

t.test('ten years are told at once and not a minute more', async t => {
  const ten = range('2016-02-29T12:00:00Z', '2026-02-28T12:00:00Z')
  t.notOk(isTooLong(ten))
  t.ok(isTooLong({ ...ten, to: ten.to + 2 * DAY_MS }))
  t.notOk(isTooLong(range('2016-01-01T00:00:00Z', '2026-01-01T00:00:00Z')))
  t.ok(isTooLong(range('2016-01-01T00:00:00Z', '2026-01-01T00:01:00Z')))
})

t.test('imported history counts as watched whole, marks only from where the service is in the catalog', async t => {
  const month = range('2026-03-01T00:00:00Z', '2026-04-01T00:00:00Z')
  const live = at('2026-03-20T06:00:00Z')
  t.strictSame(splitWatched(month, { liveSince: live, history: null }), { knownMs: 0, marked: { from: live, to: month.to } })
  t.strictSame(splitWatched(month, { liveSince: live, history: range('2026-03-10T00:00:00Z', '2026-03-12T01:00:00Z') }), { knownMs: 49 * HOUR_MS, marked: { from: live, to: month.to } })
  t.strictSame(splitWatched(month, { liveSince: null, history: null }), { knownMs: 0, marked: null })
  t.strictSame(splitWatched(month, { liveSince: live, history: range('2025-01-01T00:00:00Z', '2026-05-01T00:00:00Z') }), { knownMs: 31 * DAY_MS, marked: null }, 'no minute twice')
})

import t, { type Test } from 'tap'
import { lnGamma, lnRising } from '../../bench/detection/gamma.ts'
import { gainOf } from '../../bench/detection/oracle.ts'
import { calibrate, climb, exceed, type Series } from '../../bench/detection/peers/alarms.ts'
import { countGain, seasonalCusum } from '../../bench/detection/peers/cusum.ts'
import { baselineOf, earsC2 } from '../../bench/detection/peers/ears.ts'
import { farrington, fit, forecast, surprise } from '../../bench/detection/peers/farrington.ts'
import { fixedCount } from '../../bench/detection/peers/fixed.ts'
import { timeOfDayRatio } from '../../bench/detection/peers/ratio.ts'
import { binnedCounts, DAY_BINS, expectedAt, referencesOf, slidingCounts } from '../../bench/detection/peers/windows.ts'
import { countsWith, newRandom } from '../../bench/detection/random.ts'

const near = (t: Test, found: number, wanted: number, within = 1e-9): void => { t.ok(Math.abs(found - wanted) <= within, `${found} is ${wanted}`) }
const even = (length: number, value: number): number[] => Array<number>(length).fill(value)

/** Ten days at one report a minute, with eight times as many in the last hour. */
function flood (): Series {
  const random = newRandom(5)
  const draw = countsWith(1.5)
  const length = 10 * 1440
  return { down: Uint16Array.from({ length }, (_, minute) => draw(random, minute >= length - 60 ? 8 : 1)), watched: new Uint8Array(length).fill(1) }
}

t.test('an alarm is raised once, until its signal was quiet for 30 minutes', async t => {
  const statistic = Float64Array.from([0, 5, 5, ...even(29, 0), 5, ...even(30, 0), 5])
  t.same(exceed(statistic, 4), [1, 63])
  t.same(exceed(statistic, 5), [], 'above, not at, the threshold')
  t.same(exceed(Float64Array.from([5, ...even(40, NaN), 5]), 4), [0], 'what is not known is not quiet')
})

t.test('a CUSUM begins anew after its signal and stands still in a gap', async t => {
  const gains = Float64Array.from([1, 1, 1, -5, 1, 1, ...even(30, -1), 1, 1, 1])
  t.same(climb(gains, new Uint8Array(gains.length).fill(1), 3), [2, 38])
  t.same(climb(gains, Uint8Array.from(gains, (_, minute) => Number(minute !== 1)), 3), [38])
})

t.test('the threshold is the lowest from which on false alarms are few enough', async t => {
  const threshold = calibrate(threshold => ({ falseAlarms: threshold < 2 ? 1 : threshold < 7.5 ? 9 : 4, months: 4 }), 1)
  near(t, threshold, 7.5, 0.001)
})

t.test('windows slide over watched minutes only, and bins lie end to end', async t => {
  const series = { down: Uint16Array.from(even(46, 2)), watched: Uint8Array.from({ length: 46 }, (_, minute) => Number(minute !== 20)) }
  const sums = slidingCounts(series)
  t.ok(Number.isNaN(sums[13]!))
  t.same([sums[14], sums[19], sums[35], sums[45]], [30, 30, 30, 30])
  t.ok(sums.slice(20, 35).every(sum => Number.isNaN(sum)))
  t.same([...binnedCounts(series)], [30, NaN, 30])
  t.same([14, 19, 29].map(minute => expectedAt(Float64Array.from([3, 6]), minute)), [3, 4, 6])
})

t.test('references are the same time on past days', async t => {
  const bins = Float64Array.from({ length: 3 * DAY_BINS }, (_, bin) => bin)
  bins[2] = NaN
  t.same(referencesOf(bins, 2 * DAY_BINS + 3, 1, 4, 1), { counts: [98, 99, 100, 3, 4], days: [1, 1, 1, 2, 2] })
})

t.test('C2 takes mean and deviation of seven days, two days ago', async t => {
  const bins = Float64Array.from({ length: 12 * DAY_BINS }, (_, bin) => {
    const daysAgo = 11 - Math.floor(bin / DAY_BINS)
    return daysAgo < 3 || daysAgo > 9 ? 1000 : 10 * daysAgo
  })
  const { mean, deviation } = baselineOf(bins, 11 * DAY_BINS + 40)
  near(t, mean, 60)
  near(t, deviation, Math.sqrt(400 * 35 / 34), 1e-9)
  t.equal(baselineOf(new Float64Array(12 * DAY_BINS), 11 * DAY_BINS + 40).deviation, 2, 'never less')
})

t.test('Farrington\'s regression finds a level, a trend and today', async t => {
  const days = [1, 2, 3, 4, 5, 6].flatMap(day => [day, day])
  const level = fit(even(12, 4), days, even(12, 1), true)
  near(t, level.today, 4, 1e-6)
  near(t, level.leverages.reduce((sum, leverage) => sum + leverage, 0), 2, 1e-9)
  const growing = fit(days.map(day => 64 * 2 ** -day), days, even(12, 1), true)
  near(t, growing.today, 64, 1e-3)
  near(t, fit([2, 6], [1, 2], [3, 1], false).today, 3)
})

t.test('an outbreak of the past hardly lifts the forecast, and an unseen trend is not believed', async t => {
  const days = Array.from({ length: 98 }, (_, i) => 1 + Math.floor(i / 7))
  const calm = days.map((_, i) => [3, 5, 4, 6, 4, 2, 4][i % 7]!)
  const before = forecast(calm, days)
  near(t, before.mean, 4, 0.05)
  t.equal(before.phi, 1)
  const after = forecast(calm.map((count, i) => i >= 50 && i < 54 ? 80 : count), days)
  t.ok(after.mean < 4.5, `${after.mean}, where the plain mean is 7.1`)
  t.ok(after.phi < 10, `φ ${after.phi}, where unweighed it is 32`)
  t.ok(forecast([1, 2, 4, 8, 16, 32, 64].flatMap(count => [count, count, count]), [7, 6, 5, 4, 3, 2, 1].flatMap(day => [day, day, day])).mean <= 64)
})

t.test('surprise is the tail of the law', async t => {
  near(t, surprise(3, 1, 1), -Math.log10(1 - 2.5 / Math.E), 1e-6)
  // Size 1 at mean 2 and φ 3: geometric, so the tail from 5 on is (2/3)^5.
  near(t, surprise(5, 2, 3), -5 * Math.log10(2 / 3), 1e-6)
  t.equal(surprise(2, 2, 3), 0)
  t.ok(Number.isFinite(surprise(5000, 10, 1.2)))
})

t.test('likelihood ratios are those of the laws', async t => {
  near(t, lnGamma(5), Math.log(24), 1e-9)
  near(t, lnGamma(0.5), Math.log(Math.PI) / 2, 1e-9)
  near(t, lnRising(2.5, 20), lnGamma(22.5) - lnGamma(2.5), 1e-9)
  near(t, gainOf(4, 2, 3, 1), 4 * Math.log(3) - 4)
  // Sizes 1 and 2 at φ 3: (n+1)(2/3)^n/9 over (2/3)^n/3.
  near(t, gainOf(7, 2, 2, 3), Math.log(8 / 3))
  near(t, countGain(4, 2, 3, 1), 4 * Math.log(3) - 4)
  // Size 1, means 2 and 4: (4/5)^n/5 over (2/3)^n/3.
  near(t, countGain(6, 2, 2, 3), 6 * Math.log(6 / 5) + Math.log(3 / 5))
})

t.test('every peer sees a flood within its hour, and nothing before', async t => {
  const series = flood()
  const thresholds: [typeof fixedCount, number][] = [[fixedCount, 60], [timeOfDayRatio, 3], [earsC2, 8], [farrington, 8], [seasonalCusum, 12]]
  for (const [{ name, prepare }, threshold] of thresholds) {
    const alarms = prepare(series)(threshold)
    t.equal(alarms.length, 1, name)
    t.ok(alarms[0]! >= series.down.length - 60 && alarms[0]! < series.down.length - 40, `${name} at minute ${alarms[0]! - series.down.length + 60}`)
  }
})

import fc from 'fast-check'
import t, { type Test } from 'tap'
import {
  closeHour, dispersion, expectationAt, newBaseline, positionOf, predictHour, readTriple, recordWindow, relativeError, relativeShareError, upperCount,
  type Baseline
} from '../../src/core/baseline.ts'
import { HOUR_MS } from '../../src/core/time.ts'

const near = (t: Test, found: number, wanted: number, message: string): void => {
  t.ok(Math.abs(found - wanted) <= 1e-6 * Math.max(1, Math.abs(wanted)), `${message}: ${found} is ${wanted}`)
}

/** Feeds whole hours of one window a minute with `y` down and `w` working reports each, as the detector does. */
function live (b: Baseline, firstHour: number, hours: number, y: number, w: number, suspicious = false): number {
  for (let i = 0; i < hours; i++) {
    const hourOfDay = (firstHour + i) % 24
    const model = predictHour(b, hourOfDay, 2)
    for (let minute = 0; minute < 60; minute++) {
      const position = positionOf(minute * 60_000, 1, 0)
      recordWindow(b, model, { y, w, m: readTriple(model.m, position), mw: readTriple(model.w, position) }, 1)
    }
    b.open.suspicious = suspicious
    closeHour(b, model.phi, false, (hourOfDay + 1) % 24)
  }
  return (firstHour + hours) % 24
}

t.test('an unlearnt service has the catalogue\'s rate, and the widest margin', async t => {
  const model = predictHour(newBaseline(10), 10, 2)
  near(t, model.m[0], 1 / 30, 'm at the start')
  near(t, model.m[1], 1 / 30, 'm in the middle')
  near(t, model.w[1], 2 / 30, 'twice that for working')
  t.equal(model.phi, 2.5)
  near(t, relativeError(newBaseline(10), 10, 2.5), Math.sqrt(0.01 + 2.5 / 15 + 0.64), 'rel')
  near(t, model.upper[1], 0.1403696, 'm⁺ = m(1 + 3·0.903696) + 1/60')
})

t.test('an expectation of nothing still predicts a number', async t => {
  const model = predictHour(newBaseline(0), 0, 0)
  t.ok(model.m.every(m => m > 0) && model.upper.every(upper => Number.isFinite(upper)))
})

t.test('a part of a service is at most all of it, and its φ leans on the service\'s', async t => {
  const service = { ...predictHour(newBaseline(10), 10, 2), upper: [1, 0, 2] as [number, number, number], phi: 4 }
  const part = newBaseline(10)
  const own = predictHour(part, 10, 2).upper[1]
  const unknown = predictHour(part, 10, 2, service)
  t.equal(unknown.phi, 4)
  t.ok(unknown.upper[0] === 1 && unknown.upper[2] === 2 && unknown.upper[1] > own, 'point by point, and its own where that is more')
  live(part, 10, 3, 1, 1)
  t.equal(part.learntHours, 2)
  const known = predictHour(part, 13, 2, service)
  t.ok(known.upper[2] < 2 * 2 && known.upper[0] !== 1, 'once its own share is known, its own bound holds')
  near(t, known.phi, Math.max(1, 30 * 4 / (30 + 120)), 'steady counts of 120 reports outweigh thirty')
})

t.test('one learnt hour gives the posterior means of the formulas', async t => {
  const b = newBaseline(3)
  live(b, 3, 1, 0.5, 1)
  t.equal(b.learntHours, 0, 'an hour that has just closed is not learnt yet')
  live(b, 4, 1, 0, 0)
  t.equal(b.learntHours, 1)
  // ΣN = 30 in 60 minutes; r = (30 + 20/30)/(60 + 20) = 0.383333; bin = (15 + 30)/(15/r + 60) = 0.453947
  const model = predictHour(b, 3, 2)
  near(t, model.dailyMean, 0.3833333, 'r')
  near(t, model.m[1], 0.4539474, 'bin')
  near(t, model.m[0], (0.4539474 + 0.3833333) / 2, 'half-way to the hour before')
  near(t, model.m[2], (0.4539474 + 0.3833333) / 2, 'half-way to the hour after')
  // working: r = (60 + 40/30)/80 = 0.7666667; bin = 75/(15/r + 60)
  near(t, model.w[1], 75 / (15 / 0.7666667 + 60), 'working')
  near(t, model.phi, 75 / (30 + 30), 'steady counts: no differences over 30 reports')
})

t.test('φ leans on 2.5 and is never below 1', async t => {
  const b = newBaseline(0)
  t.equal(dispersion(b), 2.5)
  t.equal(dispersion({ ...b, phiUnder: 1e6 }), 1)
  t.equal(dispersion({ ...b, phiOver: 225, phiUnder: 70 }), 3)
})

t.test('there is no level before 24 hours are learnt, and it follows a change after', async t => {
  const b = newBaseline(0)
  let hour = live(b, 0, 24, 1, 1)
  t.equal(b.levelSeenY, 0)
  t.equal(predictHour(b, hour, 2).levelY, 1)
  hour = live(b, hour, 30, 1, 1)
  near(t, predictHour(b, hour, 2).levelY, (30 + b.levelSeenY) / (30 + b.levelPredictedY), 'level')
  const before = predictHour(b, hour, 2).levelW
  hour = live(b, hour, 12, 1, 2)
  t.ok(predictHour(b, hour, 2).levelW > before * 1.2, 'twice the working reports raise their level')
})

t.test('a suspicious hour is not learnt once 48 are, but not for ever', async t => {
  const b = newBaseline(0)
  let hour = live(b, 0, 20, 1, 0, true)
  t.equal(b.learntHours, 19, 'in the first 48 hours nothing is skipped')
  hour = live(b, hour, 32, 1, 0)
  t.equal(b.learntHours, 51)
  hour = live(b, hour, 24, 1, 0, true)
  t.equal(b.learntHours, 51, 'one day of suspicious hours is skipped')
  live(b, hour, 2, 1, 0, true)
  t.equal(b.learntHours, 53, 'then it is learnt')
})

t.test('an hour before a suspicious one is skipped with it', async t => {
  const b = newBaseline(0)
  let hour = live(b, 0, 60, 1, 0)
  hour = live(b, hour, 1, 1, 0, true)
  t.equal(b.learntHours, 59, 'the hour before might hold the beginning')
  hour = live(b, hour, 1, 1, 0)
  t.equal(b.learntHours, 59)
  live(b, hour, 1, 1, 0)
  t.equal(b.learntHours, 60)
})

t.test('from 48 hours on φ is learnt from residuals and σ² from whole hours, with their memories', async t => {
  const b: Baseline = {
    ...newBaseline(5),
    learntHours: 50,
    phiOver: 100,
    phiUnder: 50,
    strayOver: 10,
    strayUnder: 1000,
    levelSeenY: 60,
    levelPredictedY: 50,
    levelSeenW: 7,
    levelPredictedW: 8
  }
  b.binY[4] = 40
  b.pending = { ...b.open, hourOfDay: 4, y: 20, w: 5, minutes: 60, predictedY: 10, profileY: 8, profileW: 4, residual2: 30, difference2: 99 }
  b.open.minutes = 60
  closeHour(b, 2, false, 6)
  near(t, b.phiOver, 100 * 0.9958420 + 30, 'Σ(y−m)²')
  near(t, b.phiUnder, 50 * 0.9958420 + 10, 'Σm')
  near(t, b.strayOver, 10 * 0.9958420 + 100 - 2 * 10, '(y−P)² − φP')
  near(t, b.strayUnder, 1000 * 0.9958420 + 100, 'P²')
  near(t, b.binY[4]!, 40 * 0.9649155 + 20, 'a bin forgets a day at a time')
  near(t, b.levelSeenY, 60 * 0.9200444 + 20, 'the level forgets in half a day')
  near(t, b.levelPredictedY, 50 * 0.9200444 + 8, 'and is held against the profile alone')
  near(t, b.levelSeenW, 7 * 0.9200444 + 5, 'working')
  near(t, b.levelPredictedW, 8 * 0.9200444 + 4, 'working, predicted')
  t.equal(b.learntHours, 51)
})

t.test('how far the share strays is learnt apart from how far the counts do', async t => {
  const b: Baseline = { ...newBaseline(5), learntHours: 50, strayOver: 10, strayUnder: 1000, shareStrayOver: 6, shareStrayUnder: 500 }
  b.pending = { ...b.open, hourOfDay: 4, y: 20, w: 40, minutes: 60, predictedY: 10, shareResidual: 8, shareVariance: 12 }
  b.open.minutes = 60
  closeHour(b, 2, false, 6)
  near(t, b.shareStrayOver, 6 * 0.9958420 + 64 - 2 * 12, '(Σ(y−n·p₀))² − φ·Σn·p₀(1−p₀)')
  near(t, b.shareStrayUnder, 500 * 0.9958420 + 144, '(Σn·p₀(1−p₀))²')
  b.learntHours = 36
  b.binY[7] = 10
  b.binW[7] = 35
  // σ_s² = (4 + 45.975052)/(400 + 641.921) = 0.0479644; φ/(15 + 10) = 0.08; φ/(15 + 35) = 0.04; cold = 0.64·(1 − 36/72) = 0.32.
  near(t, relativeShareError(b, 7, 2), 0.6985444, 'rel_s')
  // σ² = (4 + 10·0.995842 + 100 − 20)/(400 + 1000·0.995842 + 100) = 93.95842/1495.842 = 0.0628131; no working reports in it.
  near(t, relativeError(b, 7, 2), 0.6803036, 'rel')
})

t.test('what is recorded of the share is how far it strayed, and how far it would by chance', async t => {
  const b = newBaseline(0)
  const model = predictHour(b, 0, 2)
  // p₀ = 1/4: of 4 reports 3 where 1 was expected, 4·3/16; then of 8 all working where 2 were to fail, 8·3/16.
  recordWindow(b, model, { y: 3, w: 1, m: 0.5, mw: 1.5 }, 1)
  recordWindow(b, model, { y: 0, w: 8, m: 0.5, mw: 1.5 }, 1)
  near(t, b.open.shareResidual, 2 - 2, 'they balance')
  near(t, b.open.shareVariance, 0.75 + 1.5, 'n·p₀(1−p₀)')
})

t.test('before 48 hours are learnt neither σ² is', async t => {
  const b: Baseline = { ...newBaseline(5), learntHours: 47 }
  b.pending = { ...b.open, hourOfDay: 4, y: 20, minutes: 60, predictedY: 10, shareResidual: 8, shareVariance: 12 }
  b.open.minutes = 60
  closeHour(b, 2, false, 6)
  t.same([b.learntHours, b.strayOver, b.strayUnder, b.shareStrayOver, b.shareStrayUnder], [48, 0, 0, 0, 0])
})

t.test('an hour in which nobody watched is no hour', async t => {
  const b = newBaseline(0)
  live(b, 0, 5, 1, 1)
  const before = JSON.stringify({ ...b, open: null })
  for (let hour = 6; hour < 20; hour++) closeHour(b, 2.5, false, hour)
  t.equal(JSON.stringify({ ...b, open: null }), before)
})

t.test('a flood in one hour is clipped before it is learnt', async t => {
  const b = newBaseline(0)
  let hour = live(b, 0, 72, 1, 0)
  const clean = predictHour(b, hour, 2)
  hour = live(b, hour, 1, 1000, 0)
  hour = live(b, hour, 1, 1, 0)
  t.ok(predictHour(b, hour, 2).dailyMean < clean.dailyMean * 1.2)
})

t.test('an hour\'s line runs through its three points and on to the next centre', async t => {
  const table = [[0, 1], [0.25, 2], [0.5, 3], [0.75, 2.5], [1, 2], [1.5, 1]] as const
  for (const [position, value] of table) t.equal(readTriple([1, 3, 2], position), value)
  t.equal(positionOf(5 * HOUR_MS + 14_000, 15, 5 * HOUR_MS), 14 / 3600 + 0.125)
  t.same(expectationAt({ m: [0, 60, 0], upper: [60, 120, 60], phi: 1 }, 0), { m: 1, upper: 61 })
  t.same(expectationAt({ m: [0, 60, 0], upper: [60, 120, 60], phi: 1 }, 29.5), { m: 60, upper: 120 })
})

t.test('the bound is the 99th percentile of the negative binomial', async t => {
  const table = [
    // By hand: NB(4, ½) sums to .98936 at 12, .99363 at 13; the geometric one is 1 − ½^(k+1).
    [4, 2, 13], [1, 2, 6],
    // Poisson, from tables.
    [1, 1, 4], [10, 1, 18], [100, 1, 124], [0.01, 1, 0], [10, 1.01, 18],
    // By log-gamma, apart from this code.
    [10, 2.5, 24], [1000, 1.5, 1092], [0.05, 2.5, 2], [50000, 5, 51170], [0.3, 40, 7]
  ] as const
  for (const [mean, phi, wanted] of table) t.equal(upperCount(mean, phi), wanted, `mean ${mean}, φ ${phi}`)
  t.equal(upperCount(0, 2), 0)
  t.equal(upperCount(NaN, 2), 0)
})

t.test('the bound grows with the mean', async () => {
  fc.assert(fc.property(fc.double({ min: 0.01, max: 5000, noNaN: true }), fc.double({ min: 1, max: 20, noNaN: true }), (mean, phi) => {
    const u = upperCount(mean, phi)
    return Number.isInteger(u) && u <= upperCount(mean * 1.1, phi) && u >= Math.floor(mean * 0.01)
  }))
})

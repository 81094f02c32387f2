import t from 'tap'
import {
  bestChart, chartName, countedValue, emptyCharts, expectedCost, pushChart, pushCharts, RATIOS, ODDS, reportGain, resetChart, shareGains, suspicionOf, weightsFor, type Chart, type Spread
} from '../../src/core/charts.ts'

const emptyChart = (start: number): Chart => emptyCharts(start)[0]!
const spread = (phi: number, shareError = 0): Spread => ({ phi, shareError })
const near = (found: number, wanted: number): boolean => Math.abs(found - wanted) < 1e-6

t.test('a report is worth ln(qφ/(1+q(φ−1))), an expected one ln((1+q(φ−1))/φ)/(φ−1)', async t => {
  // By hand: φ = 2.5: ln(25/16), ln(6.4)/1.5; ln(250/151), ln(60.4)/1.5. Poisson: ln q, q − 1.
  const table = [
    [10, 2.5, 0.4462871, 1.2375320], [100, 2.5, 0.5041811, 2.7339930], [1.5, 2, 0.1823216, 0.2231436],
    [3, 1, 1.0986123, 2], [100, 1.01, 4.6051702, 99]
  ] as const
  for (const [q, phi, gain, cost] of table) {
    t.ok(near(reportGain(q, phi), gain), `gain of ${q} at ${phi}: ${reportGain(q, phi)}`)
    t.ok(near(expectedCost(q, phi), cost), `cost of ${q} at ${phi}: ${expectedCost(q, phi)}`)
  }
})

t.test('counts at the mean drift down, whatever φ is', async t => {
  for (const q of [1.5, 3, 10, 100]) {
    for (const phi of [1, 1.01, 1.02, 1.5, 2.5, 10, 1000]) t.ok(reportGain(q, phi) < expectedCost(q, phi), `q ${q}, φ ${phi}`)
  }
})

t.test('a run keeps its sums until the evidence is spent', async t => {
  const chart = emptyChart(0)
  const seen = { y: 2, m: 0.5, upper: 1, w: 3, mw: 4, shareUpper: 1 }
  pushChart(chart, -1, seen, 1)
  t.same(chart, emptyChart(1))
  pushChart(chart, 2, seen, 2)
  pushChart(chart, -1, seen, 3)
  t.same(chart, { value: 1, start: 1, y: 4, m: 1, upper: 2, w: 6, mw: 8 })
  pushChart(chart, -1, seen, 4)
  t.same(chart, emptyChart(4), 'exactly nothing is nothing')
  resetChart(chart, 9)
  t.same(chart, emptyChart(9))
})

t.test('six and a half reports are no alarm, seven may be', async t => {
  const run = { value: 12, start: 0, m: 0.1, upper: 0.2, w: 0, mw: 0.1 }
  t.equal(countedValue([{ ...run, y: 6.5 }], 0, spread(1)), 0)
  t.equal(countedValue([{ ...run, y: 7 }], 0, spread(1)), 12)
})

t.test('when working reports rise as well, only the share counts beyond five', async t => {
  const run = { value: 30, start: 0, y: 40, m: 10, upper: 12, w: 40, mw: 10 }
  t.equal(countedValue([run], 0, spread(1)), 5, 'a rumour: both fourfold, the share as ever')
  t.equal(countedValue([{ ...run, y: 30, w: 45 }], 0, spread(1)), 5, 'the share fell')
  t.equal(countedValue([{ ...run, w: 10 }], 0, spread(1)), 30, 'no more working reports than expected')
  t.equal(countedValue([{ ...run, value: 4 }], 0, spread(1)), 4)
  // By hand: share 40/52 against ½: 40·ln(1.538462) + 12·ln(0.461538) = 17.231316 − 9.278280 = 7.953037
  t.ok(near(countedValue([{ ...run, w: 12 }], 0, spread(1)), 12.953037), String(countedValue([{ ...run, w: 12 }], 0, spread(1))))
  t.ok(near(countedValue([{ ...run, w: 12 }], 0, spread(2)), 5 + 7.953037 / 2))
  // V = 52·½·½ = 13; odds that are known within a half stray as much again as 1 + 13/4.
  t.ok(near(countedValue([{ ...run, w: 12 }], 0, spread(1, 0.5)), 5 + 7.953037 / 4.25), 'the less is learnt of the share, the less it says')
})

t.test('the best chart is the first of the largest that may speak', async t => {
  const run = { start: 0, m: 1, upper: 1, w: 0, mw: 0 }
  const charts = [{ ...run, value: 3, y: 9 }, { ...run, value: 8, y: 9 }, { ...run, value: 8, y: 9 }, { ...run, value: 20, y: 5 }]
  t.equal(bestChart(charts, spread(1)), 1)
  t.equal(bestChart(charts.slice(3), spread(1)), -1)
  t.equal(chartName(1), 'count×3')
  t.equal(chartName(RATIOS.length + 1), 'share×5')
})

t.test('for φ = 1 a share chart adds the binomial log-likelihood ratio', async t => {
  // By hand, p = 1/4: θ = 5: ln(5/2), −ln 2.
  const { down, working } = shareGains(5, 1, 3, 1)
  t.ok(near(down, Math.log(2.5)) && near(working, -Math.log(2)))
  const close = shareGains(5, 1, 3, 1.021)
  t.ok(Math.abs(close.down - down) < 0.05 && Math.abs(close.working - working) < 0.05, 'and nearly so just above')
})

t.test('a share chart expects nothing of usual reports, whatever the traffic and φ', async t => {
  for (const [mean, working, phi] of [[1, 3, 2], [0.01, 0.001, 5], [40, 0.5, 3], [0.2, 900, 1.5]] as const) {
    for (const odds of ODDS) {
      const gains = shareGains(odds, mean, working, phi)
      // ln E[e^(a·y)] of a negative binomial with mean μ and variance φμ is −μ·ln(φ − (φ−1)e^a)/(φ−1).
      const logMean = (mu: number, a: number): number => -mu * Math.log(phi - (phi - 1) * Math.exp(a)) / (phi - 1)
      const total = logMean(mean, gains.down) + logMean(working, gains.working)
      t.ok(Math.abs(total) < 1e-6 * (mean + working), `θ ${odds}, ${mean} of ${mean + working}, φ ${phi}: ${total}`)
      t.ok(gains.down > 0 && gains.working < 0 && gains.down < Math.log(phi / (phi - 1)))
    }
  }
})

t.test('a window adds what its reports of either kind are worth to every share chart', async t => {
  const seen = { y: 3, w: 1, m: 1, upper: 9, mw: 3, shareUpper: 1 }
  const charts = emptyCharts(0)
  pushCharts(charts, weightsFor(2), seen, 2, true, 60_000)
  // By hand, φ = 2, p = 1/4: θ = 2: q = 1.6, r = 2·1.3^(−1/3) − 1 = 0.8325: 3·ln(3.2/2.6) + ln(1.665/1.8325).
  const values = charts.slice(RATIOS.length).map(({ value }) => value)
  t.ok([0.5270756, 0.8405222, 0.9527934].every((wanted, i) => near(values[i]!, wanted)), values.join())
  const resting = emptyCharts(0)
  pushCharts(resting, weightsFor(2), seen, 2, false, 60_000)
  t.same(resting.slice(RATIOS.length), emptyCharts(0).slice(RATIOS.length), 'while the share is not known they rest')
  t.same(resting.slice(0, RATIOS.length), charts.slice(0, RATIOS.length))
  const before = structuredClone(charts)
  pushCharts(charts, weightsFor(2), { ...seen, y: 0, w: 0, upper: 0 }, 2, true, 120_000)
  t.same(charts.slice(RATIOS.length).map(({ value }) => value), before.slice(RATIOS.length).map(({ value }) => value), 'silence says nothing of the share')
})

t.test('a share that rose only because fewer say it works is no alarm', async t => {
  const charts = emptyCharts(0)
  charts[RATIOS.length] = { value: 20, start: 0, y: 12, m: 10, upper: 12, w: 0, mw: 90 }
  t.equal(countedValue(charts, RATIOS.length, spread(1)), 0)
  charts[RATIOS.length]!.y = 12.5
  t.equal(countedValue(charts, RATIOS.length, spread(1)), 20)
  t.equal(bestChart(charts, spread(1)), RATIOS.length)
})

t.test('a rumour is no alarm, yet it is suspicious', async t => {
  const charts = emptyCharts(0)
  charts[1] = { value: 30, start: 0, y: 40, m: 10, upper: 12, w: 40, mw: 10 }
  t.equal(countedValue(charts, 1, spread(1)), 5)
  t.equal(suspicionOf(charts, spread(1)), 30)
  charts[RATIOS.length] = { value: 40, start: 0, y: 6, m: 1, upper: 1, w: 0, mw: 1 }
  t.equal(suspicionOf(charts, spread(1)), 30, 'a share chart counts as it is heard: six reports say nothing')
})

import fc from 'fast-check'
import t from 'tap'
import { expectationAt, upperCount, type ScopeExpectation } from '../../src/core/baseline.ts'
import {
  commonStretches, compactedBefore, CURVE_WINDOW_MAX, expandExpectation, fillCurve, flattenExpectation, keptWidth, layGrid, mergeStretches, ratioOf, sumExpectation,
  WINDOW_NAMES, WINDOW_WIDTHS,
  type Background, type Stretch, type WindowName
} from '../../src/core/curves.ts'
import { Fault } from '../../src/core/faults.ts'
import { DAY_MS, floorTo, HOUR_MS, MINUTE_MS } from '../../src/core/time.ts'
import { retentionStart } from '../../src/db/reports.ts'

const NOW = new Date('2012-11-18T12:07:31.500Z')
const NOON = Date.parse('2012-11-18T12:00:00Z')
const EXPECTATION: ScopeExpectation = { m: [0.1, 0.3, 0.2], upper: [0.3, 0.7, 0.5], phi: 2.5 }

t.test('a grid is aligned to the epoch, holds what was asked for, and ends with the open window at the latest', async t => {
  const cases: [WindowName, string, string, string, string][] = [
    ['1m', '12:00:59', '12:03:01', '12:00', '12:04'],
    ['1m', '12:00:00', '12:03:00', '12:00', '12:03'],
    ['1m', '12:06:00', '23:00:00', '12:06', '12:08'],
    ['1m', '12:07:31.500', '12:07:31.501', '12:07', '12:08'],
    ['5m', '11:59:59.999', '12:00:00.001', '11:55', '12:05'],
    ['5m', '12:00:00', '12:30:00', '12:00', '12:10'],
    ['15m', '11:44:00', '13:00:00', '11:30', '12:15'],
    ['1h', '00:30:00', '11:30:00', '00:00', '12:00'],
    ['1h', '12:00:00', '12:01:00', '12:00', '13:00']
  ]
  for (const [window, from, to, first, end] of cases) {
    const at = (time: string) => new Date(`2012-11-18T${time}Z`)
    const grid = layGrid(at(from), at(to), window, NOW)
    t.strictSame(grid, { from: at(`${first}:00`).getTime(), to: at(`${end}:00`).getTime(), widthMs: WINDOW_WIDTHS[window].widthMs }, `${window} of ${from} to ${to}`)
  }
})

t.test('whatever is asked for, the grid is sound or the window that is named in its place is', async () => {
  const instant = fc.integer({ min: 0, max: NOW.getTime() + 400 * 24 * HOUR_MS }).map(at => new Date(at))
  const near = fc.integer({ min: -100 * 24 * HOUR_MS, max: HOUR_MS }).map(ago => new Date(NOW.getTime() + ago))
  const any = fc.oneof(instant, near)
  fc.assert(fc.property(any, any, fc.constantFrom(...WINDOW_NAMES), (from, to, window) => {
    try {
      const grid = layGrid(from, to, window, NOW)
      const count = (grid.to - grid.from) / grid.widthMs
      return Number.isInteger(count) && count >= 1 && count <= CURVE_WINDOW_MAX && grid.from % grid.widthMs === 0 &&
        grid.from <= from.getTime() && from.getTime() - grid.from < grid.widthMs && grid.to - NOW.getTime() <= grid.widthMs &&
        (grid.to >= to.getTime() || grid.to > NOW.getTime())
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== 'invalid' || error.errors[0]?.in !== 'query') throw error
      const finest = /the finest window that fits is (\w+)/.exec(error.message)?.[1] as WindowName | undefined
      if (finest === undefined) return from >= to || from > NOW || error.message.includes('no window fits')
      layGrid(from, to, finest, NOW)
      return WINDOW_NAMES.indexOf(finest) > WINDOW_NAMES.indexOf(window) && error.errors[0].pointer === '/window'
    }
  }), { numRuns: 1_000 })
})

t.test('who asks for the future, or for the end before the beginning, is told which', async t => {
  const at = (time: string) => new Date(`2012-11-18T${time}Z`)
  const cases: [string, string, RegExp][] = [
    ['12:00:00', '12:00:00', /before "to"/],
    ['12:00:00', '11:00:00', /before "to"/],
    ['12:07:31.500', '12:07:31.500', /before "to"/],
    ['12:08:00', '12:07:31.500', /future/],
    ['12:10:00', '13:00:00', /future/]
  ]
  for (const [from, to, words] of cases) t.throws(() => layGrid(at(from), at(to), '1m', NOW), { code: 'invalid', message: words })
})

const stretches = fc.array(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 1, max: 10 }))
  .map(([from, length]): Stretch => ({ from, to: from + length })), { maxLength: 12 })
const covers = (all: readonly Stretch[], at: number) => all.some(({ from, to }) => from <= at && at < to)
const moments = Array.from({ length: 55 }, (_, at) => at)

t.test('merged stretches cover the same time, ascending and apart, and leave what they were given as it was', async () => {
  fc.assert(fc.property(stretches, given => {
    const before = JSON.stringify(given)
    const merged = mergeStretches(given)
    return JSON.stringify(given) === before && moments.every(at => covers(merged, at) === covers(given, at)) &&
      merged.every(({ from, to }, i) => from < to && (i === 0 || merged[i - 1]!.to < from))
  }))
})

t.test('what two lists of stretches have in common is what both cover', async () => {
  fc.assert(fc.property(stretches.map(mergeStretches), stretches.map(mergeStretches), (a, b) => {
    const common = commonStretches(a, b)
    return moments.every(at => covers(common, at) === (covers(a, at) && covers(b, at))) &&
      common.every(({ from, to }, i) => from < to && (i === 0 || common[i - 1]!.to <= from)) &&
      JSON.stringify(commonStretches(b, a)) === JSON.stringify(common)
  }))
})

t.test('a whole hour expects what its minutes expect together, however they are cut', async () => {
  const rate = fc.double({ min: 0, max: 50, noNaN: true })
  const expectation = fc.record({ m: fc.tuple(rate, rate, rate), upper: fc.tuple(rate, rate, rate), phi: fc.double({ min: 1, max: 9, noNaN: true }) })
  fc.assert(fc.property(expectation, fc.array(fc.integer({ min: 1, max: 59 }), { maxLength: 5 }), (given, cuts) => {
    const known = new Map([[NOON, given]])
    const minutes = Array.from({ length: 60 }, (_, minute) => expectationAt(given, minute).m).reduce((a, b) => a + b)
    const edges = [0, ...new Set(cuts), 60].sort((a, b) => a - b)
    const parts = edges.slice(1).map((to, i) => ({ from: NOON + edges[i]! * MINUTE_MS, to: NOON + to * MINUTE_MS }))
    const near = (a: number) => Math.abs(a - minutes) <= 1e-9 * Math.max(1, minutes)
    return near(sumExpectation(known, [{ from: NOON, to: NOON + HOUR_MS }]).expected!) && near(sumExpectation(known, parts).expected!)
  }))
})

t.test('only minutes with a baseline are expected to bring anything, and without one nothing is known', async t => {
  const known = new Map([[NOON, EXPECTATION]])
  const hour = { from: NOON, to: NOON + HOUR_MS }
  t.strictSame(sumExpectation(known, []), { expected: null, upper: null })
  t.strictSame(sumExpectation(new Map(), [hour]), { expected: null, upper: null })
  t.strictSame(sumExpectation(known, [{ from: NOON + HOUR_MS, to: NOON + 2 * HOUR_MS }]), { expected: null, upper: null })
  t.strictSame(sumExpectation(known, [{ from: NOON - HOUR_MS, to: NOON + 2 * HOUR_MS }]), sumExpectation(known, [hour]))
  const whole = sumExpectation(known, [hour])
  t.equal(whole.expected, 15 * (0.1 + 2 * 0.3 + 0.2))
  t.equal(whole.upper, upperCount(15 * (0.3 + 2 * 0.7 + 0.5), 2.5))
})

t.test('over several hours the spread is weighted by what is expected', async t => {
  const flat = (rate: number, phi: number): ScopeExpectation => ({ m: [rate, rate, rate], upper: [2 * rate, 2 * rate, 2 * rate], phi })
  const known = new Map([[NOON, flat(1, 2)], [NOON + HOUR_MS, flat(3, 6)]])
  t.equal(sumExpectation(known, [{ from: NOON, to: NOON + 2 * HOUR_MS }]).upper, upperCount(480, 5))
})

t.test('silence is zeros, gaps are marked, and only begun and watched minutes expect anything', async t => {
  const minute = (at: number) => NOON + at * MINUTE_MS
  const background: Background = {
    expectations: new Map([[NOON, EXPECTATION]]),
    watched: [{ from: minute(-3), to: minute(1) }, { from: minute(6), to: minute(8) }],
    timeline: [],
    judgedHours: new Set([NOON]),
    judgedUntil: minute(7),
    markedUntil: minute(8)
  }
  const fill = (window: WindowName, from: number, more: Partial<Background> = {}) =>
    fillCurve([{ start: minute(0), working: 1, degraded: 2, down: 3 }], layGrid(new Date(minute(from)), new Date(minute(60)), window, NOW), { ...background, ...more }, NOW)
  const minutes = fill('1m', -4)
  t.strictSame(minutes.map(({ gap }) => gap), [true, false, false, false, false, true, true, true, true, true, false, false])
  t.strictSame(minutes.map(({ expected }) => expected !== null), [false, false, false, false, true, false, false, false, false, false, true, true])
  t.strictSame(minutes.map(({ complete }) => complete), [...Array(11).fill(true), false])
  t.strictSame(minutes.map(({ state }) => state), [...Array(4).fill('unknown'), 'operational', ...Array(5).fill('unknown'), 'operational', 'unknown'], 'judged to 12:07')
  t.strictSame(minutes.map(({ working, degraded, down }) => working + degraded + down), [0, 0, 0, 0, 6, ...Array(7).fill(0)])

  const unmarked = fill('1m', 5, { watched: [], markedUntil: minute(7) })
  t.strictSame(unmarked.map(({ gap }) => gap), [true, true, false], 'a minute that just began may yet get its mark')

  const fives = fill('5m', -5)
  t.strictSame(fives.map(({ gap, complete }) => ({ gap, complete })), [{ gap: false, complete: true }, { gap: false, complete: true }, { gap: false, complete: false }])
  const sum = (from: number, to: number) => minutes.slice(from, to).reduce((all, { expected }) => all + (expected ?? 0), 0)
  t.match(fives.map(({ expected }) => expected), [null, sum(4, 9), sum(9, 12)])

  const outage: Background['timeline'] = [
    { from: minute(-2), to: minute(2) - 1, state: 'suspected' }, { from: minute(2) - 1, to: minute(4), state: 'confirmed' }, { from: minute(4), to: minute(6), state: 'recovering' }
  ]
  t.strictSame(fill('1m', -3, { timeline: outage }).map(({ state }) => state),
    ['unknown', 'suspected', 'suspected', 'suspected', 'outage', 'outage', 'outage', 'recovering', 'recovering', 'operational', 'unknown'])
  t.strictSame(fill('5m', -5, { timeline: outage }).map(({ state }) => state), ['suspected', 'outage', 'recovering'], 'the gravest stands for the window')
})

t.test('a count has a ratio only against an expectation', async t => {
  t.equal(ratioOf(3, 1.5), 2)
  t.equal(ratioOf(0, 1.5), 0)
  t.equal(ratioOf(3, null), null)
  t.equal(ratioOf(3, 0), null)
})

t.test('property: windows are made wider only when nobody is shown, may recount, or judges them any more', async () => {
  fc.assert(fc.property(fc.integer({ min: Date.parse('2020-01-01'), max: Date.parse('2040-01-01') }), now => {
    const lastJudged = floorTo(now - 21_000, MINUTE_MS)
    const shown = WINDOW_NAMES.filter(name => WINDOW_WIDTHS[name].widthMs < HOUR_MS).map(name => floorTo(now - WINDOW_WIDTHS[name].keptMs, WINDOW_WIDTHS[name].widthMs))
    const exported = floorTo(now - WINDOW_WIDTHS['1m'].keptMs, HOUR_MS)
    const recountable = Date.parse(retentionStart(35, new Date(now)))
    const before = compactedBefore('1m', lastJudged)
    return before % DAY_MS === 0 && [...shown, exported, recountable].every(at => before < at) &&
      keptWidth(exported, new Date(now)) === MINUTE_MS && keptWidth(exported - 1, new Date(now)) === HOUR_MS &&
      compactedBefore('1h', lastJudged) < floorTo(now - WINDOW_WIDTHS['1h'].keptMs, DAY_MS) && keptWidth(compactedBefore('1h', lastJudged), new Date(now)) === DAY_MS
  }))
})

t.test('a flat expectation has the sums of those it stands for, over all that was watched', async t => {
  const hour = (m: [number, number, number], upper: [number, number, number], phi: number) => ({ m, upper, phi })
  const hours = new Map([[0, hour([1, 2, 3], [2, 4, 6], 2)], [HOUR_MS, hour([3, 3, 3], [5, 5, 5], 4)]])
  const watched = [{ from: 30 * MINUTE_MS, to: 90 * MINUTE_MS }, { from: 3 * HOUR_MS, to: 4 * HOUR_MS }]
  // 30 minutes from 2 to 3, 30 of 3, and an hour that has none.
  t.strictSame(flattenExpectation(hours, watched), [(75 + 90) / 120, (150 + 150) / 120, Number(((75 * 2 + 90 * 4) / 165).toPrecision(5))])
  t.equal(flattenExpectation(hours, [{ from: 3 * HOUR_MS, to: 4 * HOUR_MS }]), null)
  t.equal(flattenExpectation(hours, []), null)
  const flat = expandExpectation(flattenExpectation(hours, watched)!)
  const spread = new Map([0, 1, 2, 3].map(index => [index * HOUR_MS, flat]))
  t.equal(sumExpectation(spread, watched).expected, sumExpectation(hours, watched).expected)
})

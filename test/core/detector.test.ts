import fc from 'fast-check'
import t from 'tap'
import { advance, beginHour, decide, expectPerHour, keepLifecycle, newDetector, rule, type DetectorState, type SeenCell, type SeenWindow, type Transition } from '../../src/core/detector.ts'
import { HOUR_MS, MINUTE_MS } from '../../src/core/time.ts'
import { scopeKey } from '../../src/core/vocabulary.ts'
import { draw, grid, learn, minute, poisson, revive, START } from './streams.ts'

const NONE: ReadonlySet<string> = new Set()
const EVERY_SCOPE = new Set(['*|*', 'CA|*', '*|iphone', 'CA|iphone'])

const down = (count: number, deviceClass = 'iphone'): SeenCell[] => count === 0 ? [] : [{ region: 'CA', deviceClass, working: 0, degraded: 0, down: count }]

/** Judges windows and returns all transitions. */
function judge (state: DetectorState, windows: Iterable<SeenWindow>, withheld = NONE): Transition[] {
  const said: Transition[] = []
  for (const window of windows) {
    advance(state, window)
    said.push(...decide(state, withheld).transitions)
  }
  return said
}

/** Reproducible chance in [0, 1). What is expected below is of these very streams. */
function chance (seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

/** Minutes of quiet: `rate` down reports a minute, twice that working, on two devices. */
function quiet (from: number, minutes: number, rate: number, next: () => number): SeenWindow[] {
  return Array.from({ length: minutes }, (_, i) => minute(from + i, ['ipad-wifi', 'iphone'].map(deviceClass =>
    ({ region: 'CA', deviceClass, working: poisson(rate, next), degraded: 0, down: poisson(rate / 2, next) }))))
}

const arbitraryCounts = fc.array(fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.nat(12)), { minLength: 60, maxLength: 60 })

t.test('forty people in the first ten minutes are suspected within them', async t => {
  t.equal(judge(newDetector(2, 1), Array.from({ length: 10 }, (_, i) => minute(i, down(4))))[0]?.type, 'suspected')
  for (let seed = 1; seed <= 60; seed++) {
    const next = chance(seed)
    const counts = Array<number>(10).fill(0)
    for (let i = 0; i < 40; i++) counts[Math.floor(next() * 10)]! += 1
    t.ok(judge(newDetector(2, 1), counts.map((count, i) => minute(i, down(count)))).some(({ type }) => type === 'suspected'), `seed ${seed}`)
  }
})

t.test('fifteen people in the first ten minutes are no alarm', async t => {
  t.same(judge(newDetector(2, 1), Array.from({ length: 10 }, (_, i) => minute(i, down(1 + i % 2)))), [])
})

t.test('after a silent day fifteen people in ten minutes are', async t => {
  const state = newDetector(2, 1)
  t.same(judge(state, Array.from({ length: 1440 }, (_, i) => minute(i, []))), [])
  const said = judge(state, Array.from({ length: 10 }, (_, i) => minute(1440 + i, down(1 + i % 2))))
  t.equal(said[0]?.type, 'suspected')
})

t.test('an outage of one device is told, and is about that device', async t => {
  const next = chance(3)
  const state = newDetector(60, 1)
  t.same(judge(state, quiet(0, 5 * 1440, 0.5, next)), [])
  const failing = quiet(5 * 1440, 60, 0.5, next).map(window =>
    ({ ...window, cells: window.cells.map(cell => cell.deviceClass === 'ipad-wifi' ? { ...cell, down: cell.down + 3, working: 0 } : cell) }))
  const said = judge(state, failing)
  t.same(said.map(({ type }) => type), ['suspected', 'confirmed'])
  t.same(said.at(-1)?.scope, { region: '*', deviceClass: 'ipad-wifi' })
  t.ok(said[0]!.at <= START + (5 * 1440 + 15) * MINUTE_MS, 'within a quarter of an hour')
})

t.test('news that make everybody look are no outage', async t => {
  const next = chance(5)
  const state = newDetector(60, 1)
  judge(state, quiet(0, 5 * 1440, 0.5, next))
  t.same(judge(state, quiet(5 * 1440, 60, 2.5, next)), [])
})

t.test('a window before the end of the last one is refused', async t => {
  const state = newDetector(2, 15)
  advance(state, { start: START, watched: true, cells: [] })
  t.throws(() => advance(state, { start: START + 14 * MINUTE_MS, watched: true, cells: [] }), /ascend/)
  t.doesNotThrow(() => advance(state, { start: START + 15 * MINUTE_MS + 46_000, watched: true, cells: [] }))
})

t.test('an hour\'s expectation is said at its first window and when a scope is born', async t => {
  const state = newDetector(2, 1)
  const told = Array.from({ length: 125 }, (_, i) => advance(state, minute(i, i === 70 ? down(1) : [])).expectation)
  t.same(told.flatMap((expectation, i) => expectation === null ? [] : [[i, Object.keys(expectation.scopes)]]),
    [[0, ['*|*']], [60, ['*|*']], [70, ['*|*', 'CA|*', '*|iphone', 'CA|iphone']], [120, ['*|*', 'CA|*', '*|iphone', 'CA|iphone']]])
  t.equal(told[0]!.hour, START)
  t.equal(told[120]!.learntHours, 1)
  t.ok(told[70]!.scopes['*|iphone']!.upper.every((upper, i) => upper >= told[70]!.scopes['*|*']!.upper[i]!), 'its part is unknown: it may be all')
})

t.test('a new expectation counts from the next hour', async t => {
  const state = newDetector(2, 1)
  judge(state, [minute(0, [])])
  t.equal(expectPerHour(state, 600), null)
  t.equal(advance(state, minute(1, down(1))).expectation!.scopes['*|*']!.m[1], 1 / 30)
  t.ok(advance(state, minute(60, [])).expectation!.scopes['*|*']!.m[1] > 1)
})

t.test('an hour begun ahead of its first window makes no other states, whatever comes', async t => {
  const next = chance(9)
  const rumour = quiet(3 * 1440, 90, 4, next)
  const failing = quiet(3 * 1440 + 90, 200, 0.5, next).map(window => ({ ...window, cells: window.cells.map(cell => ({ ...cell, down: cell.down + 4 })) }))
  const gaps = Array.from({ length: 200 }, (_, i) => ({ ...minute(3 * 1440 + 290 + i, []), watched: i > 130 }))
  const windows = [...quiet(0, 3 * 1440, 0.5, next), ...rumour, ...failing, ...gaps, ...quiet(3 * 1440 + 490, 130, 0.5, next)]
  const [ahead, state] = [newDetector(60, 1), newDetector(60, 1)]
  let transitions = 0
  let begun = 0
  for (const window of windows) {
    const [hour, alone] = [beginHour(ahead), advance(state, window)]
    const together = advance(ahead, window)
    if (hour !== null) {
      begun++
      if (together.expectation === null) t.strictSame(hour, alone.expectation)
    }
    t.strictSame(together.claims, alone.claims)
    t.equal(together.expectation === null && hour === null, alone.expectation === null)
    const decision = decide(state, NONE)
    if (JSON.stringify([ahead, decide(ahead, NONE)]) !== JSON.stringify([state, decision])) return t.fail(`they differ at ${new Date(window.start).toISOString()}`)
    transitions += decision.transitions.length
  }
  t.equal(begun, Math.ceil(windows.length / 60) - 1, 'the first hour has nothing before it')
  t.ok(transitions >= 2)
})

t.test('an hour is begun once, and only when the one before is over', async t => {
  const state = newDetector(2, 1)
  t.equal(beginHour(state), null)
  judge(state, Array.from({ length: 59 }, (_, i) => minute(i, down(1))))
  t.equal(beginHour(state), null)
  judge(state, [minute(59, down(1))])
  t.equal(beginHour(state)!.hour, START + HOUR_MS)
  t.equal(beginHour(state), null)
  const odd = newDetector(2, 15)
  advance(odd, { start: START + 50 * MINUTE_MS, watched: true, cells: [] })
  t.equal(beginHour(odd), null, 'its next window lies in the midst of an hour')
})

t.test('what is newly expected counts in an hour that was begun ahead', async t => {
  const [ahead, state] = [newDetector(2, 1), newDetector(2, 1)]
  for (const each of [ahead, state]) judge(each, Array.from({ length: 60 }, (_, i) => minute(i, down(1))))
  beginHour(ahead)
  const expected = expectPerHour(ahead, 600)
  t.equal(expectPerHour(state, 600), null)
  t.strictSame(advance(state, minute(60, [])).expectation, expected)
  t.equal(advance(ahead, minute(60, [])).expectation, null)
  t.strictSame(ahead, state)
  t.ok(expected!.scopes['*|*']!.m[1] > 1)
})

t.test('windows may straddle the hours', async t => {
  const state = newDetector(2, 15)
  const start = START + 8 * MINUTE_MS + 28_000
  const said = judge(state, Array.from({ length: 96 }, (_, i) => ({ start: start + i * 15 * MINUTE_MS, watched: true, cells: down(i === 50 ? 60 : 0) })))
  t.equal(said[0]?.at, start + 51 * 15 * MINUTE_MS)
  t.equal(state.scopes[0]!.baseline.learntHours, 22, 'of 25 begun hours the running one and the two before it are not learnt yet')
})

t.test('a gap moves nothing', async t => {
  const next = chance(8)
  const state = newDetector(2, 1)
  judge(state, [...quiet(0, 600, 0.2, next), ...Array.from({ length: 6 }, (_, i) => minute(600 + i, down(9)))])
  const parts = (): string => JSON.stringify([state.outage, state.windows, state.recentAt, state.scopes.map(({ charts, recentY, recentW, baseline }) =>
    [charts, recentY, recentW, { ...baseline, lastY: null }])])
  const before = parts()
  for (let i = 606; i < 659; i++) {
    const { claims } = advance(state, { start: START + i * MINUTE_MS, watched: false, cells: down(50) })
    if (claims.length + decide(state, NONE).transitions.length > 0) t.fail(`something was said of minute ${i}`)
  }
  t.equal(parts(), before)
  const learnt = state.scopes[0]!.baseline.learntHours
  judge(state, Array.from({ length: 600 }, (_, i) => ({ start: START + (660 + i) * MINUTE_MS, watched: false, cells: [] })))
  t.ok(state.scopes[0]!.baseline.learntHours <= learnt + 1, 'hours that nobody watched are not learnt')
})

t.test('the state is plain JSON, and a stop at any moment changes nothing', async () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 1e6 }), fc.array(fc.nat(2999), { maxLength: 12 }), fc.integer({ min: 100, max: 2500 }), (seed, stops, gapAt) => {
    const next = chance(seed)
    const windows = quiet(0, 3000, 0.3, next).map((window, i) => ({
      ...window,
      watched: i < gapAt || i > gapAt + 90,
      cells: i % 1000 > 850 && i % 1000 < 900 ? [...window.cells, ...down(3)] : window.cells
    }))
    const through = newDetector(2, 1)
    let stopped = newDetector(2, 1)
    const halts = new Set(stops)
    const said: Transition[][] = [[], []]
    windows.forEach((window, i) => {
      if (JSON.stringify(advance(stopped, window)) !== JSON.stringify(advance(through, window))) throw new Error(`window ${i}`)
      if (halts.has(i)) stopped = revive(stopped)
      said[0]!.push(...decide(through, NONE).transitions)
      said[1]!.push(...decide(stopped, NONE).transitions)
      if (halts.has(i)) stopped = revive(stopped)
    })
    return JSON.stringify(stopped) === JSON.stringify(through) && JSON.stringify(said[0]) === JSON.stringify(said[1])
  }), { numRuns: 12 })
})

t.test('more down reports never delay an alarm', async () => {
  const first = (counts: number[]): number => judge(newDetector(2, 1), counts.map((count, i) => minute(i, down(count))))[0]?.at ?? Infinity
  fc.assert(fc.property(arbitraryCounts, arbitraryCounts, (counts, more) =>
    first(counts.map((count, i) => count + more[i]!)) <= first(counts)))
})

t.test('calm after an outage always ends it', async () => {
  fc.assert(fc.property(arbitraryCounts, fc.nat(59), (counts, at) => {
    const state = newDetector(2, 1)
    judge(state, counts.map((count, i) => minute(i, down(i === at ? 60 : count))))
    judge(state, Array.from({ length: 2880 }, (_, i) => minute(60 + i, [])))
    return state.outage === null
  }), { numRuns: 30 })
})

t.test('withheld scopes never alarm, and their hour is still not learnt', async t => {
  fc.assert(fc.property(arbitraryCounts, counts => {
    const state = newDetector(2, 1)
    return judge(state, counts.map((count, i) => minute(i, down(count * 3))), EVERY_SCOPE).length === 0
  }), { numRuns: 30 })
  const state = newDetector(2, 1)
  judge(state, Array.from({ length: 10 }, (_, i) => minute(i, down(5))), EVERY_SCOPE)
  t.ok(state.scopes.every(({ baseline }) => baseline.open.suspicious))
})

t.test('a claim that was withheld is made again only when somebody more says that it fails', async t => {
  let state = newDetector(2, 1)
  judge(state, Array.from({ length: 5 * 1440 }, (_, i) => minute(i, [])))
  const asked: number[] = []
  for (let i = 0; i < 600; i++) {
    const { claims } = advance(state, minute(5 * 1440 + i, i < 40 || i === 300 ? down(1) : []))
    if (claims.length > 0) asked.push(i)
    t.same(decide(state, new Set(claims.map(({ scope }) => scopeKey(scope)))).transitions, [])
    state = revive(state)
  }
  t.ok(asked.length > 20 && asked.every(i => i < 40 || i === 300), asked.join())
  t.same(judge(state, [minute(5 * 1440 + 600, [])]), [], 'nor does silence alarm without being asked')
  t.same(judge(state, [minute(5 * 1440 + 601, down(1))]).map(({ type }) => type).slice(0, 1), ['suspected'], 'enough networks')
})

t.test('a claim names the scope, the run and the score that an alarm would have', async t => {
  const state = newDetector(2, 1)
  judge(state, [minute(0, [{ region: 'GB', deviceClass: 'mac', working: 9, degraded: 0, down: 0 }]), minute(1, [])])
  const { claims } = advance(state, minute(2, down(40)))
  t.same(claims.map(({ scope, since, until }) => [scopeKey(scope), since, until]), ['*|*', 'CA|*', '*|iphone', 'CA|iphone'].map(key =>
    [key, START + 2 * MINUTE_MS, START + 3 * MINUTE_MS]))
  t.same(decide(state, new Set(['*|*', 'CA|*'])).outage?.scope, { region: '*', deviceClass: 'iphone' }, 'who is not withheld still alarms')
})

t.test('a region and a device class that bring every report are not named: they are everything', async t => {
  const alone = newDetector(2, 1)
  t.same(judge(alone, Array.from({ length: 10 }, (_, i) => minute(i, down(6))))[0]?.scope, { region: '*', deviceClass: '*' })
  const beside = newDetector(2, 1)
  const others = [{ region: 'GB', deviceClass: 'mac', working: 2, degraded: 0, down: 1 }]
  const said = judge(beside, Array.from({ length: 190 }, (_, i) => minute(i, i < 180 ? others : [...others, ...down(6)])))
  t.not(said[0]?.scope.deviceClass, 'mac')
  t.not(JSON.stringify(said[0]?.scope), JSON.stringify({ region: '*', deviceClass: '*' }), 'beside others they are')
})

t.test('the order of cells changes not a byte', async t => {
  const next = chance(11)
  const [one, other] = [newDetector(2, 1), newDetector(2, 1)]
  const windows = quiet(0, 500, 2, next)
  judge(one, windows)
  judge(other, windows.map(window => ({ ...window, cells: [...window.cells].reverse() })))
  t.equal(JSON.stringify(one), JSON.stringify(other))
})

t.test('a service of many device classes keeps 400 scopes, and the total counts them all', async t => {
  const state = newDetector(2, 1)
  const cells = Array.from({ length: 500 }, (_, i) => ({ region: 'ZZ', deviceClass: `d${i}`, working: 1, degraded: 0, down: 0 }))
  judge(state, [minute(0, cells), minute(60, cells)])
  t.equal(state.scopes.length, 400)
  t.equal(state.scopes[0]!.baseline.pending?.w, 500)
})

t.test('what was said live stays said after history was judged again', async t => {
  const live = newDetector(2, 1)
  judge(live, Array.from({ length: 10 }, (_, i) => minute(i, down(6))))
  const again = newDetector(2, 1)
  judge(again, Array.from({ length: 10 }, (_, i) => minute(i, [])))
  const kept = keepLifecycle(again, live)
  t.same(kept.outage, live.outage)
  t.same({ ...kept, outage: null }, again)
  t.doesNotThrow(() => judge(kept, [minute(10, []), minute(11, [])]), 'even when its scope is not known there')
  t.equal(again.outage, null)
})

t.test('a lasting rise is learnt as the new normal in the end', async t => {
  const next = chance(21)
  const state = newDetector(60, 1)
  judge(state, quiet(0, 4 * 1440, 1, next))
  judge(state, quiet(4 * 1440, 4 * 1440, 5, next).map(window => ({ ...window, cells: window.cells.map(cell => ({ ...cell, working: 0 })) })))
  t.ok(state.scopes[0]!.model.m[1] > 3, `now ${state.scopes[0]!.model.m[1]} a minute are expected`)
  t.ok(START % HOUR_MS === 0)
})

t.test('a moderator\'s word', async t => {
  const at = 5 * 24 * 60
  const alarmed = () => {
    const state = learn(5, grid(['CA-ON'], ['iphone'], 0.05, 0.1), 3)()
    judge(state, draw(at, 10, () => grid(['CA-ON'], ['iphone'], 5, 0), chance(1)))
    return state
  }
  const end = minute(at + 10, []).start

  t.test('ends what is open, and spends all evidence', async t => {
    for (const [type, instant] of [['dismiss', 'dismissedAt'], ['resolve', 'resolvedAt']] as const) {
      const state = alarmed()
      const open = state.outage!.figures
      t.strictSame(rule(state, { type, at: end, scope: null, onsetAt: null }), { ...open, state: `${type === 'dismiss' ? 'dismiss' : 'resolv'}ed`, [instant]: end })
      t.equal(state.outage, null)
      t.strictSame(new Set(state.scopes.flatMap(({ charts }) => charts.map(({ value, start }) => `${value} ${start}`))), new Set([`0 ${end}`]))
      t.strictSame(judge(state, draw(at + 10, 30, () => grid(['CA-ON'], ['iphone'], 0.05, 0.1), chance(2))), [], 'what was said before alarms no more')
      t.equal(rule(state, { type, at: end, scope: null, onsetAt: null }), null, 'said again it is about nothing')
    }
  })

  t.test('opens where none is open, confirmed and in the scope that it names, and the calm ends it', async t => {
    const state = learn(5, grid(['CA-ON'], ['iphone'], 0.05, 0.1), 3)()
    const ruling = { type: 'open', at: minute(at, []).start, scope: { region: 'CA', deviceClass: '*' }, onsetAt: minute(at - 30, []).start } as const
    t.match(rule(state, ruling), { state: 'confirmed', scope: ruling.scope, onsetAt: ruling.onsetAt, detectedAt: ruling.at, confirmedAt: ruling.at })
    t.equal(rule(state, ruling), null, 'one at a time')
    const said = judge(state, draw(at, 24 * 60, () => grid(['CA-ON'], ['iphone'], 0.05, 0.1), chance(4)))
    t.strictSame(said.map(({ type }) => type), ['recovering', 'resolved'])
  })

  t.test('confirms what is suspected, and nothing else', async t => {
    const state = alarmed()
    state.outage!.figures.state = 'suspected'
    state.outage!.figures.confirmedAt = null
    t.match(rule(state, { type: 'confirm', at: end, scope: null, onsetAt: null }), { state: 'confirmed', confirmedAt: end })
    const again = JSON.stringify(state)
    t.equal(rule(state, { type: 'confirm', at: end + 60_000, scope: null, onsetAt: null }), null)
    t.equal(JSON.stringify(state), again)
  })
})

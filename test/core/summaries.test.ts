import fc from 'fast-check'
import t from 'tap'
import { freshMs, freshnessOf, stateOf, type Standing } from '../../src/core/summaries.ts'
import { HOUR_MS, MINUTE_MS } from '../../src/core/time.ts'
import { OUTAGE_STATES } from '../../src/core/vocabulary.ts'

const NOW = new Date('2012-11-18T12:00:00Z')
const FRESH_MS = freshMs(1)
const CALM: Standing = { judgedUntil: NOW.getTime() - MINUTE_MS, learntHours: 2, speaks: true, openOutage: undefined, lastEnd: null }

t.test('a service is called operational only when it is judged, learnt and heard of', async t => {
  const cases: [string, Partial<Standing>, string][] = [
    ['all is known', {}, 'operational'],
    ['judged three minutes ago', { judgedUntil: NOW.getTime() - 180_000 }, 'operational'],
    ['judged longer ago', { judgedUntil: NOW.getTime() - 180_001 }, 'unknown'],
    ['never judged', { judgedUntil: undefined }, 'unknown'],
    ['learnt for one hour', { learntHours: 1 }, 'unknown'],
    ['nobody spoke for a day', { speaks: false }, 'unknown']
  ]
  for (const [what, more, state] of cases) t.strictSame(stateOf({ ...CALM, ...more }, FRESH_MS, NOW), { state, since: null }, what)
  const lastEnd = NOW.getTime() - 5 * HOUR_MS
  t.strictSame(stateOf({ ...CALM, lastEnd }, FRESH_MS, NOW), { state: 'operational', since: lastEnd }, 'since the last outage ended')
  t.strictSame(stateOf({ ...CALM, lastEnd, speaks: false }, FRESH_MS, NOW), { state: 'unknown', since: null })
})

t.test('an open outage is told whatever else is known, and a closed one is none', async t => {
  const since = NOW.getTime() - HOUR_MS
  const told = { suspected: 'suspected', confirmed: 'outage', recovering: 'recovering', resolved: 'operational', dismissed: 'operational' }
  for (const state of OUTAGE_STATES) {
    t.equal(stateOf({ ...CALM, openOutage: { state, since } }, FRESH_MS, NOW).state, told[state], state)
  }
  const ignorant: Standing = { judgedUntil: undefined, learntHours: 0, speaks: false, openOutage: { state: 'confirmed', since }, lastEnd: null }
  t.strictSame(stateOf(ignorant, FRESH_MS, NOW), { state: 'outage', since })
})

t.test('our word is stale from three minutes on, and says how old it is', async t => {
  t.strictSame(freshnessOf(NOW.getTime() - 180_000, FRESH_MS, NOW), { state: 'current', age_s: null })
  t.strictSame(freshnessOf(NOW.getTime() - 180_001, FRESH_MS, NOW), { state: 'stale', age_s: 180 })
  t.strictSame(freshnessOf(NOW.getTime() - 2 * HOUR_MS, FRESH_MS, NOW), { state: 'stale', age_s: 7_200 })
  t.strictSame(freshnessOf(undefined, FRESH_MS, NOW), { state: 'stale', age_s: null })
})

t.test('on a fast clock nothing is stale before five real seconds', async t => {
  t.equal(freshMs(1), 180_000)
  t.equal(freshMs(60), 300_000)
})

t.test('nothing stale is ever called operational', async () => {
  const standing: fc.Arbitrary<Standing> = fc.record({
    judgedUntil: fc.option(fc.integer({ min: -HOUR_MS, max: 0 }).map(ago => NOW.getTime() + ago), { nil: undefined }),
    learntHours: fc.nat(5),
    speaks: fc.boolean(),
    openOutage: fc.option(fc.record({ state: fc.constantFrom(...OUTAGE_STATES), since: fc.constant(NOW.getTime()) }), { nil: undefined }),
    lastEnd: fc.constant(null)
  })
  fc.assert(fc.property(standing, given =>
    stateOf(given, FRESH_MS, NOW).state !== 'operational' || freshnessOf(given.judgedUntil, FRESH_MS, NOW).state === 'current'))
})

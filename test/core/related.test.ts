import fc from 'fast-check'
import t from 'tap'
import { relatedOutages, type Span } from '../../src/core/related.ts'
import { HOUR_MS, MINUTE_MS } from '../../src/core/time.ts'

const AT = Date.parse('2026-03-01T12:00:00Z')
const span = (serviceId: number, minute: number, end: number | null = null): Span =>
  ({ id: `outage-${serviceId}-${minute}`, serviceId, onsetAt: AT + minute * MINUTE_MS, end: end === null ? null : AT + end * MINUTE_MS })
const NOBODY = new Map<number, Set<number>>()

t.test('services of which one depends on the other point at each other when they fail together', async t => {
  const dependencies = new Map([[1, new Set([2])]])
  t.strictSame(relatedOutages(span(1, 0), [span(2, 20), span(3, 1)], dependencies), ['outage-2-20'])
  t.strictSame(relatedOutages(span(2, 20), [span(1, 0), span(3, 1)], dependencies), ['outage-1-0'])
})

t.test('so do services that depend on the same third, which itself need not have failed', async t => {
  const dependencies = new Map([[1, new Set([9])], [2, new Set([8, 9])], [3, new Set([7])]])
  t.strictSame(relatedOutages(span(1, 0), [span(2, -10), span(3, 0)], dependencies), ['outage-2--10'])
})

t.test('four services that fail together need no known dependency; three do', async t => {
  t.strictSame(relatedOutages(span(1, 0), [span(2, 1), span(3, 2)], NOBODY), [])
  t.strictSame(relatedOutages(span(1, 0), [span(2, 1), span(3, 2), span(4, 3)], NOBODY), ['outage-2-1', 'outage-3-2', 'outage-4-3'])
  t.strictSame(relatedOutages(span(1, 0), [span(2, 1), span(3, 2), span(3, 3)], NOBODY), [], 'two outages of one service are one service')
})

t.test('what began more than half an hour apart, or was over before, did not fail together', async t => {
  const dependencies = new Map([[1, new Set([2])]])
  t.strictSame(relatedOutages(span(1, 0), [span(2, 31)], dependencies), [])
  t.strictSame(relatedOutages(span(1, 0, 10), [span(2, 10)], dependencies), [])
  t.strictSame(relatedOutages(span(1, 0), [span(1, 5)], new Map([[1, new Set([1])]])), [], 'its own service is not another')
})

t.test('if one outage names another, the other names it too', async () => {
  const spans = fc.uniqueArray(fc.record({
    id: fc.uuid(), serviceId: fc.integer({ min: 1, max: 6 }), onsetAt: fc.integer({ min: 0, max: 2 * HOUR_MS }), end: fc.option(fc.integer({ min: 0, max: 4 * HOUR_MS }))
  }), { minLength: 2, maxLength: 12, selector: ({ id }) => id })
  const dependencies = fc.array(fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 })), { maxLength: 4 })
    .map(pairs => new Map(pairs.map(([one, other]) => [one, new Set([other])])))
  fc.assert(fc.property(spans, dependencies, (all, dependencies) => {
    const related = new Map(all.map(one => [one.id, relatedOutages(one, all.filter(({ id }) => id !== one.id), dependencies)]))
    return all.every(({ id }) => related.get(id)!.every(other => related.get(other)!.includes(id)))
  }), { seed: 2012, numRuns: 300 })
})

import fc from 'fast-check'
import t from 'tap'
import { kindOf, leadTimeOf, medianOf, mergeRecords, summarise, type LeadTimeRecord } from '../../src/core/lead-times.ts'

const at = (minute: number) => new Date(Date.UTC(2026, 0, 1, 0, minute))
const record = (detected: number | null, published: number | null, dismissed = false): LeadTimeRecord => ({
  serviceId: 1,
  id: `0192a1b2-0000-7000-8000-${String(detected ?? published).padStart(12, '0')}`,
  at: at(detected ?? published!),
  outage: detected === null ? null : { detectedAt: at(detected), dismissed },
  acknowledgement: published === null ? null : { publishedAt: at(published), source: 'Apple', url: null }
})

t.test('each line of the record is of one kind, and only acknowledged ones have a lead time', async t => {
  const cases: [LeadTimeRecord, string, number | null][] = [
    [record(10, 50), 'acknowledged', 2400], [record(50, 10), 'acknowledged', -2400], [record(10, 10), 'acknowledged', 0],
    [record(10, null), 'unacknowledged', null], [record(null, 10), 'missed', null], [record(10, null, true), 'false_alarm', null], [record(10, 50, true), 'false_alarm', null]
  ]
  for (const [line, kind, lead] of cases) t.strictSame([kindOf(line), leadTimeOf(line)], [kind, lead])
})

t.test('two lists become one, newest first, cut to the page', async t => {
  const told = [record(40, null), record(20, 30), record(10, null)]
  const missed = [record(null, 35), record(null, 20), record(null, 1)]
  t.strictSame(mergeRecords(told, missed, 4).map(({ at }) => at.getUTCMinutes()), [40, 35, 20, 20])
  t.strictSame(mergeRecords(told, [], 9), told)
  const [a, b] = [{ ...record(5, null), id: 'a0000000-0000-7000-8000-000000000000' }, { ...record(5, null), id: '9f000000-0000-7000-8000-000000000000' }]
  t.strictSame(mergeRecords([b], [a], 2), [a, b], 'of one instant the greater id first')
})

t.test('the summary counts each outcome and takes the median of the acknowledged', async t => {
  t.strictSame(summarise([
    { dismissed: false, leadMs: 60_000, count: 3 }, { dismissed: false, leadMs: -600_000, count: 1 }, { dismissed: false, leadMs: 3_600_400, count: 2 },
    { dismissed: false, leadMs: null, count: 4 }, { dismissed: true, leadMs: null, count: 1 }, { dismissed: true, leadMs: 1e9, count: 5 }
  ], 7), { acknowledged: 6, unacknowledged: 4, missed: 7, falseAlarms: 6, medianLeadTimeS: 60 })
  t.strictSame(summarise([], 0), { acknowledged: 0, unacknowledged: 0, missed: 0, falseAlarms: 0, medianLeadTimeS: null })
})

t.test('property: the median is that of the list written out', async () => {
  const values = fc.array(fc.record({ value: fc.integer({ min: -100_000, max: 100_000 }), count: fc.integer({ min: 1, max: 6 }) }), { minLength: 1, maxLength: 20 })
  fc.assert(fc.property(values, values => {
    const sorted = values.flatMap(({ value, count }) => Array<number>(count).fill(value)).sort((a, b) => a - b)
    const half = sorted.length / 2
    return medianOf(values) === Math.round(sorted.length % 2 === 1 ? sorted[Math.floor(half)]! : (sorted[half - 1]! + sorted[half]!) / 2)
  }))
})

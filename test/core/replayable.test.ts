import fc from 'fast-check'
import t from 'tap'
import { mergeStretches } from '../../src/core/curves.ts'
import { beginTelling, endTelling, tellMinutes, type JudgedCell, type ReplayLine } from '../../src/core/replayable.ts'
import { MINUTE_MS } from '../../src/core/time.ts'

const START = Date.parse('2026-03-02T10:00:00Z')
const at = (minute: number) => START + minute * MINUTE_MS
const text = (minute: number) => new Date(at(minute)).toISOString().replace('.000Z', 'Z')
const cell = (minute: number, down: number, region = 'ZZ'): JudgedCell => ({ start: at(minute), region, deviceClass: 'mac', working: 1, degraded: 0, down })
const stretch = (from: number, to: number) => ({ from: at(from), to: at(to) })
const row = (minute: number, down: number, region = 'ZZ') => ({ service: 's', start: text(minute), width_s: 60, region, device_class: 'mac', working: 1, degraded: 0, down })

/** All lines of minutes `[0, to)`, told in pieces that end at `cuts`. */
function tell (to: number, cells: JudgedCell[], watched: { from: number, to: number }[], withheld: { minute: number, scope: string }[] = [], cuts: number[] = []): ReplayLine[] {
  const telling = beginTelling('s', 2)
  const ends = [...new Set([...cuts, to])].sort((a, b) => a - b)
  const lines = ends.flatMap((end, index) => {
    const piece = stretch(ends[index - 1] ?? 0, end)
    const inside = (start: number) => start >= piece.from && start < piece.to
    return tellMinutes(telling, { ...piece, cells: cells.filter(({ start }) => inside(start)), withheld: withheld.filter(({ minute }) => inside(minute)), watched })
  })
  return [...lines, ...endTelling(telling, at(to))]
}

t.test('cells are rows, silence is left out but for the first and the last minute, and a hole is a gap', async t => {
  const zeros = (minute: number) => ({ service: 's', start: text(minute), width_s: 60, region: 'ZZ', device_class: 'unknown', working: 0, degraded: 0, down: 0 })
  t.strictSame(tell(20, [cell(7, 3, 'CA'), cell(7, 2), cell(12, 1)], [stretch(5, 9), stretch(12, 20)], [{ minute: at(8), scope: '*|*' }, { minute: at(8), scope: 'CA|*' }]), [
    { ...zeros(5), expected_per_hour: 2 }, row(7, 3, 'CA'), row(7, 2), { service: 's', start: text(8), withheld: ['*|*', 'CA|*'] },
    { service: 's', start: text(9), end: text(12), gap: true }, row(12, 1), zeros(19)
  ])
})

t.test('what nobody watched is not told: neither before the first minute nor inside a gap', async t => {
  t.strictSame(tell(10, [cell(1, 9), cell(4, 2), cell(6, 9)], [stretch(3, 5)]).map(line => [line.start, 'gap' in line]), [[text(3), false], [text(4), false], [text(5), true]])
  t.match(tell(10, [], [stretch(3, 5)]).at(-1), { start: text(5), end: text(10), gap: true }, 'a gap lasts to the end')
  t.strictSame(tell(10, [cell(3, 1)], []), [], 'nothing at all')
})

t.test('property: the same lines whatever the pieces, ascending and each minute once', async () => {
  const minutes = fc.uniqueArray(fc.integer({ min: 0, max: 59 }), { maxLength: 20 }).map(list => list.sort((a, b) => a - b))
  const stretches = fc.array(fc.tuple(fc.integer({ min: 0, max: 59 }), fc.integer({ min: 1, max: 30 })), { maxLength: 5 })
    .map(list => mergeStretches(list.map(([from, length]) => stretch(from, from + length))))
  fc.assert(fc.property(minutes, stretches, minutes, minutes, (reported, watched, held, cuts) => {
    const cells = reported.map(minute => cell(minute, 1))
    const withheld = held.map(minute => ({ minute: at(minute), scope: '*|*' }))
    const whole = tell(60, cells, watched, withheld)
    const told = whole.filter(line => !('withheld' in line)).map(({ start }) => start)
    return JSON.stringify(tell(60, cells, watched, withheld, cuts.filter(cut => cut > 0))) === JSON.stringify(whole) &&
      new Set(told).size === told.length && told.every((start, i) => i === 0 || start > told[i - 1]!)
  }))
})

import fc from 'fast-check'
import t from 'tap'
import { clipText, countScale, countWords, momentWords, periodWords, textWidth, timeTicks, widthWords } from '../../src/http/axes.ts'

const at = (text: string): number => Date.parse(text)

t.test('time ticks suit the period, from minutes to decades', async t => {
  const cases: [string, string, string[], string[]][] = [
    ['2026-01-31T23:57:00Z', '2026-02-01T00:03:00Z', ['23:57', '23:58', '23:59', '00:00', '00:01', '00:02', '00:03'], ['Sat 31 Jan', 'Sun 1 Feb']],
    ['2026-03-01T10:02:00Z', '2026-03-01T11:32:00Z', ['10:10', '10:20', '10:30', '10:40', '10:50', '11:00', '11:10', '11:20', '11:30'], ['Sun 1 Mar']],
    ['2026-02-26T00:00:00Z', '2026-03-04T00:00:00Z', ['Thu 26', 'Fri 27', 'Sat 28', 'Sun 1', 'Mon 2', 'Tue 3', 'Wed 4'], ['February 2026', 'March 2026']],
    ['2026-01-01T00:00:00Z', '2026-02-12T00:00:00Z', ['5', '12', '19', '26', '2', '9'], ['January 2026', 'February 2026']],
    ['2025-09-15T00:00:00Z', '2026-04-15T00:00:00Z', ['Oct', 'Nov', 'Dec', 'Jan', 'Feb', 'Mar', 'Apr'], ['2025', '2026']],
    ['2019-06-01T00:00:00Z', '2024-12-01T00:00:00Z', ['2020', '2021', '2022', '2023', '2024'], []],
    ['1990-01-01T00:00:00Z', '2026-01-01T00:00:00Z', ['1990', '1995', '2000', '2005', '2010', '2015', '2020', '2025'], []]
  ]
  for (const [from, to, labels, contexts] of cases) {
    const ticks = timeTicks(at(from), at(to), 10)
    t.strictSame(ticks.map(({ label }) => label), labels, `${from} to ${to}`)
    t.strictSame(ticks.map(({ context }) => context).filter(context => context !== null), contexts)
  }
})

t.test('time ticks ascend, lie inside and stay few, whatever the period', async () => {
  fc.assert(fc.property(fc.date({ min: new Date(0), max: new Date('9000-01-01'), noInvalidDate: true }), fc.double({ min: 3, max: 14, noNaN: true }), (date, power) => {
    const [from, to] = [date.getTime(), Math.min(date.getTime() + 10 ** power, 8.6e15)]
    const ticks = timeTicks(from, to, 10)
    return ticks.length <= 13 && ticks.every((tick, index) => tick.at >= from && tick.at <= to && (index === 0 || tick.at > ticks[index - 1]!.at) && !tick.label.includes('NaN'))
  }))
})

t.test('the count scale is whole, even, from zero, and not much longer than it must be', async () => {
  fc.assert(fc.property(fc.double({ min: 0, max: 1e12, noNaN: true }), fc.integer({ min: 1, max: 8 }), (max, steps) => {
    const { top, ticks } = countScale(max, steps)
    return top >= max && top <= Math.max(max, 4) * 5 && ticks[0] === 0 && ticks.at(-1) === top && ticks.length <= steps + 1 && ticks.every(Number.isInteger)
  }))
})

t.test('counts, widths, periods and moments read as one would say them', async t => {
  t.strictSame([0, 47.5, 999, 1056, 999_999, 12_500_000, 3e9].map(countWords), ['0', '47.5', '999', '1,056', '999,999', '12.5 million', '3 billion'])
  t.strictSame([1, 90, 60, 900, 3600, 21_600, 86_400, 604_800].map(widthWords), ['second', '90 seconds', 'minute', '15 minutes', 'hour', '6 hours', 'day', '7 days'])
  t.equal(periodWords(at('2026-01-01'), at('2026-01-02')), '1 January 2026')
  t.equal(periodWords(at('2026-01-01'), at('2027-01-01')), '1 January 2026 to 31 December 2026')
  t.equal(periodWords(at('2012-11-18T19:00:00Z'), at('2012-11-18T22:30:00Z')), '18 November 2012, 19:00 to 22:30 UTC')
  t.equal(periodWords(at('2012-11-18T19:00:00Z'), at('2012-11-19T02:00:00Z')), '18 November 2012, 19:00 to 19 November 2012, 02:00 UTC')
  const [hour, day] = [3_600_000, 86_400_000]
  t.strictSame([hour, 7 * day, 400 * day].map(span => momentWords(at('2012-11-18T19:08:00Z'), span)), ['19:08', '18 Nov 19:08', '18 Nov 2012'])
})

t.test('a text is clipped between characters, to what fits', async t => {
  t.equal(clipText('iMessage', 20, 200), 'iMessage')
  const clipped = clipText('📱'.repeat(50), 20, 200)
  t.ok(clipped.isWellFormed() && clipped.endsWith('…') && textWidth(clipped, 20) <= 200)
})

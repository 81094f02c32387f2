import t from 'tap'
import { judgeStream } from '../../bench/detection/ours.ts'
import { findOutage } from '../../bench/detection/oracle.ts'
import { newRandom } from '../../bench/detection/random.ts'
import { CELLS, drawStream, isWithin, type Stream } from '../../bench/detection/streams.ts'

/** Mean a minute of the cells and minutes that belong. */
function meanOf (stream: Stream, counts: Uint16Array, belongs: (minute: number, cell: number) => boolean): number {
  let [sum, minutes] = [0, 0]
  for (let minute = 0; minute < stream.minutes; minute++) {
    let isIn = false
    for (let cell = 0; cell < CELLS && stream.watched[minute] === 1; cell++) {
      if (!belongs(minute, cell)) continue
      sum += counts[minute * CELLS + cell]!
      isIn = true
    }
    if (isIn) minutes++
  }
  return sum / minutes
}

t.test('equal keys draw the same stream, and no gap has a report', async t => {
  const [first, second] = [drawStream(newRandom(9, 1), 1, 2, 0.1, true), drawStream(newRandom(9, 1), 1, 2, 0.1, true)]
  t.same(second.events, first.events)
  t.ok(Buffer.compare(Buffer.from(first.down.buffer), Buffer.from(second.down.buffer)) === 0)
  t.not(drawStream(newRandom(9, 2), 1, 2, 0.1, true).events[0]?.onset, first.events[0]?.onset)
  t.ok(first.watched.includes(0), 'there are gaps')
  const inGaps = first.down.filter((_, at) => first.watched[Math.floor(at / CELLS)] === 0)
  t.equal(inGaps.reduce((sum, count) => sum + count, 0), 0)
})

t.test('a quiet stream has the rate and the share of working reports that it says', async t => {
  const stream = drawStream(newRandom(3), 10, 1.5, 0.1, false)
  t.same([stream.events, stream.fakes], [[], []])
  const down = meanOf(stream, stream.down, () => true)
  t.ok(Math.abs(Math.log(down / 10)) < 0.15, `${down} a minute`)
  const ratio = meanOf(stream, stream.working, () => true) / down
  t.ok(Math.abs(ratio / stream.workingRatio - 1) < 0.02, `${ratio} for ${stream.workingRatio}`)
})

t.test('events come ten outages, two rumours, a brigade and a sybil group, an hour and more apart', async t => {
  for (let key = 0; key < 20; key++) {
    const { events, testFrom, minutes } = drawStream(newRandom(4, key), 0.1, 2, 0.1, true)
    const tested = events.filter(({ onset }) => onset >= testFrom)
    t.same(tested.map(({ kind }) => kind).sort(), [...['brigade'], ...Array<string>(10).fill('outage'), 'rumour', 'rumour', 'sybil'])
    t.ok(tested.every(({ onset, end }, i) => onset < end && end + 60 <= (tested[i + 1]?.onset ?? minutes)))
    t.ok(events.every(({ end }) => end <= minutes))
  }
})

t.test('an outage raises down reports by its ratio and takes its share of working ones, in its scope alone', async t => {
  const stream = drawStream(newRandom(6), 50, 1, 0.1, true)
  const outages = stream.events.filter(event => event.kind === 'outage').filter(({ rampMin, onset }) => rampMin === 0 && onset >= stream.testFrom)
  t.ok(outages.length > 2)
  for (const outage of outages) {
    let [expected, down, working] = [0, 0, 0]
    for (let minute = outage.onset; minute < outage.end; minute++) {
      for (let cell = 0; cell < CELLS && stream.watched[minute] === 1; cell++) {
        if (!isWithin(stream, outage, cell)) continue
        expected += stream.rate * stream.regionShares[Math.floor(cell / 3)]! * stream.deviceShares[cell % 3]! * stream.traffic[minute * 4 + Math.floor(cell / 3)]!
        down += stream.down[minute * CELLS + cell]!
        working += stream.working[minute * CELLS + cell]!
      }
    }
    const within = (found: number, wanted: number): boolean => Math.abs(found - wanted) < 5 * Math.sqrt(wanted)
    t.ok(within(down, expected * outage.ratio), `${down} down for ${expected * outage.ratio}`)
    t.ok(within(working, expected * stream.workingRatio * (1 - outage.severity)), `${working} working`)
  }
})

t.test('who knows every rate finds a large outage at once, and we soon after, where it is', async t => {
  const stream = drawStream(newRandom(8), 3, 1, 0.1, true)
  const outage = { kind: 'outage' as const, onset: stream.testFrom + 100, end: stream.testFrom + 200, scope: { region: '*', deviceClass: stream.devices[0]! }, rampMin: 0, ratio: 10, severity: 0.9 }
  for (let minute = outage.onset; minute < outage.end; minute++) {
    stream.watched[minute] = 1
    for (let cell = 0; cell < CELLS; cell++) {
      if (!isWithin(stream, outage, cell)) continue
      stream.down[minute * CELLS + cell] = 2 * Math.ceil(stream.rate)
      stream.working[minute * CELLS + cell] = 0
    }
  }
  const found = findOutage(stream, outage, 9)
  t.ok(found !== null && found - outage.onset <= 2, `minute ${found! - outage.onset}`)
  const { suspected } = judgeStream(stream)
  const minutes = suspected.map(({ at }) => (at - Date.parse('2026-01-05T00:00:00Z')) / 60_000 - outage.onset)
  const alarm = minutes.findIndex(minute => minute > 0 && minute <= 10)
  t.ok(alarm >= 0, `within ten minutes, of ${minutes.map(Math.round).join(', ')}`)
  t.equal(suspected[alarm]?.scopes?.at(0)?.scope.deviceClass, stream.devices[0])
})

import t from 'tap'
import { INTERVAL_MS } from '../../src/core/reports.ts'
import { holdVoices, roomForVoices, type Voice } from '../../src/ingest/voices.ts'
import { hexOf, idOf } from './names.ts'

const speaker = (id: string, network = 'net', intervalAt = INTERVAL_MS) => ({ serviceId: 1, intervalAt, network: hexOf(network), id: idOf(id) })
/** A voice as `reports` remembers it. */
const voice = (id: string): Voice => ({ service_id: 1, id: idOf(id), network: hexOf('net') })

function open (stored: Voice[] = [], startedAt = 0, max = 1_000) {
  let now = 0
  const reads: (number | undefined)[][] = []
  const voices = holdVoices(async (intervalAt, serviceId) => {
    reads.push([intervalAt, serviceId])
    return stored
  }, startedAt, max, () => now)
  return { voices, reads, pass: (ms: number) => { now += ms } }
}

t.test('of one network three reports of a service and interval count', async t => {
  const { voices } = open()
  t.strictSame(['a', 'b', 'c', 'd', 'a'].map(id => voices.admit(speaker(id))), [true, true, true, false, true], 'the same report again is no new voice')
  t.ok(voices.admit(speaker('d', 'another')))
  t.ok(voices.admit(speaker('d', 'net', 2 * INTERVAL_MS)))
  t.ok(voices.admit({ ...speaker('d'), serviceId: 2 }))
})

t.test('voices of a commit that failed are free again, but only after the database was asked', async t => {
  const stored: Voice[] = []
  const { voices, reads } = open(stored)
  for (const id of ['a', 'b', 'c']) voices.admit(speaker(id))
  voices.free([speaker('b'), speaker('c')])
  // Nobody knows whether a commit that broke off was made: "c" was.
  stored.push(voice('a'), voice('c'))
  t.type(voices.ready(1, INTERVAL_MS), Promise)
  await voices.ready(1, INTERVAL_MS)
  t.ok(reads.length > 0)
  t.strictSame(['d', 'e', 'c'].map(id => voices.admit(speaker(id))), [true, false, true])
})

t.test('an interval from before the start is read before its first report, a later one is not', async t => {
  const stored = ['a', 'b', 'c'].map(voice)
  const { voices, reads } = open(stored, 1.5 * INTERVAL_MS)
  t.equal(voices.ready(1, 2 * INTERVAL_MS), true)
  await voices.ready(1, INTERVAL_MS)
  t.strictSame(reads, [[INTERVAL_MS, 1]])
  t.equal(voices.ready(1, INTERVAL_MS), true)
  t.notOk(voices.admit(speaker('d')))
})

t.test('an interval forgotten for idleness is read again', async t => {
  const { voices, reads, pass } = open()
  voices.admit(speaker('a'))
  pass(121_000)
  voices.tidy()
  t.type(voices.ready(1, INTERVAL_MS), Promise)
  await voices.ready(1, INTERVAL_MS)
  t.equal(reads.length, 1, 'once for all who wait')
  t.equal(voices.ready(1, 2 * INTERVAL_MS), true, 'a later one has nothing to remember')
})

t.test('without room for another voice a report is refused, never counted unguarded, until what lies idle is forgotten', async t => {
  const { voices, pass } = open([], 0, 2)
  t.ok(voices.admit(speaker('a')))
  t.ok(voices.admit(speaker('b', 'another')))
  t.throws(() => voices.admit(speaker('c', 'a third')), { code: 'overloaded', retryAfterS: 60 })
  t.ok(voices.admit(speaker('a')), 'who was admitted may say it again')
  pass(3 * 60_000)
  voices.tidy()
  t.ok(voices.admit(speaker('c', 'a third', 2 * INTERVAL_MS)))
})

t.test('a heap of a quarter of a gigabyte has room for more than a million voices, none for more than four', async t => {
  const rooms = [2 ** 28, 2 ** 29, 2 ** 31, 2 ** 32].map(roomForVoices)
  t.strictSame(rooms, [1_398_101, 2_796_202, 4_000_000, 4_000_000])
})

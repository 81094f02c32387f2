import t from 'tap'
import { Fault } from '../../src/core/faults.ts'
import type { NewReport } from '../../src/core/reports.ts'
import { IMPORT_SIZE } from '../../src/db/imports.ts'
import { emptyCounts, FAULTS_NAMED_MAX, takeBulk, type BulkStore, type Item, type Span } from '../../src/ingest/bulk.ts'
import type { ImportInput } from '../../src/ingest/intake.ts'

const intake = ({ service, reporter, observedAt, comment }: ImportInput): NewReport => ({
  serviceId: service.length,
  intervalAt: 0,
  id: reporter,
  minute: observedAt?.getTime() ?? 0,
  region: 'ZZ',
  deviceClass: 'unknown',
  verdict: 2,
  symptom: null,
  impact: null,
  network: null,
  disposition: 0,
  reason: null,
  comment: comment ?? null,
  history: observedAt !== undefined
})

let reporters = 0
const good = (more: Partial<ImportInput> = {}): Item => ({ input: { service: 'x', verdict: 'down', reporter: `r${reporters++}`, ...more } })
const bad = (): Item => ({ fault: new Fault('invalid', 'It is wrong.') })
const many = (count: number, make: () => Item = good) => Array.from({ length: count }, make)

/** A store whose commits end when the test says so. */
function openStore () {
  const told: string[] = []
  const waiting: { reports: readonly NewReport[], commit: () => void, fail: (error: Error) => void }[] = []
  const spans: Span[] = []
  const store: BulkStore = {
    insert: reports => new Promise((resolve, reject) => {
      told.push('insert')
      waiting.push({ reports, commit: () => resolve(reports.length), fail: reject })
    }),
    async markHistory (grown) {
      told.push('mark')
      spans.push(...grown)
    },
    async requestRejudge () { told.push('request') }
  }
  return { store, waiting, told, spans }
}

/** Lets whatever waits for nothing outside come to pass. */
const pass = () => new Promise(resolve => setImmediate(resolve))

t.test('what is not yet stored is bounded: reading stops while the database is slow', async t => {
  const { store, waiting } = openStore()
  let read = 0
  function * groups () {
    for (let i = 0; i < 100; i++) {
      read += 100
      yield many(100)
    }
  }
  const counts = emptyCounts()
  const taking = takeBulk(groups(), intake, store, counts)
  await pass()
  t.equal(waiting.length, 3, 'three statements are under way')
  t.equal(read, 6 * IMPORT_SIZE, 'and three are ready')
  t.match(counts, { received: 0, counted: 0 }, 'nothing counts before its commit')
  for (let ended = 0; ended < 10; ended++) {
    waiting[ended]!.commit()
    await pass()
    t.equal(counts.counted, (ended + 1) * IMPORT_SIZE)
  }
  await taking
  t.match(counts, { received: 10_000, counted: 10_000, duplicate: 0, refused: 0 })
})

t.test('when a statement fails, those beside it still count, nothing more is begun, and the failure is told', async t => {
  const { store, waiting } = openStore()
  const counts = emptyCounts()
  const taking = takeBulk([many(10_000)], intake, store, counts)
  await pass()
  waiting[1]!.fail(new Error('the database is gone'))
  await pass()
  waiting[0]!.commit()
  waiting[2]!.commit()
  await t.rejects(taking, { message: 'the database is gone' })
  t.equal(waiting.length, 3)
  t.match(counts, { received: 2 * IMPORT_SIZE, counted: 2 * IMPORT_SIZE })
})

t.test('what was good is kept when the source breaks off, and its failure is told', async t => {
  const { store, waiting } = openStore()
  const counts = emptyCounts()
  function * groups () {
    yield [good(), bad(), good()]
    throw new Error('cut off')
  }
  const taking = takeBulk(groups(), intake, store, counts)
  await pass()
  waiting[0]!.commit()
  await t.rejects(taking, { message: 'cut off' })
  t.match(counts, { received: 3, counted: 2, refused: 1, faults: [{ index: 1 }] })
})

t.test('the first thousand refusals are named, by position, and the rest are counted', async t => {
  const { store, waiting } = openStore()
  const counts = emptyCounts()
  const codes: string[] = []
  const taking = takeBulk([[good()], many(FAULTS_NAMED_MAX + 500, bad)], intake, store, counts, code => codes.push(code))
  await pass()
  waiting[0]!.commit()
  await taking
  t.match(counts, { received: FAULTS_NAMED_MAX + 501, counted: 1, refused: FAULTS_NAMED_MAX + 500 })
  t.strictSame(counts.faults.map(({ index }) => index), Array.from({ length: FAULTS_NAMED_MAX }, (_, i) => i + 1))
  t.equal(codes.length, FAULTS_NAMED_MAX + 500)
})

t.test('reports with comments go in statements of their own', async t => {
  const { store, waiting } = openStore()
  const counts = emptyCounts()
  const taking = takeBulk([[good(), good({ comment: 'No sound.' }), good()]], intake, store, counts)
  await pass()
  t.strictSame(waiting.map(({ reports }) => reports.map(({ comment }) => comment)), [[null, null], ['No sound.']])
  for (const { commit } of waiting) commit()
  await taking
  t.equal(counts.counted, 3)
})

t.test('history is marked and asked to be judged before it is committed, again only where it grows, and once more at the end', async t => {
  const { store, waiting, told, spans } = openStore()
  const counts = emptyCounts()
  const at = (ms: number) => () => good({ observedAt: new Date(ms) })
  const groups = [[...many(999, at(60_000)), at(180_000)()], many(1_000, at(120_000)), [...many(999, at(0)), good({ service: 'xy' })]]
  async function * oneByOne () {
    for (const [i, group] of groups.entries()) {
      yield group
      await pass()
      waiting[i]?.commit()
      await pass()
    }
  }
  const taking = takeBulk(oneByOne(), intake, store, counts)
  while (waiting.length < 3) await pass()
  waiting[2]!.commit()
  await taking
  t.strictSame(told.filter(what => what !== 'request'), ['mark', 'insert', 'insert', 'mark', 'insert'])
  t.ok(told.indexOf('request') < told.indexOf('insert'), 'asked before the first')
  t.equal(told.at(-1), 'request', 'and after the last, since the request before it was older')
  t.strictSame(spans, [{ serviceId: 1, from: 60_000, to: 180_000 }, { serviceId: 1, from: 0, to: 180_000 }], 'the second is its whole span; what is no history has none')
})

t.test('what goes on in order of time is marked four chunks together, each before it is committed, while those before are', async t => {
  const { store, waiting, told, spans } = openStore()
  const counts = emptyCounts()
  let minute = 0
  const taking = takeBulk([many(12_000, () => good({ observedAt: new Date(minute++) }))], intake, store, counts)
  for (let ended = 0; ended < 12; ended++) {
    while (waiting.length <= ended) await pass()
    t.ok(waiting.length <= ended + 3, 'three are under way at most')
    const markedTo = Math.max(...spans.map(({ to }) => to))
    t.ok(waiting.every(({ reports }) => reports.every(({ minute }) => minute <= markedTo)))
    waiting[ended]!.commit()
  }
  await taking
  t.strictSame(spans.map(({ to }) => to), [999, 2_999, 6_999, 10_999, 11_999])
  t.equal(counts.counted, 12_000)
  t.equal(told.filter(what => what === 'insert').length, 12)
})

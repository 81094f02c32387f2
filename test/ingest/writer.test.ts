import t from 'tap'
import { Fault } from '../../src/core/faults.ts'
import type { NewReport } from '../../src/core/reports.ts'
import { openWriter } from '../../src/ingest/writer.ts'

const report = (id: string): NewReport => ({
  serviceId: 1,
  intervalAt: 0,
  id,
  minute: 0,
  region: 'ZZ',
  deviceClass: 'unknown',
  verdict: 2,
  symptom: null,
  impact: null,
  network: null,
  disposition: 0,
  reason: null,
  comment: null,
  history: false
})

/** Lets what waits for the next turn of the event loop come to pass. */
async function pass (): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await new Promise(resolve => setImmediate(resolve))
}

/** A store whose commits happen when the test says so. */
function openStore () {
  const stored = new Set<string>()
  const commits: { ids: string[], done: () => void, fail: (error: Error) => void }[] = []
  return {
    commits,
    insert: (batch: readonly NewReport[]) => new Promise<Set<string>>((resolve, reject) => commits.push({
      ids: batch.map(({ id }) => id),
      fail: reject,
      done () {
        const fresh = new Set(batch.map(({ id }) => id).filter(id => !stored.has(id)))
        for (const id of fresh) stored.add(id)
        resolve(fresh)
      }
    }))
  }
}

t.test('what arrives during a commit goes out together with the next, and no answer precedes its commit', async t => {
  const store = openStore()
  const writer = openWriter({ insert: store.insert, onFailed: () => t.fail() })
  const answers: string[] = []
  const send = (id: string) => writer.write(report(id)).then(outcome => answers.push(`${id} ${outcome}`))
  const sent = [send('a')]
  await pass()
  t.strictSame(store.commits.map(({ ids }) => ids), [['a']], 'a lone report goes out at once')
  sent.push(...['b', 'c', 'b'].map(send))
  await pass()
  t.strictSame(answers, [])
  t.equal(store.commits.length, 1)
  store.commits[0]!.done()
  await pass()
  t.strictSame(store.commits[1]!.ids, ['b', 'c', 'b'])
  store.commits[1]!.done()
  await Promise.all(sent)
  t.strictSame(answers, ['a new', 'b new', 'c new', 'b duplicate'])
  t.equal(writer.depth(), 0)
})

t.test('what arrives in one turn of the event loop goes out together', async t => {
  const store = openStore()
  const writer = openWriter({ insert: store.insert, onFailed: () => t.fail() })
  const sent = ['a', 'b', 'c'].map(id => writer.write(report(id)))
  await pass()
  t.strictSame(store.commits.map(({ ids }) => ids), [['a', 'b', 'c']])
  store.commits[0]!.done()
  t.strictSame(await Promise.all(sent), ['new', 'new', 'new'])
})

t.test('a full queue refuses instead of growing', async t => {
  const store = openStore()
  const writer = openWriter({ insert: store.insert, onFailed: () => t.fail(), queueMax: 3 })
  const sent = [writer.write(report('a'))]
  await pass()
  sent.push(...['b', 'c', 'd'].map(id => writer.write(report(id))))
  await t.rejects(writer.write(report('e')), { code: 'overloaded', retryAfterS: 5 })
  t.equal(writer.depth(), 4, 'one under way and three waiting')
  store.commits[0]!.done()
  await pass()
  store.commits[1]!.done()
  await writer.drain()
  t.strictSame(await Promise.all(sent), ['new', 'new', 'new', 'new'])
})

t.test('a commit that fails fails its own reports, tells of them, and no other', async t => {
  const store = openStore()
  const failed: string[] = []
  const writer = openWriter({ insert: store.insert, onFailed: batch => failed.push(...batch.map(({ id }) => id)) })
  const first = writer.write(report('a'))
  await pass()
  const second = writer.write(report('b'))
  store.commits[0]!.fail(new Fault('unavailable', 'gone'))
  await t.rejects(first, { code: 'unavailable' })
  await pass()
  store.commits[1]!.done()
  t.equal(await second, 'new')
  t.strictSame(failed, ['a'])
})

t.test('a long queue goes out in batches of a bounded size', async t => {
  const store = openStore()
  const writer = openWriter({ insert: store.insert, onFailed: () => t.fail() })
  const sent = Array.from({ length: 2_600 }, (_, i) => writer.write(report(String(i))))
  for (let i = 0; i < 8 && writer.depth() > 0; i++) {
    await pass()
    store.commits[i]?.done()
  }
  await Promise.all(sent)
  const sizes = store.commits.map(({ ids }) => ids.length)
  t.strictSame(sizes, [1_024, 1_024, 512, 32, 8])
})

t.test('when commits are slow, a report that would wait too long is refused at once, and taken again when they are not', async t => {
  const now = performance.now.bind(performance)
  let skippedMs = 0
  performance.now = () => now() + skippedMs
  t.teardown(() => { performance.now = now })
  const store = openStore()
  const writer = openWriter({ insert: store.insert, onFailed: () => t.fail() })
  const commit = async (number: number, tookMs: number) => {
    const written = writer.write(report(`one ${number}`))
    await pass()
    skippedMs += tookMs
    store.commits[number]!.done()
    await written
    await pass()
  }
  await commit(0, 2_500)
  t.equal(writer.refusal(), undefined, 'one slow commit is chance')
  for (let number = 1; number < 10; number++) await commit(number, 2_500)
  const crowd = [writer.write(report('first'))]
  await pass()
  let refusedCount = 0
  for (let i = 0; i < 1_024; i++) {
    if (writer.refusal() !== undefined) refusedCount++
    crowd.push(writer.write(report(`of the crowd ${i}`)))
  }
  t.equal(refusedCount, 0, 'the next statement has room')
  t.match(writer.refusal(), { code: 'overloaded', retryAfterS: 5 })
  await t.rejects(writer.write(report('one more')), { code: 'overloaded' })
  for (const number of [10, 11]) {
    store.commits[number]!.done()
    await pass()
  }
  t.strictSame(new Set(await Promise.all(crowd)), new Set(['new']), 'whoever was let in is committed')
  for (let number = 12; number < 20; number++) await commit(number, 1)
  const others = Array.from({ length: 1_100 }, (_, i) => writer.write(report(`other ${i}`)))
  t.equal(writer.refusal(), undefined)
  for (const number of [20, 21, 22]) {
    await pass()
    store.commits[number]!.done()
  }
  t.strictSame(new Set(await Promise.all(others)), new Set(['new']))
})

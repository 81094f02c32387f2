import { pino } from 'pino'
import t, { type Test } from 'tap'
import { INTERVAL_MS } from '../../src/core/reports.ts'
import { shareVoices } from '../../src/ingest/shared-voices.ts'
import { holdVoices, type Voice } from '../../src/ingest/voices.ts'
import { openRedis } from '../../src/redis.ts'
import { eventually } from '../flow/processes.ts'
import { NO_REDIS, startRedis, type TestRedis } from '../redis.ts'

const ID = (name: string) => `${name}0000000-0000-8000-8000-000000000000`
const speaker = (name: string, more = {}) => ({ serviceId: 1, intervalAt: INTERVAL_MS, network: 'net', id: ID(name), ...more })

/** An instance: its voices, on what the instances' one table holds. */
async function openInstance (t: Test, { url }: TestRedis, stored: Voice[]) {
  const redis = await openRedis(url, pino({ level: 'silent' }))
  t.teardown(() => redis.disconnect())
  let readings = 0
  const read = async () => {
    readings++
    return [...stored]
  }
  const monotonic = () => performance.now()
  const voices = shareVoices(redis, read, () => holdVoices(read, Infinity, 1_000, monotonic), monotonic)
  const admit = async (...names: string[]) => {
    const told: boolean[] = []
    for (const name of names) told.push(await voices.admit(speaker(name)))
    return told
  }
  return { voices, admit, redis, readings: () => readings }
}

const store = (...names: string[]): Voice[] => names.map(name => ({ service_id: 1, network: 'net', id: ID(name) }))

t.test('two instances do not add up to more', { skip: NO_REDIS }, async t => {
  const redis = await startRedis(t)
  const [one, two] = [await openInstance(t, redis, []), await openInstance(t, redis, [])]
  t.strictSame(await one.admit('a', 'b'), [true, true])
  t.strictSame(await two.admit('a', 'c', 'd'), [true, true, false], 'what the other admitted is no new voice, and takes its room')
  t.strictSame(await one.admit('c', 'e'), [true, false])
  t.ok(await one.voices.admit(speaker('e', { network: 'another' })))
  t.ok(await one.voices.admit(speaker('e', { intervalAt: 2 * INTERVAL_MS })))
  t.ok(await two.voices.admit(speaker('e', { serviceId: 2 })))

  const many = await Promise.all(Array.from({ length: 100 }, (_, i) =>
    [one, two][i % 2]!.voices.admit(speaker(String.fromCharCode(97 + i % 25), { network: 'crowded' }))))
  t.equal(many.filter(admitted => !admitted).length, 100 - 4 * 3, 'three ids of 25, four times each')
})

t.test('what stood in the table before counts, also after Redis forgot it all', { skip: NO_REDIS }, async t => {
  const redis = await startRedis(t)
  const stored = store('a', 'b')
  const { admit, readings } = await openInstance(t, redis, stored)
  t.strictSame(await admit('c', 'd', 'a'), [true, false, true])
  t.equal(readings(), 1)
  stored.push(...store('c'))
  await redis.client.flushall()
  t.strictSame(await admit('d', 'c'), [false, true])
  t.equal(readings(), 2)
})

t.test('a voice whose commit failed is free again, on both', { skip: NO_REDIS }, async t => {
  const redis = await startRedis(t)
  const [one, two] = [await openInstance(t, redis, store('a')), await openInstance(t, redis, store('a'))]
  t.strictSame(await two.admit('a'), [true])
  t.strictSame(await one.admit('b', 'c', 'd'), [true, true, false])
  one.voices.free([speaker('b')])
  t.strictSame(await two.admit('d', 'e', 'b'), [true, false, false])
  t.equal(two.readings(), 2, 'the table is asked again: nobody knows what became of the commit')
})

t.test('without Redis each counts for itself, and what it counted is told when Redis is back', { skip: NO_REDIS }, async t => {
  const redis = await startRedis(t)
  const stored: Voice[] = []
  const [one, two] = [await openInstance(t, redis, stored), await openInstance(t, redis, stored)]
  t.strictSame(await one.admit('a'), [true])
  stored.push(...store('a'))
  await redis.stop()
  t.strictSame(await one.admit('b', 'c', 'd'), [true, true, false])
  stored.push(...store('b', 'c'))
  t.strictSame(await two.admit('d'), [false], 'what is committed counts everywhere')
  await redis.start()
  await eventually(async () => one.redis.status === 'ready' && two.redis.status === 'ready' ? true : undefined, 'connected again')
  t.strictSame(await two.admit('e', 'a'), [false, true])
  t.strictSame(await one.admit('e', 'b'), [false, true])
})

t.test('a Redis that hangs holds the first up for a moment, and nobody after that', { skip: NO_REDIS }, async t => {
  const redis = await startRedis(t)
  const { admit, redis: connected } = await openInstance(t, redis, [])
  t.strictSame(await admit('a'), [true])
  redis.signal('SIGSTOP')
  const began = performance.now()
  t.strictSame(await admit('b'), [true])
  const waitedMs = performance.now() - began
  await eventually(async () => connected.status === 'ready' ? undefined : true, 'taken as lost')
  let quickestMs = Infinity
  // Of several, since the machine may be slow at any one moment; each would wait if Redis were asked.
  for (let i = 0; i < 5; i++) {
    const later = performance.now()
    t.strictSame(await admit('c', 'd'), [true, true])
    quickestMs = Math.min(quickestMs, performance.now() - later)
  }
  t.ok(quickestMs < 190, 'no longer waited for')
  redis.signal('SIGCONT')
  t.ok(waitedMs >= 190, 'it was waited for')
  t.ok(waitedMs < 2_000, `${Math.round(waitedMs)} ms`)
})

import t from 'tap'
import { makeVoiceSet, VOICE_BYTES } from '../../src/ingest/voice-set.ts'
import { hexOf, idOf } from './names.ts'

t.test('it answers as a map of lists would, over a hundred thousand puts and removals', async t => {
  const set = makeVoiceSet()
  const model = new Map<string, string[]>()
  let random = 1
  const below = (bound: number) => {
    random = Math.imul(random, 1_103_515_245) + 12_345 >>> 0
    return (random >>> 8) % bound
  }
  let held = 0
  const wrong: string[] = []
  const told = { known: 0, added: 0, 'network full': 0, 'set full': 0, removed: 0, absent: 0 }
  for (let step = 0; step < 100_000; step++) {
    const network = hexOf(`network ${below(9_000)}`)
    const id = idOf(`id ${below(6)} of ${network}`)
    const ids = model.get(network) ?? []
    if (below(10) === 0) {
      const isThere = ids.includes(id)
      if (set.remove(network, id) !== isThere) wrong.push(`removal at step ${step}`)
      told[isThere ? 'removed' : 'absent']++
      if (!isThere) continue
      ids.splice(ids.indexOf(id), 1)
      held--
    } else {
      const mayGrow = below(50) > 0
      const expected = ids.includes(id) ? 'known' : ids.length >= 3 ? 'network full' : mayGrow ? 'added' : 'set full'
      if (set.put(network, id, 3, mayGrow) !== expected) wrong.push(`put at step ${step}`)
      told[expected]++
      if (expected !== 'added') continue
      model.set(network, [...ids, id])
      held++
    }
    if (set.size() !== held) wrong.push(`size after step ${step}`)
  }
  t.strictSame(wrong, [])
  t.ok(Object.values(told).every(times => times > 100), 'and each answer was given often', told)
  t.ok(held > 8_192, 'in more than two blocks')
})

t.test('networks and ids that differ in one digit are told apart', async t => {
  const [network, id] = [hexOf('network'), idOf('id')]
  for (let at = 0; at < id.length; at++) {
    const other = (hex: string) => hex.slice(0, at) + (hex[at] === '7' ? '3' : '7') + hex.slice(at + 1)
    const set = makeVoiceSet()
    set.put(network, id, 1, true)
    if (at < network.length) t.equal(set.put(other(network), id, 1, true), 'added')
    if (id[at] !== '-') t.equal(set.put(network, other(id), 1, true), 'network full')
  }
})

t.test('what is put and removed again and again takes no room', async t => {
  const set = makeVoiceSet()
  const others = Array.from({ length: 100 }, (_, i) => hexOf(`other ${i}`))
  for (const network of others) set.put(network, idOf(network), 3, true)
  const before = process.memoryUsage().arrayBuffers
  const hex = hexOf('digits')
  for (let i = 0; i < 200_000; i++) {
    const network = (Math.imul(i, 2_654_435_761) >>> 0).toString(16).padStart(8, '0') + hex.slice(8)
    set.put(network, idOf('id'), 3, true)
    set.remove(network, idOf('id'))
  }
  const grown = process.memoryUsage().arrayBuffers - before
  t.equal(set.size(), 100)
  t.ok(others.every(network => set.put(network, idOf(network), 3, true) === 'known'), 'and the others stay')
  t.ok(grown < 2 ** 20, `${grown} bytes`)
})

t.test('a million voices take about as much as is said, outside of the heap', async t => {
  const set = makeVoiceSet()
  const before = process.memoryUsage()
  const VOICES = 1_000_000
  const digits = hexOf('digits')
  for (let i = 0; i < VOICES; i++) {
    // Spread as hashes are: the first word by a multiplication, which is faster than hashing.
    const first = (Math.imul(i, 2_654_435_761) >>> 0).toString(16).padStart(8, '0')
    set.put(first + digits.slice(8), '0b0e4be9-5bd3-86ae-8f7e-5ac2c9a4d9f1', 3, true)
  }
  const after = process.memoryUsage()
  t.equal(set.size(), VOICES)
  const bytes = (after.arrayBuffers - before.arrayBuffers) / VOICES
  // Indexes that were outgrown may not have been collected yet.
  t.ok(bytes < 1.5 * VOICE_BYTES && bytes > 32, `${bytes} bytes each`)
})

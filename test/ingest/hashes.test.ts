import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { openKeyedHash } from '../../src/ingest/hashes.ts'

const parts = fc.array(fc.string({ unit: 'binary', maxLength: 80 }), { maxLength: 8 })

t.test('it is the HMAC-SHA-256 of every part behind its length, cut to 128 bits', async () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), fc.array(parts, { minLength: 1, maxLength: 3 }), (bytes, lists) => {
    const hash = openKeyedHash(Buffer.from(bytes))
    return lists.every(list => {
      const hmac = createHmac('sha256', bytes)
      for (const part of list) {
        const length = Buffer.alloc(4)
        length.writeUInt32BE(Buffer.byteLength(part))
        hmac.update(length).update(part)
      }
      return hash(list) === hmac.digest('hex').slice(0, 32)
    })
  }), { numRuns: 300 })
})

t.test('no two lists of parts give the same hash', async t => {
  const hash = openKeyedHash(Buffer.from('key'))
  t.not(hash(['ab', 'c']), hash(['a', 'bc']))
  t.not(hash(['a']), hash(['a', '']))
})

t.test('what is too long is refused, never cut off', async t => {
  t.throws(() => openKeyedHash(Buffer.alloc(32))(['x'.repeat(5_000)]))
})

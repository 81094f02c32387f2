import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { openHmac, openKeyedHash } from '../../src/ingest/hashes.ts'

const parts = fc.array(fc.string({ unit: 'binary', maxLength: 80 }), { maxLength: 8 })

t.test('it is the HMAC-SHA-256 of every part behind its length, cut to 128 bits', async () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), fc.array(parts, { minLength: 1, maxLength: 3 }), (bytes, lists) => {
    const hash = openKeyedHash(Buffer.from(bytes))
    return lists.every(list => {
      const hmac = createHmac('sha256', bytes)
      for (const part of list) hmac.update(`${part.length}:`).update(part)
      return hash(list) === hmac.digest('hex').slice(0, 32)
    })
  }), { numRuns: 300 })
})

t.test('it is HMAC-SHA-256 on the vectors of RFC 4231 §4', async t => {
  const ascii = (text: string) => Buffer.from(text)
  const bytes = (value: number, count: number) => Buffer.alloc(count, value)
  const counting = Buffer.from(Array.from({ length: 25 }, (_, i) => i + 1))
  const vectors: [Buffer, Buffer, string][] = [
    [bytes(0x0b, 20), ascii('Hi There'), 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7'],
    [ascii('Jefe'), ascii('what do ya want for nothing?'), '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'],
    [bytes(0xaa, 20), bytes(0xdd, 50), '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe'],
    [counting, bytes(0xcd, 50), '82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b'],
    [bytes(0x0c, 20), ascii('Test With Truncation'), 'a3b6167473100ee06e0c796c2955552b'],
    [bytes(0xaa, 131), ascii('Test Using Larger Than Block-Size Key - Hash Key First'), '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54'],
    [bytes(0xaa, 131), ascii('This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.'),
      '9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2']
  ]
  for (const [key, text, expected] of vectors) {
    t.equal(Buffer.from(openHmac(key)(text), 'binary').toString('hex').slice(0, expected.length), expected)
  }
})

t.test('it is what createHmac gives, for keys and texts of any length, one after the other', async () => {
  const anyBytes = (maxLength: number) => fc.uint8Array({ maxLength, size: 'max' })
  fc.assert(fc.property(anyBytes(200), fc.array(anyBytes(4_096), { minLength: 1, maxLength: 4 }), (key, texts) => {
    const hmac = openHmac(key)
    return texts.every(text => hmac(text) === createHmac('sha256', key).update(text).digest('binary'))
  }), { numRuns: 300 })
})

t.test('no two lists of parts give the same hash', async t => {
  const hash = openKeyedHash(Buffer.from('key'))
  t.not(hash(['ab', 'c']), hash(['a', 'bc']))
  t.not(hash(['a']), hash(['a', '']))
  t.not(hash(['a', 'b']), hash(['a1:b']))
  t.not(hash(['é']), hash(['e\u0301']))
})

t.test('what is too long is refused, never cut off', async t => {
  t.throws(() => openKeyedHash(Buffer.alloc(32))(['x'.repeat(5_000)]))
})

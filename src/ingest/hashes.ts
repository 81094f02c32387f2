import { hash } from 'node:crypto'

/** SHA-256 works on blocks of so many bytes; a key may be that long. */
const BLOCK_BYTES = 64
const DIGEST_BYTES = 32
/** What is hashed may be this long: the longest parts are a client's nonce and a word of ours. */
const INPUT_BYTES_MAX = 4_096
const KEPT_BYTES = 16

/** The first 128 bits, as 32 hex digits, of an HMAC-SHA-256 of every part behind its length. */
export type KeyedHash = (parts: readonly string[]) => string

/**
 * HMAC-SHA-256 (RFC 2104 §2) under one key. Put together from two one-shot hashes over buffers that already begin with
 * the padded key, it takes a third of the time of `createHmac`, which was a tenth of all that a report costs.
 * Each part stands behind its length (4 bytes, big-endian), so that no two lists collide.
 */
export function openKeyedHash (key: Buffer): KeyedHash {
  if (key.length > BLOCK_BYTES) throw new Error('a key of more than one block is not supported')
  const inner = Buffer.alloc(BLOCK_BYTES + INPUT_BYTES_MAX, 0x36)
  const outer = Buffer.alloc(BLOCK_BYTES + DIGEST_BYTES, 0x5c)
  key.forEach((byte, at) => {
    inner[at]! ^= byte
    outer[at]! ^= byte
  })
  const digest = Buffer.alloc(DIGEST_BYTES)
  return parts => {
    let at = BLOCK_BYTES
    for (const part of parts) {
      // A UTF-16 unit takes three bytes of UTF-8 at most; `write` would cut off silently.
      if (at + 4 + 3 * part.length > inner.length) throw new Error('more is to be hashed than was thought possible')
      const length = inner.write(part, at + 4)
      inner.writeUInt32BE(length, at)
      at += 4 + length
    }
    outer.write(hash('sha256', inner.subarray(0, at), 'binary'), BLOCK_BYTES, 'binary')
    digest.write(hash('sha256', outer, 'binary'), 'binary')
    return digest.toString('hex', 0, KEPT_BYTES)
  }
}

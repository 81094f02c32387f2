import { createHmac } from 'node:crypto'

/** What is hashed may be this long: the longest parts are a client's nonce and a word of ours. */
const INPUT_BYTES_MAX = 4_096
const DIGEST_BYTES = 32
const KEPT_BYTES = 16

/** The first 128 bits, as 32 hex digits, of an HMAC-SHA-256 of every part behind its length. */
export type KeyedHash = (parts: readonly string[]) => string

/**
 * HMAC-SHA-256 (RFC 2104) under one key. Each part stands behind its length (4 bytes, big-endian), so that no two lists
 * collide; all are written into one buffer, since each update of a hash costs as much as the hash.
 */
export function openKeyedHash (key: Buffer): KeyedHash {
  const input = Buffer.alloc(INPUT_BYTES_MAX)
  const digest = Buffer.alloc(DIGEST_BYTES)
  return parts => {
    let at = 0
    for (const part of parts) {
      // A UTF-16 unit takes three bytes of UTF-8 at most; `write` would cut off silently.
      if (at + 4 + 3 * part.length > input.length) throw new Error('more is to be hashed than was thought possible')
      const length = input.write(part, at + 4)
      input.writeUInt32BE(length, at)
      at += 4 + length
    }
    // Not a slice of all its digits: V8 would keep the whole behind each network that is held, half as much memory again.
    digest.write(createHmac('sha256', key).update(input.subarray(0, at)).digest('binary'), 'binary')
    return digest.toString('hex', 0, KEPT_BYTES)
  }
}

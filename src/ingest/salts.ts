import { randomBytes } from 'node:crypto'
import type { Db } from '../db/client.ts'
import { ensureSalt } from '../db/salts.ts'
import { DAY_MS, dayOf, floorTo } from '../core/time.ts'
import { openKeyedHash, type KeyedHash } from './hashes.ts'

const SALT_BYTES = 32
/** Yesterday's, today's and, near midnight, tomorrow's. */
const SALTS_HELD_MAX = 3

/** The salts of the days about now, held in memory so that a report rarely waits for one. */
export interface Salts {
  /** The hash under the salt of the UTC day of `at` (ms), at once when it is held. */
  hashOf: (at: number) => KeyedHash | Promise<KeyedHash>
}

/** Salts are random, the same on all instances, and forgotten here as their days pass. */
export function holdSalts (db: Db): Salts {
  const held = new Map<number, KeyedHash>()
  return {
    hashOf (at) {
      const dayAt = floorTo(at, DAY_MS)
      const known = held.get(dayAt)
      if (known !== undefined) return known
      const day = dayOf(at)
      return ensureSalt(db, day, randomBytes(SALT_BYTES)).then(salt => {
        const hash = openKeyedHash(salt)
        held.set(dayAt, hash)
        for (const old of [...held.keys()].sort((a, b) => a - b).slice(0, -SALTS_HELD_MAX)) held.delete(old)
        return hash
      })
    }
  }
}

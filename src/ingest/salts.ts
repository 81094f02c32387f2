import { randomBytes } from 'node:crypto'
import type { Db } from '../db/client.ts'
import { ensureSalt } from '../db/salts.ts'
import { DAY_MS, dayOf, floorTo } from '../core/time.ts'
import { openKeyedHash, type KeyedHash } from './hashes.ts'

const SALT_BYTES = 32

/** The salts of the days about now, held in memory so that a report rarely waits for one. */
export interface Salts {
  /** The hash under the salt of the UTC day of `at` (ms), at once when it is held. */
  hashOf: (at: number) => KeyedHash | Promise<KeyedHash>
  /** Forgets the salts of days before yesterday's, as the tables do. */
  tidy: (now: number) => void
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
        return hash
      })
    },
    tidy (now) {
      for (const dayAt of held.keys()) if (dayAt < floorTo(now, DAY_MS) - DAY_MS) held.delete(dayAt)
    }
  }
}

import { readFileSync } from 'node:fs'
import type { Incident, PageReading } from '../../../src/core/official/formats.ts'

/** The bytes of a file in `samples/`. */
export function sample (name: string): Uint8Array {
  return readFileSync(new URL(`samples/${name}`, import.meta.url))
}

export function bytes (text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** Any value as the bytes of its JSON. */
export function json (value: unknown): Uint8Array {
  return bytes(JSON.stringify(value))
}

/** A reading's incidents with times that people can read: `[id, [[time, status, text], …]]`. */
export function said ({ incidents }: PageReading): [string, string[][]][] {
  return incidents.map(({ id, words }) => [id, words.map(({ publishedAt, status, text }) => [new Date(publishedAt).toISOString().replace('.000Z', 'Z'), status, text])])
}

/** The only incident of a reading. */
export function only ({ incidents }: PageReading): Incident {
  if (incidents.length !== 1) throw new Error(`${incidents.length} incidents where one was expected`)
  return incidents[0]!
}

import { iso31661, iso31662 } from 'iso-3166'
import { UNKNOWN_REGION } from './vocabulary.ts'

/** A region as we store it: a country, its first subdivision, or `ZZ`; `parent` is a subdivision's country. */
export interface Region { code: string, name: string, parent: string | null }

const countries = iso31661.filter(({ state }) => state === 'assigned')
const countryCodes = new Set(countries.map(({ alpha2 }) => alpha2))
const parentOf = new Map(iso31662.map(({ code, parent }) => [code, parent]))

/** All storable regions, ascending by code. */
export const REGIONS: readonly Region[] = [
  { code: UNKNOWN_REGION, name: 'Unknown', parent: null },
  ...countries.map(({ alpha2, name }) => ({ code: alpha2, name, parent: null })),
  ...iso31662.filter(({ parent }) => countryCodes.has(parent)).map(({ code, name, parent }) => ({ code, name, parent }))
].sort((a, b) => a.code < b.code ? -1 : 1)

const nameByCode = new Map(REGIONS.map(({ code, name }) => [code, name]))

/** How people name a region; the code itself, if ISO 3166 does not know it. */
export function nameOfRegion (code: string): string {
  return nameByCode.get(code) ?? code
}

/**
 * The region under which a code is stored: a country or first-level subdivision as it is, a deeper level as its
 * first-level parent (`FR-75C` as `FR-IDF`); undefined when ISO 3166 does not know the code.
 */
export function coarsenRegion (code: string): string | undefined {
  if (code === UNKNOWN_REGION || countryCodes.has(code)) return code
  const parent = parentOf.get(code)
  if (parent === undefined) return undefined
  return countryCodes.has(parent) ? code : coarsenRegion(parent)
}

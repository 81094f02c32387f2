// The country of an address, from the operator's own database; looked up before the address is dropped.
import ipaddr from 'ipaddr.js'
import { Reader, type CountryResponse } from 'mmdb-lib'
import { coarsenRegion } from '../core/regions.ts'

/** The ISO 3166 code of the country that an address is in; undefined when nobody knows. */
export type Countries = (address: string) => string | undefined

/** Without a database no address has a country. */
export const NO_COUNTRIES: Countries = () => undefined

/**
 * Reads a country database in MaxMind's format (MaxMind DB 2.0).
 * @throws Error when it is none
 */
export function openCountries (file: Buffer): Countries {
  const reader = new Reader<CountryResponse>(file)
  return address => {
    if (!ipaddr.isValid(address)) return undefined
    const code = reader.get(ipaddr.process(address).toString())?.country?.iso_code
    return code === undefined ? undefined : coarsenRegion(code)
  }
}

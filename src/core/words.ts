// What the timeline says for people: what they report, never what is so.
// Not here: when something is said (outages), and the names of places and devices, which are passed in.
import type { Reading, Transition } from './outages.ts'
import { ALL, UNKNOWN_DEVICE_CLASS, UNKNOWN_REGION, type Scope } from './vocabulary.ts'

/** How people name a region's code and a device class's slug. */
export interface Names { region: (code: string) => string, deviceClass: (slug: string) => string }

/** A step of an outage in one sentence: "31 people say it fails where 4 are usual at this hour; iPhone in Ontario most of all." */
export function wordsFor ({ type, again, scope, reading, share }: Transition, names: Names): string {
  const most = where(scope, names)
  const mostOfAll = most === '' ? '' : `; ${most} most of all`
  switch (type) {
    case 'suspected': return `${saying(reading, share)}${mostOfAll}.`
    case 'confirmed': return again ? `Reports rise again: ${saying(reading, share)}.` : `Too many for chance: ${saying(reading, share)}${mostOfAll}.`
    case 'recovering': return 'Reports fall back towards what is usual.'
    case 'resolved': return 'Reports have stayed well below their peak; we take it as over.'
    case 'dismissed': return 'Reports fell back before they could confirm an outage.'
    case 'moved': return `Reports now stand out ${most === '' ? 'everywhere' : `for ${most} most of all`}: ${saying(reading, share)}.`
  }
}

function saying ({ down, expected }: Reading, share: Transition['share']): string {
  const people = Math.round(down)
  const usual = Math.round(expected)
  const count = `${people === 1 ? '1 person says' : `${people} people say`} it fails where ${usual < 1 ? 'fewer than one is' : usual === 1 ? 'one is' : `${usual} are`} usual at this hour`
  return share === null ? count : `${count}, ${percent(share.seen)} of all who report where ${percent(share.expected)} is usual`
}

function percent (share: number): string {
  return `${Math.round(100 * share)}%`
}

function where ({ region, deviceClass }: Scope, names: Names): string {
  const device = deviceClass === ALL ? '' : deviceClass === UNKNOWN_DEVICE_CLASS ? 'a device not named' : names.deviceClass(deviceClass)
  const place = region === ALL ? '' : region === UNKNOWN_REGION ? 'a place not named' : names.region(region)
  return device !== '' && place !== '' ? `${device} in ${place}` : device + place
}

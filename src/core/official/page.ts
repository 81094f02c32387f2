// What every reader of a vendor's page shares: the shape of a reading, its bounds, and careful ways into unknown JSON.
// Not here: any one vendor's format (one file each), the table of them (formats), what a reading means for us (jobs).
import type { OfficialStatus } from '../vocabulary.ts'

/** Bounds of one reading; what is over them is left out, the oldest first. */
export const INCIDENTS_MAX = 500
export const WORDS_MAX = 100
export const NAMES_MAX = 1_000
/** Lengths, in UTF-16 units; longer texts end with an ellipsis, an incident with a longer id is skipped. */
export const TEXT_MAX = 500
export const TITLE_MAX = 200
export const NAME_MAX = 200
export const ID_MAX = 500
const URL_MAX = 2_000
/** So much of a raw text is looked at before it is cut. */
const RAW_MAX = 20_000

/** One word of a vendor on an incident. `publishedAt`: when the vendor says it said so, ms. */
export interface Word { publishedAt: number, status: OfficialStatus, text: string }

export interface Incident {
  /** The vendor's own id; of a component in trouble that no incident names `component/<id>`. */
  id: string
  title: string
  /** Its page, as the vendor gives it: http or https, or relative to the address that was read; null when it gives none. */
  url: string | null
  /** Names on the vendor's page of what it affects (components, services, products; never places); empty: it does not say. */
  affected: string[]
  /** Its words, ascending by `publishedAt`, at least one; the last one's status is how it stands: `up` is over. */
  words: Word[]
}

/** What one page says at one reading. */
export interface PageReading {
  /** Newest word first. */
  incidents: Incident[]
  /** Names of everything the page tells about, for matching a service to it; empty when the page does not list them. */
  names: string[]
  /** When the page says it was last updated, ms; null when it does not. */
  updatedAt: number | null
}

/** @throws PageError when the bytes are not of the format. One broken entry among many is skipped instead. */
export type Adapter = (body: Uint8Array) => PageReading

/** A page that is not what it should be; the sentence says what was expected and what was found. */
export class PageError extends Error {
  constructor (expected: string, found: string) {
    super(`Expected ${expected}, found ${found}.`)
    this.name = 'PageError'
  }
}

export type Members = Readonly<Record<string, unknown>>

/** The members of a JSON object; null of anything else. */
export function membersOf (value: unknown): Members | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value as Members : null
}

/** The elements of a JSON array that are objects; none of anything else. */
export function objectsOf (value: unknown): Members[] {
  return Array.isArray(value) ? value.map(membersOf).filter(members => members !== null) : []
}

/** @throws PageError when a list has entries and none of them is `expected`: a page that we cannot read does not say that all is well. */
export function requireSome (listed: readonly unknown[], isOne: (entry: Members) => boolean, expected: string): void {
  if (listed.length > 0 && !objectsOf(listed).some(isOne)) throw new PageError(expected, 'a list of something else')
}

/** Bytes as UTF-8, without a byte order mark; what is not UTF-8 becomes U+FFFD. */
export function decode (body: Uint8Array): string {
  return new TextDecoder().decode(body)
}

/** @throws PageError when `text` is not JSON. `expected` names the document. */
export function parseJson (text: string, expected: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new PageError(expected, describe(text))
  }
}

/** What a value is, for a PageError's sentence. */
export function describe (value: unknown): string {
  if (typeof value === 'string') return value.trim() === '' ? 'an empty text' : `a text that begins "${cut(fold(value.slice(0, 200)), 40)}"`
  if (Array.isArray(value)) return 'a list'
  if (value === null || value === undefined) return 'nothing'
  return typeof value === 'object' ? `an object with ${Object.keys(value).length} other members` : `a ${typeof value}`
}

const TAG = /<\/?([a-z!][\w!-]{0,20})[^<>]*>/gi
/** Tags that part words; the others stand within one. */
const PARTING = /^(?:br|p|div|li|ul|ol|dl|dt|dd|table|tr|td|th|h[1-6]|hr|blockquote|pre|section)$/i
const ENTITY = /&(?:#(\d{1,7})|#x([\da-f]{1,6})|([a-z]{2,6}));/gi
const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ', ndash: '–', mdash: '—', lsquo: '‘', rsquo: '’', ldquo: '“', rdquo: '”', hellip: '…', bull: '•'
}
/** Control characters, and those that turn the direction of what follows. */
// eslint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g

/**
 * HTML as plain text on one line of at most `max` characters. Tags are taken out and entities decoded twice, since
 * feeds escape HTML in HTML; the result is text, and may hold `<`.
 */
export function plainText (html: string, max: number): string {
  const strip = (text: string) => decodeEntities(text.replace(TAG, (_, name: string) => PARTING.test(name) ? ' ' : ''))
  return cut(fold(strip(strip(html.slice(0, RAW_MAX)))), max)
}

/** A text with the entities of XML and the commonest of HTML decoded once. */
export function decodeEntities (text: string): string {
  return text.replace(ENTITY, (whole: string, decimal?: string, hex?: string, name?: string) => {
    if (name !== undefined) return Object.hasOwn(ENTITIES, name.toLowerCase()) ? ENTITIES[name.toLowerCase()]! : whole
    const code = decimal !== undefined ? Number(decimal) : Number.parseInt(hex!, 16)
    return code <= 0x10ffff ? String.fromCodePoint(code) : ''
  })
}

function fold (text: string): string {
  return text.replace(/\s+/g, ' ').replace(CONTROLS, '').toWellFormed().trim()
}

function cut (text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1).replace(/[\ud800-\udbff]$/, '').trimEnd()}…`
}

/** The plain text of a member; empty when it is no text. */
export function textOf (value: unknown, max: number = TEXT_MAX): string {
  return typeof value === 'string' ? plainText(value, max) : ''
}

/** A vendor's id, given as text or number; null when it is neither, empty or longer than ID_MAX. */
export function idOf (value: unknown): string | null {
  const id = typeof value === 'number' && Number.isFinite(value) ? String(value) : typeof value === 'string' && value.length <= ID_MAX ? fold(value) : ''
  return id === '' ? null : id
}

/** An address of http or https; null of anything else. */
export function urlOf (value: unknown): string | null {
  if (typeof value !== 'string' || value.length > URL_MAX || !/^https?:\/\/[^\s"'<>\\]+$/i.test(value.trim())) return null
  return URL.canParse(value.trim()) ? value.trim() : null
}

/** Names without doubles and empty ones, in their order, at most NAMES_MAX. */
export function namesOf (values: Iterable<unknown>): string[] {
  const names = new Set<string>()
  for (const value of values) {
    const name = textOf(value, NAME_MAX)
    if (name !== '') names.add(name)
    if (names.size === NAMES_MAX) break
  }
  return [...names]
}

/** Words of an incident that the page calls over: when the last one does not say so, one more is added, at `at` (ms) or with the last. */
export function closed (words: readonly Word[], at: number | null): Word[] {
  const sorted = ordered(words)
  const last = sorted.at(-1)
  if (last === undefined || last.status === 'up') return sorted
  return [...sorted, { publishedAt: Math.max(last.publishedAt, at ?? 0), status: 'up', text: '' }]
}

/** Words ascending by time; of those at one instant that which ends the incident is last. */
export function ordered (words: readonly Word[]): Word[] {
  return [...words].sort((a, b) => a.publishedAt - b.publishedAt || Number(a.status === 'up') - Number(b.status === 'up'))
}

/** A reading within its bounds: incidents of one id are one, those without words are none. */
export function layReading (incidents: readonly Incident[], names: string[], updatedAt: number | null): PageReading {
  const byId = new Map<string, Incident>()
  for (const incident of incidents) {
    const same = byId.get(incident.id)
    if (same === undefined) byId.set(incident.id, { ...incident, affected: [...incident.affected], words: [...incident.words] })
    else {
      // One by one: as arguments of one call, of which a page may bring more than a call takes, they would throw.
      for (const name of incident.affected) same.affected.push(name)
      for (const word of incident.words) same.words.push(word)
    }
  }
  const kept = [...byId.values()].filter(({ words }) => words.length > 0)
    .map(incident => ({ ...incident, affected: namesOf(incident.affected), words: bounded(ordered(incident.words)) }))
    .sort((a, b) => b.words.at(-1)!.publishedAt - a.words.at(-1)!.publishedAt || (a.id < b.id ? -1 : 1))
  return { incidents: kept.slice(0, INCIDENTS_MAX), names, updatedAt }
}

/** Without doubles; of too many the first, which is the vendor's admission, and the newest. */
function bounded (words: readonly Word[]): Word[] {
  const single = words.filter((word, i) => i === 0 || word.publishedAt !== words[i - 1]!.publishedAt || word.status !== words[i - 1]!.status || word.text !== words[i - 1]!.text)
  return single.length <= WORDS_MAX ? single : [single[0]!, ...single.slice(1 - WORDS_MAX)]
}

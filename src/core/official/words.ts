// What a reading of a vendor's page adds to what we know of it: which incidents are about a service, and which words are new.
// Not here: how a format is read (one file each), and what the words mean for our outages (standing, acknowledgements).
import { HOUR_MS } from '../time.ts'
import { OFFICIAL_STATUSES, type OfficialStatus } from '../vocabulary.ts'
import { saidAt, type Incident, type PageReading } from './formats.ts'

/** A vendor's incident that was over this long before we saw it first is the page's past, not news, ms. */
const PAST_MS = HOUR_MS
const GONE = 'It is no longer on the page.'
const BACK = 'It is on the page again.'

/** One service as a page names it: by `names`, or, where there are none, by the page as a whole. */
export interface Watched { names: readonly string[], components: readonly { slug: string, name: string }[] }

/** A word that is stored already; instants in ms. */
export interface KnownWord { incident: string, status: OfficialStatus, publishedAt: number, seenAt: number, digest: string }

/** A word to be stored. */
export interface NewWord extends KnownWord { components: string[], title: string, text: string, url: string | null }

/** When and how a page was read: `lastReadAt` is the reading before (null: this is the first), both ms. */
export interface ReadingTime { seenAt: number, lastReadAt: number | null, backdates: boolean }

/**
 * The words that a reading adds to the `known` ones of the same source, each with the time it was said at. A word that was
 * changed is a further one. An incident that the page no longer lists is taken as over when we see that, and one that
 * comes back without a new word as open again; one that was over before we first saw it is left out.
 * @param digestOf a short text for each text, by which a word is known again.
 */
export function newWords (
  { incidents }: Pick<PageReading, 'incidents'>, known: readonly KnownWord[], watched: Watched, time: ReadingTime, digestOf: (text: string) => string
): NewWord[] {
  const { seenAt, lastReadAt, backdates } = time
  const added: NewWord[] = []
  const listed = new Set<string>()
  for (const incident of incidents.filter(incident => concerns(incident, watched.names))) {
    listed.add(incident.id)
    const before = known.filter(word => word.incident === incident.id)
    const last = incident.words.at(-1)!
    const pastAt = lastReadAt === null ? seenAt : lastReadAt - PAST_MS
    if (before.length === 0 && last.status === 'up' && last.publishedAt <= pastAt) continue
    const tell = (status: OfficialStatus, text: string, publishedAt: number, digest: string) => added.push({
      incident: incident.id, status, text, publishedAt, seenAt, digest, components: componentsOf(incident, watched), title: incident.title, url: incident.url
    })
    const fresh = incident.words
      .map(word => ({ ...word, digest: digestOf(JSON.stringify([word.publishedAt, word.status, word.text])) }))
      .filter(({ digest }) => before.every(word => word.digest !== digest))
    for (const { status, text, publishedAt, digest } of fresh) tell(status, text, saidAt(publishedAt, seenAt, lastReadAt, backdates), digest)
    if (fresh.length === 0 && last.status !== 'up' && lastOf(before)!.status === 'up') tell(last.status, BACK, seenAt, digestOf(`back ${seenAt}`))
  }
  for (const incident of new Set(known.map(word => word.incident))) {
    if (listed.has(incident)) continue
    if (lastOf(known.filter(word => word.incident === incident))!.status === 'up') continue
    added.push({ incident, status: 'up', text: GONE, publishedAt: seenAt, seenAt, digest: digestOf(`gone ${seenAt}`), components: [], title: '', url: null })
  }
  return added
}

/** How an incident stands: by the word said last, and of words said at once by the one seen last. */
export function lastOf<Word extends Pick<KnownWord, 'publishedAt' | 'seenAt'>> (words: readonly Word[]): Word | undefined {
  return [...words].sort((a, b) => a.publishedAt - b.publishedAt || a.seenAt - b.seenAt).at(-1)
}

/** The graver of two statuses. */
export function graver (one: OfficialStatus, other: OfficialStatus): OfficialStatus {
  return OFFICIAL_STATUSES[Math.max(OFFICIAL_STATUSES.indexOf(one), OFFICIAL_STATUSES.indexOf(other))]!
}

/**
 * Whether an incident is about what `names` names on its page: one of what it affects is called so; where it does not say
 * what it affects, its title has the name in it. Without names every incident of the page is.
 */
function concerns ({ affected, title }: Incident, names: readonly string[]): boolean {
  if (names.length === 0) return true
  if (affected.length === 0) return names.some(name => mentions(title, name))
  return names.some(name => affected.some(thing => plain(thing) === plain(name)))
}

/** Our components that an incident names, in what it affects or in its title. */
function componentsOf ({ affected, title }: Incident, { components }: Watched): string[] {
  return components
    .filter(({ slug, name }) => affected.some(thing => plain(thing) === plain(name) || plain(thing) === plain(slug)) || mentions(title, name))
    .map(({ slug }) => slug)
}

function mentions (text: string, name: string): boolean {
  return ` ${plain(text)} `.includes(` ${plain(name)} `)
}

/** Words alone, in small letters: how names are compared. */
function plain (text: string): string {
  return text.normalize('NFKC').toLowerCase().replace(/[^\p{L}\p{N}]+/gu, ' ').trim()
}

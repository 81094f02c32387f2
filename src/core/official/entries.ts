// What entries of a feed say together: which of them are one incident, and how bad it is by the words of titles.
// Not here: XML, and which element is what (feed).
import { DAY_MS } from '../time.ts'
import type { OfficialStatus } from '../vocabulary.ts'
import { readEpoch } from './instants.ts'
import { textOf, TITLE_MAX, type Incident, type Word } from './page.ts'

/** One entry of a feed; `firstAt` when it was first published and `at` when it last changed, ms, null where it does not say. */
export interface Entry { id: string, url: string | null, title: string, text: string, firstAt: number | null, at: number | null }

const UP = /\[ ?resolved ?\]|\boperating normally\b|(?<!\b(?:not|partially|partly|be|being|yet) )\b(?:resolved|recovered|restored|mitigated)\b/i
const DEGRADED = /informational|degrad|\b(?:increased|elevated|higher|some)\b.{0,40}\b(?:errors?|failures?)\b|latenc|\bdelay|\bslow|intermittent|performance|impaired/i
const DOWN = /\b(?:disruptions?|disrupted|outages?|unavailable|inaccessible|offline|not (?:available|working|loading)|down)\b/i
const MAINTENANCE = /\b(?:scheduled|planned|emergency|routine) (?:\S{1,30} ){0,3}maintenance\b|^maintenance\b|\bmaintenance (?:window|notice)\b/i
/** How the newest update leads the text of an entry in the feeds of Statuspage: `Nov 3, 10:00 UTC Resolved - …`. */
const LEAD = /^(?:[A-Z][a-z]{2} \d{1,2} ?, \d{1,2}:\d\d [A-Z]{2,5} )?\[?(\w+(?: progress)?)(?:\]| ?[-–—:])/
/** The grade and the mark that AWS puts before what an entry is about. */
const AWS_GRADE = /^(?:service is operating normally|informational message|service (?:degradation|disruption|impact)|performance issues?) ?: ?/i
const RESOLVED_MARK = /\[ ?resolved ?\] ?/i
/** AWS's guids: `https://status.aws.amazon.com/#ec2-ap-northeast-1_1566559115`, what it is about and the second it was said. */
const AWS_GUID = /#([a-z\d][a-z\d-]{0,100})_(\d{9,11})$/i
const AWS_REGION = /-[a-z]{2}(?:-[a-z]+){1,2}-\d$/
/** AWS posts at least daily while it works on something; after a longer silence the next entry is of something else. */
const SILENCE_MS = 3 * DAY_MS

/**
 * How bad an entry is, null when it is about maintenance. By its title, at first what stands before a colon; that it is
 * over also by what leads its text. `down` only where it says so: an entry of a status page without any of our words
 * admits at least something.
 */
export function statusOfEntry (title: string, text: string): OfficialStatus | null {
  const lead = LEAD.exec(text)?.[1]?.toLowerCase()
  if (MAINTENANCE.test(title) || ['scheduled', 'in progress', 'verifying', 'completed'].includes(lead ?? '')) return null
  return UP.test(title) || lead === 'resolved' || lead === 'postmortem' ? 'up' : gradeOf(title)
}

/** How bad it was, whether or not it is over. */
function gradeOf (title: string): OfficialStatus {
  const head = /^[^:]{1,40}:/.exec(title)?.[0] ?? ''
  for (const part of [head, title]) {
    if (DEGRADED.test(part)) return 'degraded'
    if (DOWN.test(part)) return 'down'
  }
  return 'degraded'
}

/**
 * Entries as incidents, in any order: an entry is one, and entries of one id are words of one. AWS gives every word an
 * entry of its own: those about one thing, from the first until it is over, are one incident under the first one's id.
 */
export function incidentsOf (entries: readonly Entry[]): Incident[] {
  const single = entries.filter(({ id }) => !AWS_GUID.test(id)).flatMap(entry => incidentOf(entry) ?? [])
  const threads = new Map<string, Entry[]>()
  for (const entry of entries) {
    const key = AWS_GUID.exec(entry.id)?.[1]?.toLowerCase()
    if (key === undefined) continue
    const thread = threads.get(key)
    if (thread === undefined) threads.set(key, [entry])
    else thread.push(entry)
  }
  return [...single, ...[...threads].flatMap(([key, thread]) => episodesOf(key, thread))]
}

function incidentOf ({ id, url, title, text, firstAt, at }: Entry): Incident | null {
  const status = statusOfEntry(title, text)
  if (status === null || at === null) return null
  const words: Word[] = [{ publishedAt: at, status, text }]
  // What it said at first is no longer there, but that it said something is.
  if (firstAt !== null && firstAt < at) words.unshift({ publishedAt: firstAt, status: gradeOf(title), text: title })
  return { id, title: subjectOf(title) || id, url, affected: [], words }
}

function episodesOf (key: string, thread: readonly Entry[]): Incident[] {
  const said = thread.flatMap(entry => {
    const status = statusOfEntry(entry.title, entry.text)
    const publishedAt = entry.at ?? readEpoch(Number(AWS_GUID.exec(entry.id)![2]) * 1_000)
    return status === null || publishedAt === null ? [] : [{ entry, word: { publishedAt, status, text: entry.text } }]
  }).sort((a, b) => a.word.publishedAt - b.word.publishedAt || (a.entry.id < b.entry.id ? -1 : 1))
  const episodes: Incident[] = []
  for (const { entry, word } of said) {
    const last = episodes.at(-1)?.words.at(-1)
    const title = subjectOf(entry.title) || entry.id
    if (last === undefined || (last.status === 'up' && word.status !== 'up') || word.publishedAt - last.publishedAt > SILENCE_MS) {
      episodes.push({ id: entry.id.slice(entry.id.lastIndexOf('#') + 1), title, url: entry.id.startsWith('http') ? entry.id : entry.url, affected: namedBy(key), words: [word] })
    } else {
      const episode = episodes.at(-1)!
      episode.words.push(word)
      episode.title = title
    }
  }
  return episodes
}

/** What AWS's key names: itself, which is also its feed's name, and the service without the region; nothing when it is several. */
function namedBy (key: string): string[] {
  const service = key.replace(AWS_REGION, '')
  return service === 'multipleservices' ? [] : [...new Set([key, service])]
}

function subjectOf (title: string): string {
  return textOf(title.replace(AWS_GRADE, '').replace(RESOLVED_MARK, ''), TITLE_MAX) || title
}

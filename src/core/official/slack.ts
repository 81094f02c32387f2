import type { OfficialStatus } from '../vocabulary.ts'
import { readInstant } from './instants.ts'
import {
  closed, decode, describe, idOf, layReading, membersOf, namesOf, objectsOf, ordered, PageError, parseJson, requireSome, textOf, TITLE_MAX, urlOf,
  type Incident, type Members, type PageReading, type Word
} from './page.ts'

const EXPECTED = 'Slack\'s current status with "active_incidents"'
const OVER = ['resolved', 'completed', 'cancelled']

/** What Slack says (https://docs.slack.dev/reference/slack-status-api, `/api/v2.0.0/current`). Maintenance is no admission. */
export function readSlack (body: Uint8Array): PageReading {
  const page = membersOf(parseJson(decode(body), EXPECTED))
  const active = page?.['active_incidents']
  // Of version 1 the answer is brief when all is well.
  if (page === null || !(Array.isArray(active) || (active === undefined && page['status'] === 'ok'))) {
    throw new PageError(EXPECTED, page === null ? 'another kind of JSON' : `"active_incidents" as ${describe(active)}`)
  }
  requireSome(active ?? [], entry => idOf(entry['id']) !== null, '"active_incidents" with ids')
  return layReading(objectsOf(active).flatMap(entry => readIncident(entry) ?? []), [], readInstant(page['date_updated']))
}

/** How bad an entry of a type is; null for maintenance. A type we do not know admits at least something. */
export function statusOfEntry (type: unknown): OfficialStatus | null {
  switch (type) {
    case 'maintenance': return null
    case 'outage': return 'down'
    default: return 'degraded'
  }
}

function readIncident (entry: Members): Incident | null {
  const id = idOf(entry['id'])
  const status = statusOfEntry(entry['type'])
  if (id === null || status === null || entry['status'] === 'scheduled') return null
  const title = textOf(entry['title'], TITLE_MAX)
  const words = wordsOf(entry, status)
  if (words.length === 0) return null
  return {
    id,
    title: title || id,
    url: urlOf(entry['url']),
    affected: namesOf(Array.isArray(entry['services']) ? entry['services'] : []),
    words: OVER.includes(entry['status'] as string) ? closed(words, readInstant(entry['date_updated'])) : words
  }
}

/** Its notes, and before them that it is there: notes are rewritten, and the first may be of hours later. */
function wordsOf (entry: Members, status: OfficialStatus): Word[] {
  const createdAt = readInstant(entry['date_created'])
  const notes = ordered(objectsOf(entry['notes']).reverse().flatMap(({ date_created: at, body }): Word[] => {
    const publishedAt = readInstant(at)
    return publishedAt === null ? [] : [{ publishedAt, status, text: textOf(body) }]
  }))
  if (createdAt === null || (notes.length > 0 && notes[0]!.publishedAt <= createdAt)) return notes
  return [{ publishedAt: createdAt, status, text: textOf(entry['title']) }, ...notes]
}

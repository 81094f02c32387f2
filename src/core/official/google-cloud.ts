import type { OfficialStatus } from '../vocabulary.ts'
import { readInstant } from './instants.ts'
import {
  closed, decode, describe, idOf, layReading, namesOf, objectsOf, ordered, PageError, parseJson, requireSome, textOf, TITLE_MAX, urlOf,
  type Incident, type Members, type PageReading, type Word
} from './page.ts'

const EXPECTED = 'a list of Google Cloud incidents'

/** What `incidents.json` of Google Cloud (or of Google Workspace, in the same form) says. It does not list its products. */
export function readGoogleCloud (body: Uint8Array): PageReading {
  const page = parseJson(decode(body), EXPECTED)
  if (!Array.isArray(page)) throw new PageError(EXPECTED, describe(page))
  requireSome(page, incident => 'external_desc' in incident || 'created' in incident, EXPECTED)
  return layReading(objectsOf(page).flatMap(incident => readIncident(incident) ?? []), [], null)
}

/** How bad an update of a status is. A status we do not know, or none, admits at least something. */
export function statusOfUpdate (status: unknown): OfficialStatus {
  switch (status) {
    case 'AVAILABLE': return 'up'
    case 'SERVICE_OUTAGE': return 'down'
    default: return 'degraded'
  }
}

function readIncident (entry: Members): Incident | null {
  const id = idOf(entry['id']) ?? idOf(entry['number'])
  if (id === null) return null
  const words = wordsOf(entry)
  if (words.length === 0) return null
  const endedAt = readInstant(entry['end'])
  const products = objectsOf(entry['affected_products']).map(({ title }) => title)
  return {
    id,
    title: textOf(entry['external_desc'], TITLE_MAX) || id,
    url: addressOf(entry['uri']),
    affected: namesOf(products.length > 0 ? products : [entry['service_name']]),
    words: endedAt === null ? words : closed(words, endedAt)
  }
}

/**
 * Its updates by their own `created`, which no author sets, as `when` may be; the first was said when the incident was
 * `created`, and none before. Without updates there is the most recent one, or nothing but the incident.
 */
function wordsOf (entry: Members): Word[] {
  const createdAt = readInstant(entry['created'])
  const updates = objectsOf(entry['updates'])
  const said = (updates.length > 0 ? updates : objectsOf([entry['most_recent_update']])).reverse().flatMap((update): Word[] => {
    const publishedAt = readInstant(update['created']) ?? readInstant(update['when'])
    if (publishedAt === null) return []
    const status = statusOfUpdate(update['status'] ?? entry['status_impact'])
    return [{ publishedAt: Math.max(publishedAt, createdAt ?? 0), status, text: textOf(update['text']) }]
  })
  const words = ordered(said)
  if (createdAt === null || words[0]?.publishedAt === createdAt) return words
  if (updates.length > 0 && words.length > 0) return [{ ...words[0]!, publishedAt: createdAt }, ...words.slice(1)]
  return [{ publishedAt: createdAt, status: openingOf(entry), text: textOf(entry['external_desc']) }, ...words]
}

/** How bad an incident is whose first update is not there. */
function openingOf ({ status_impact: impact }: Members): OfficialStatus {
  const status = statusOfUpdate(impact)
  return status === 'up' ? 'degraded' : status
}

/** `uri` is relative to the address of the page (`incidents/5fGQ…`). */
function addressOf (uri: unknown): string | null {
  return urlOf(uri) ?? (typeof uri === 'string' && /^\/?[\w-][\w/-]{0,200}$/.test(uri) ? uri : null)
}

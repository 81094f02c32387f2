// A page in the form of Statuspage v2 (https://www.atlassianstatuspage.io/api/v2/): summary.json, incidents.json,
// incidents/unresolved.json, components.json, told apart by their members. Not here: writing that form (http/statuspage).
import type { OfficialStatus } from '../vocabulary.ts'
import { readInstant } from './instants.ts'
import {
  closed, decode, describe, idOf, layReading, membersOf, namesOf, NAME_MAX, objectsOf, ordered, PageError, parseJson, requireSome, textOf, TITLE_MAX, urlOf,
  type Incident, type Members, type PageReading, type Word
} from './page.ts'

const EXPECTED = 'a Statuspage v2 document with "incidents" or "components"'
const OVER = ['resolved', 'postmortem']
/** States of a scheduled maintenance, which some pages list among the incidents. */
const MAINTENANCE = ['scheduled', 'in_progress', 'verifying', 'completed']

/**
 * What a page in the form of Statuspage v2 says. Incidents of impact `none` or `maintenance` and scheduled maintenances
 * are no admission; a component not operational that no open incident names is one, `component/<id>`.
 */
export function readStatuspage (body: Uint8Array): PageReading {
  const page = membersOf(parseJson(decode(body), EXPECTED))
  const incidents = page?.['incidents']
  const listed = page?.['components']
  if (page === null || (incidents === undefined && listed === undefined)) throw new PageError(EXPECTED, page === null ? 'another kind of JSON' : describe(page))
  if (incidents !== undefined && !Array.isArray(incidents)) throw new PageError('"incidents" to be a list', describe(incidents))
  if (listed !== undefined && !Array.isArray(listed)) throw new PageError('"components" to be a list', describe(listed))
  requireSome(incidents ?? [], entry => idOf(entry['id']) !== null, '"incidents" with ids')
  requireSome(listed ?? [], entry => textOf(entry['name'], NAME_MAX) !== '', '"components" with names')
  const about = membersOf(page['page'])
  const updatedAt = readInstant(about?.['updated_at'])
  const components = objectsOf(listed).filter(({ group }) => group !== true)
  const known = new Map(components.flatMap(({ id, name }) => typeof id === 'string' && typeof name === 'string' ? [[id, name] as const] : []))
  const groups = new Set(objectsOf(listed).flatMap(({ group, id }) => group === true && typeof id === 'string' ? [id] : []))

  const told: Incident[] = []
  const named = new Set<unknown>()
  for (const entry of objectsOf(incidents)) {
    const incident = readIncident(entry, known, groups)
    if (incident === null) continue
    told.push(incident)
    if (incident.words.at(-1)!.status !== 'up') for (const name of [...incident.affected, ...codesOf(entry)]) named.add(name)
  }
  const silent = components.filter(({ id, name }) => !named.has(id) && !named.has(textOf(name, NAME_MAX)))
  const troubled = silent.flatMap(component => readComponent(component, updatedAt, urlOf(about?.['url'])) ?? [])
  return layReading([...told, ...troubled], namesOf(components.map(({ name }) => name)), updatedAt)
}

/** How bad an incident of an impact is; null where it is none. An impact we do not know admits at least something. */
export function statusOfImpact (impact: unknown): OfficialStatus | null {
  switch (impact) {
    case 'none': case 'maintenance': return null
    case 'major': case 'critical': return 'down'
    default: return 'degraded'
  }
}

/** How a component stands; null for operational, under maintenance, and what we do not know. */
export function statusOfComponent (status: unknown): OfficialStatus | null {
  switch (status) {
    case 'degraded_performance': return 'degraded'
    case 'partial_outage': case 'major_outage': return 'down'
    default: return null
  }
}

function readIncident (entry: Members, known: ReadonlyMap<string, string>, groups: ReadonlySet<string>): Incident | null {
  const id = idOf(entry['id'])
  const grade = statusOfImpact(entry['impact'])
  if (id === null || grade === null || MAINTENANCE.includes(entry['status'] as string)) return null
  const over = OVER.includes(entry['status'] as string)
  const said = objectsOf(entry['incident_updates']).reverse().flatMap(update => readUpdate(update, grade) ?? [])
  const words = said.length > 0 ? said : begun(entry, grade)
  if (words.length === 0) return null
  return {
    id,
    title: textOf(entry['name'], TITLE_MAX) || id,
    url: urlOf(entry['shortlink']),
    affected: namesOf(affectedOf(entry).filter(({ id }) => !groups.has(id as string)).map(({ id, name }) => known.get(id as string) ?? name)),
    words: over ? closed(words, readInstant(entry['resolved_at']) ?? readInstant(entry['updated_at'])) : ordered(words)
  }
}

function readUpdate (update: Members, grade: OfficialStatus): Word | null {
  const publishedAt = readInstant(update['display_at']) ?? readInstant(update['created_at'])
  if (publishedAt === null) return null
  return { publishedAt, status: OVER.includes(update['status'] as string) ? 'up' : grade, text: textOf(update['body']) }
}

/** The word of an incident without updates: that it is there. `started_at` may lie before anybody said so, `created_at` does not. */
function begun (entry: Members, grade: OfficialStatus): Word[] {
  const createdAt = readInstant(entry['created_at'])
  const startedAt = readInstant(entry['started_at'])
  const publishedAt = createdAt ?? startedAt
  return publishedAt === null ? [] : [{ publishedAt: Math.max(publishedAt, startedAt ?? 0), status: grade, text: textOf(entry['name']) }]
}

/** What an incident names: its own components, and those of its updates. */
function affectedOf (entry: Members): { id: unknown, name: unknown }[] {
  const own = objectsOf(entry['components']).filter(({ group }) => group !== true).map(({ id, name }) => ({ id, name }))
  const updated = objectsOf(entry['incident_updates']).flatMap(update => objectsOf(update['affected_components']).map(({ code, name }) => ({ id: code, name })))
  return [...own, ...updated]
}

function codesOf (entry: Members): unknown[] {
  return affectedOf(entry).map(({ id }) => id)
}

function readComponent (component: Members, pageUpdatedAt: number | null, url: string | null): Incident | null {
  const id = idOf(component['id'])
  const name = textOf(component['name'], NAME_MAX)
  const status = statusOfComponent(component['status'])
  const publishedAt = readInstant(component['updated_at']) ?? pageUpdatedAt
  if (id === null || name === '' || status === null || publishedAt === null) return null
  const text = `${name}: ${String(component['status']).replaceAll('_', ' ')}`
  return { id: `component/${id}`, title: textOf(text, TITLE_MAX), url, affected: [name], words: [{ publishedAt, status, text: textOf(text) }] }
}

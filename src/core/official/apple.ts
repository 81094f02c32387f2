// Apple's system status (system_status_en_US.js, for consumers and for developers), as JSON or wrapped as JSONP.
import type { OfficialStatus } from '../vocabulary.ts'
import { readEpoch, readInstant } from './instants.ts'
import {
  closed, decode, describe, idOf, layReading, membersOf, namesOf, objectsOf, PageError, parseJson, requireSome, textOf, NAME_MAX, TITLE_MAX,
  type Incident, type Members, type PageReading, type Word
} from './page.ts'

const EXPECTED = 'Apple\'s system status with "services"'
/** How the text before and after the JSON of a JSONP call looks. */
const CALL = /^[\w$.]{1,100}\s*\(/
const END = /\)\s*;?$/

/**
 * What Apple says: every event of every service is an incident of its own, `<messageId>/<serviceName>`, as one message may
 * hit services that end at different times. Maintenance and what is still to come are no admission.
 */
export function readApple (body: Uint8Array): PageReading {
  const text = decode(body).trim()
  const call = CALL.exec(text)
  const json = call !== null && END.test(text.slice(-20)) ? text.slice(call[0].length, text.lastIndexOf(')')) : text
  const page = membersOf(parseJson(json, EXPECTED))
  const listed = page?.['services']
  if (!Array.isArray(listed)) throw new PageError(EXPECTED, page === null ? 'another kind of JSON' : `"services" as ${describe(listed)}`)
  requireSome(listed, service => textOf(service['serviceName'], NAME_MAX) !== '', '"services" with names')
  const services = objectsOf(listed)
  const incidents = services.flatMap(service => {
    const name = textOf(service['serviceName'], NAME_MAX)
    return name === '' ? [] : objectsOf(service['events']).flatMap(event => readEvent(event, name) ?? [])
  })
  return layReading(incidents, namesOf(services.map(({ serviceName }) => serviceName)), null)
}

/** How bad an event of a type is; null for maintenance. A type we do not know admits at least something. */
export function statusOfType (statusType: unknown): OfficialStatus | null {
  switch (typeof statusType === 'string' ? statusType.toLowerCase() : statusType) {
    case 'maintenance': return null
    case 'outage': return 'down'
    default: return 'degraded'
  }
}

/** Whether an event is over: as it says, and where it says nothing when it has an end. */
function isOver ({ eventStatus, epochEndDate }: Members): boolean {
  if (typeof eventStatus !== 'string') return readEpoch(epochEndDate) !== null
  return ['resolved', 'completed'].includes(eventStatus.toLowerCase())
}

function readEvent (event: Members, serviceName: string): Incident | null {
  const messageId = idOf(event['messageId'])
  const status = statusOfType(event['statusType'])
  // Apple's own clock says when it posted; when it began stands in only where that cannot be read, and `saidAt` mends it.
  const publishedAt = readInstant(event['datePosted']) ?? readEpoch(event['epochStartDate'])
  if (messageId === null || status === null || publishedAt === null || event['eventStatus'] === 'upcoming') return null
  const text = textOf(event['message'])
  return {
    id: `${messageId}/${serviceName}`,
    title: textOf(`${serviceName}: ${textOf(event['statusType'], TITLE_MAX) || 'Issue'}`, TITLE_MAX),
    url: null,
    affected: [serviceName],
    words: isOver(event) ? over(event, { publishedAt, status, text }) : [{ publishedAt, status, text }]
  }
}

/** An event that is over was last posted about after its end, and says so; or before it, and its end is a word of its own. */
function over ({ epochEndDate }: Members, word: Word): Word[] {
  const endedAt = readEpoch(epochEndDate)
  return endedAt === null || endedAt <= word.publishedAt ? [{ ...word, status: 'up' }] : closed([word], endedAt)
}

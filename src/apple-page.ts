// Apple's system status page as it was on the evening of 18 November 2012, in Apple's own format, shown on this machine
// in place of the real one. Who reports what meanwhile is evening.ts; how the format is read is core/official/apple.ts.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ALSO_FAILING, EVENING, FAILING } from './evening.ts'

/** Where Apple has it on its own host. */
const PATH = '/support/systemstatus/data/system_status_en_US.js'
const SERVICES = ['App Store', 'FaceTime', 'iCloud Mail', 'iMessage']
/** What is said of each that fails. */
const MESSAGES: Readonly<Record<string, string>> = {
  iMessage: 'Users may be unable to send or receive messages.',
  FaceTime: 'Users may be unable to make or receive FaceTime calls.'
}
/** The services that it says something of, as the catalog has them. */
export const ON_PAGE: readonly string[] = [FAILING, ALSO_FAILING]

/** Apple's form in the zone that Apple writes: `11/18/2012, 18:40 PST`, but for the comma. */
const appleForm = new Intl.DateTimeFormat('en-US', {
  timeZone: 'America/Los_Angeles', year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZoneName: 'short'
})

/**
 * What the page shows at a moment (ms): nothing before Apple admits it, then an event of iMessage and one of FaceTime,
 * and in the end that they are over. It back-dates when they began, as real pages do; what counts is when it said so.
 */
export function writePage (now: number): object {
  return {
    drpost: true,
    drMessage: null,
    services: SERVICES.map(serviceName => ({
      serviceName, redirectUrl: null, events: MESSAGES[serviceName] === undefined || now < EVENING.admittedAt ? [] : [writeEvent(MESSAGES[serviceName], now)]
    }))
  }
}

function writeEvent (message: string, now: number): object {
  const over = now >= EVENING.greenAt
  return {
    messageId: '2000000118',
    statusType: 'Outage',
    eventStatus: over ? 'resolved' : 'ongoing',
    usersAffected: over ? 'Some users were affected' : 'Some users are affected',
    message: over ? message.replace('may be', 'may have been') : message,
    datePosted: dateOf(over ? EVENING.greenAt : EVENING.admittedAt),
    startDate: dateOf(EVENING.failsAt),
    epochStartDate: EVENING.failsAt,
    ...(over ? { endDate: dateOf(EVENING.greenAt), epochEndDate: EVENING.greenAt } : {}),
    affectedServices: null
  }
}

function dateOf (at: number): string {
  return appleForm.format(at).replace(',', '')
}

/** Serves the page on 127.0.0.1, on a port that is free, as it is at `now()` (ms); with an ETag, so that asking again gives 304. */
export async function servePage (now: () => number): Promise<{ url: string, close: () => Promise<void> }> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== PATH) return response.writeHead(404).end()
    const at = now()
    const etag = `"${[EVENING.admittedAt, EVENING.greenAt].filter(moment => at >= moment).length}"`
    if (request.headers['if-none-match'] === etag) return response.writeHead(304, { etag }).end()
    response.writeHead(200, { 'content-type': 'application/json', etag }).end(JSON.stringify(writePage(at), null, 2))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${PATH}`,
    async close () {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    }
  }
}

// Outages as Atom feeds (RFC 4287).
import { z } from 'zod'
import { updatedAt } from '../core/telling.ts'
import type { Db } from '../db/client.ts'
import { readEventsOfAll, readOutages, type Outage, type OutageEvent } from '../db/outages.ts'
import type { Catalog, Service } from '../db/services.ts'
import { baseOf } from './links.ts'
import { serviceOf } from './outages.ts'
import { at, BRIEFLY, sendText, ServicePath, type Routes } from './schemas.ts'
import { findService } from './services.ts'
import { escapeXml } from './shapes.ts'

const ENTRIES_MAX = 50
const ATOM = 'application/atom+xml'
const config = { produces: [ATOM] }

/** What an outage is called where only a line is told: whose word it is, and how far it is. */
export const TITLES = {
  suspected: (name: string) => `People begin to report that ${name} fails`,
  confirmed: (name: string) => `People report that ${name} fails`,
  recovering: (name: string) => `Fewer people report that ${name} fails`,
  resolved: (name: string) => `People no longer report that ${name} fails`,
  dismissed: (name: string) => `Dismissed: reports that ${name} fails`
} as const

/** `GET /feeds/outages.atom` and `/feeds/:service.atom`: the newest outages, each entry with its timeline. */
export const feeds: Routes<{ db: Db, catalog: () => Catalog, publicUrl?: string | undefined }> = async (app, { db, catalog, publicUrl }) => {
  const write = async (base: string, service: Service | undefined): Promise<string> => {
    const rows = await readOutages(db, { serviceId: service?.id, live: true }, ENTRIES_MAX)
    const events = await readEventsOfAll(db, rows)
    const path = `/feeds/${service?.slug ?? 'outages'}.atom`
    const entries = rows.map(row => ({ row, events: events.get(row.id)!, name: serviceOf(catalog(), row).name }))
    const updated = Math.max(service?.liveSince?.getTime() ?? 0, ...entries.map(entry => updatedAt(entry.row.detectedAt, entry.events).getTime()))
    return '<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">\n' +
      `<id>${escapeXml(base + path)}</id>\n` +
      `<title>${escapeXml(service === undefined ? 'Outages that people report' : `Outages of ${service.name} that people report`)}</title>\n` +
      '<subtitle>What people say, not what a vendor says.</subtitle>\n' +
      `<updated>${at(new Date(updated))}</updated>\n<author><name>Groundswell</name></author>\n` +
      `<link rel="self" type="${ATOM}" href="${escapeXml(base + path)}"/>\n` +
      entries.map(entry => writeEntry(entry, base)).join('') + '</feed>\n'
  }

  app.get('/outages.atom', { config, schema: { summary: 'The newest outages as an Atom feed', response: { 200: z.string() } } }, async (request, reply) => {
    reply.header('cache-control', BRIEFLY).type(`${ATOM}; charset=utf-8`)
    return sendText(reply, await write(baseOf(request, publicUrl), undefined))
  })

  app.get('/:service.atom', {
    config, schema: { summary: 'The newest outages of one service as an Atom feed', params: ServicePath, response: { 200: z.string() } }
  }, async (request, reply) => {
    const service = findService(catalog(), request.params.service)
    reply.header('cache-control', BRIEFLY).type(`${ATOM}; charset=utf-8`)
    return sendText(reply, await write(baseOf(request, publicUrl), service))
  })
}

interface Entry { row: Outage, events: readonly OutageEvent[], name: string }

function writeEntry (entry: Entry, base: string): string {
  const { row, events, name } = entry
  const url = `${base}/v1/outages/${row.id}`
  // The outage's own id and not its address, which changes with the site's name (RFC 4287, 4.2.6).
  return `<entry>\n<id>urn:uuid:${row.id}</id>\n<title>${escapeXml(TITLES[row.state](name))}</title>\n` +
    `<published>${at(row.detectedAt)}</published>\n<updated>${at(updatedAt(row.detectedAt, events))}</updated>\n` +
    `<link rel="alternate" type="application/json" href="${escapeXml(url)}"/>\n<category term="${row.state}"/>\n` +
    `<content type="text">${escapeXml(events.map(({ at: instant, text }) => `${at(instant)} ${text}`).join('\n'))}</content>\n</entry>\n`
}

// A vendor's server on this machine, which speaks the real formats and says what the test lets it say.
import { createServer, type IncomingMessage } from 'node:http'
import type { Test } from 'tap'
import { listen } from './listen.ts'

/** A vendor under the test's hand. */
export interface Vendor {
  url: string
  /** What it answers with from now on; with an ETag, so that asking again gives 304. */
  say: (body: string | object, status?: number) => void
  /** The requests it had, oldest first. */
  requests: Pick<IncomingMessage, 'url' | 'headers'>[]
}

/** Starts a vendor's server; it ends when `t` does. */
export async function startVendor (t: Pick<Test, 'teardown'>): Promise<Vendor> {
  const requests: Vendor['requests'] = []
  let said = { text: '', status: 404, version: 0 }
  const server = createServer((request, response) => {
    requests.push({ url: request.url, headers: request.headers })
    const etag = `"${said.version}"`
    if (said.status === 200 && request.headers['if-none-match'] === etag) return response.writeHead(304, { etag }).end()
    response.writeHead(said.status, { 'content-type': 'application/json', etag }).end(said.text)
  })
  const port = await listen(t, server)
  return {
    url: `http://127.0.0.1:${port}/api/v2/summary.json`,
    say (body, status = 200) {
      said = { text: typeof body === 'string' ? body : JSON.stringify(body), status, version: said.version + 1 }
    },
    requests
  }
}

/** A component of a Statuspage. */
export interface PageComponent { name: string, status?: string, updated_at?: string }
/** An incident of a Statuspage: its updates, newest first, as real pages list them. */
export interface PageIncident { id: string, name: string, impact?: string, updates: { at: string, status: string, body: string }[], components?: string[] }

/** A Statuspage's summary.json in the form of real ones: components, and incidents that are not resolved. */
export function summaryPage (updatedAt: string, components: PageComponent[], incidents: PageIncident[]): object {
  const page = { id: 'vendor', name: 'Vendor', url: 'https://status.vendor.example', time_zone: 'Etc/UTC', updated_at: updatedAt }
  const written = components.map(({ name, status = 'operational', updated_at: at = updatedAt }, index) => ({
    id: `c${index}`,
    name,
    status,
    created_at: at,
    updated_at: at,
    position: index + 1,
    description: null,
    showcase: true,
    start_date: null,
    group_id: null,
    page_id: 'vendor',
    group: false,
    only_show_if_degraded: false
  }))
  return {
    page,
    components: written,
    incidents: incidents.map(({ id, name, impact = 'major', updates, components = [] }) => ({
      id,
      name,
      status: updates[0]!.status,
      created_at: updates.at(-1)!.at,
      updated_at: updates[0]!.at,
      monitoring_at: null,
      resolved_at: null,
      impact,
      shortlink: `https://stspg.io/${id}`,
      started_at: updates.at(-1)!.at,
      page_id: 'vendor',
      incident_updates: updates.map(({ at, status, body }, index) => ({
        id: `${id}-${index}`,
        status,
        body,
        incident_id: id,
        created_at: at,
        updated_at: at,
        display_at: at,
        affected_components: null,
        deliver_notifications: true,
        custom_tweet: null,
        tweet_id: null
      })),
      components: written.filter(component => components.includes(component.name))
    })),
    scheduled_maintenances: [],
    status: { indicator: incidents.length > 0 ? 'major' : 'none', description: '' }
  }
}

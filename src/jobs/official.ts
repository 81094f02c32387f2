// What the vendors' words mean for our outages: which they admit, and which they dispute. Reading their pages is sources.ts.
import { v7 as uuid7 } from 'uuid'
import { acknowledgedOutages } from '../core/acknowledgements.ts'
import { disputedSince, OFFICIAL_KEPT_MS, officialFreshMs, sourceName, standOfficially } from '../core/official/standing.ts'
import { DAY_MS, type Clock } from '../core/time.ts'
import { insertAcknowledgement, readAdmitted, tieAcknowledgement } from '../db/acknowledgements.ts'
import { transact, type Database, type Db } from '../db/client.ts'
import { readVendorIncidents, readWatchedSources, updateDispute, type VendorIncident } from '../db/official.ts'
import { insertEvent, readOpenOutages, readOutagesWithin, type Outage } from '../db/outages.ts'
import { announce, type Change } from '../db/outbox.ts'

/** Incidents of which something was said this long ago are held against our outages, ms. */
const REACH_MS = 3 * DAY_MS

/** Ties vendors' incidents to our outages and settles what is disputed; again it changes nothing. */
export async function settleOfficial (database: Database, clock: Clock): Promise<void> {
  const now = clock.now()
  const watched = await readWatchedSources(database)
  if (watched.size === 0) return
  await transact(database, async tx => {
    const incidents = await readVendorIncidents(tx, new Date(now.getTime() - OFFICIAL_KEPT_MS))
    const changes = [
      ...await tieIncidents(tx, incidents, new Map([...watched.values()].flat().map(({ id, url }) => [id, url])), now),
      ...await settleDisputes(tx, incidents, watched, officialFreshMs(clock.speed), now)
    ]
    await announce(tx, changes)
  })
}

type Watched = Awaited<ReturnType<typeof readWatchedSources>>

async function tieIncidents (tx: Db, incidents: readonly VendorIncident[], urls: ReadonlyMap<string, string>, now: Date): Promise<Change[]> {
  const since = new Date(now.getTime() - REACH_MS)
  const recent = incidents.filter(({ sourceId, status, publishedAt }) => urls.has(sourceId) && (status !== 'up' || publishedAt >= since.getTime()))
  const admitted = recent.length === 0 ? [] : await readAdmitted(tx, new Date(Math.min(...recent.map(({ saidFirstAt }) => saidFirstAt))))
  const changes: Change[] = []
  for (const incident of recent) {
    const { serviceId, sourceId, saidFirstAt, status, publishedAt } = incident
    const overAt = status === 'up' ? publishedAt : null
    const reach = [new Date(saidFirstAt - REACH_MS), new Date((overAt ?? now.getTime()) + REACH_MS)] as const
    const outages = (await readOutagesWithin(tx, [serviceId], ...reach)).filter(({ state, retrospective }) => state !== 'dismissed' && !retrospective)
    const about = acknowledgedOutages({ publishedAt: saidFirstAt, overAt }, outages.map(row => ({
      id: row.id, onsetAt: row.onsetAt.getTime(), onsetFrom: row.onsetFrom.getTime(), end: row.resolvedAt?.getTime() ?? null
    })))
    const known = admitted.filter(row => row.serviceId === serviceId && row.sourceId === sourceId && row.incident === incident.incident)
    const fresh = outages.filter(({ id }) => about.includes(id) && known.every(({ outageId }) => outageId !== id))
    const untied = known.find(({ outageId }) => outageId === null)
    if (known.length === 0 && fresh.length === 0) await insertAcknowledgement(tx, acknowledgementOf(incident, urls.get(sourceId)!, null, now))
    for (const [index, outage] of fresh.entries()) {
      if (index === 0 && untied !== undefined) await tieAcknowledgement(tx, untied, outage.id)
      else await insertAcknowledgement(tx, acknowledgementOf(incident, urls.get(sourceId)!, outage.id, now))
      await insertEvent(tx, {
        serviceId,
        outageId: outage.id,
        at: new Date(saidFirstAt),
        type: 'acknowledged',
        state: outage.state,
        actor: 'vendor',
        text: `${sourceName(urls.get(sourceId)!)} acknowledged it: ${quote(incident.title, incident.firstText)}.`
      }, now)
      changes.push({ type: 'outage.acknowledged', serviceId, outageId: outage.id, at: now })
    }
  }
  return changes
}

function acknowledgementOf (incident: VendorIncident, url: string, outageId: string | null, now: Date): Parameters<typeof insertAcknowledgement>[1] {
  const { serviceId, sourceId, saidFirstAt, title, firstText } = incident
  return {
    serviceId,
    id: uuid7(),
    outageId,
    source: sourceName(url),
    publishedAt: new Date(saidFirstAt),
    url: incident.url ?? url,
    text: title === '' ? firstText : title,
    createdAt: now,
    sourceId,
    incident: incident.incident
  }
}

async function settleDisputes (tx: Db, incidents: readonly VendorIncident[], watched: Watched, freshForMs: number, now: Date): Promise<Change[]> {
  const changes: Change[] = []
  for (const outage of await readOpenOutages(tx)) {
    const { serviceId, id: outageId, state } = outage
    const standing = standOfficially(watched.get(serviceId) ?? [], incidents.filter(incident => incident.serviceId === serviceId), freshForMs, now)
    const since = disputedSince(standing, outage.detectedAt.getTime())
    // Since when it is disputed was said already; a later reading of the same word does not move it.
    if (since !== null && outage.disputedSince !== null) continue
    if (!await updateDispute(tx, outage, since === null ? null : new Date(since))) continue
    if (since === null) {
      changes.push({ type: 'outage.updated', serviceId, outageId, at: now })
      continue
    }
    await insertEvent(tx, { serviceId, outageId, at: new Date(since), type: 'disputed', state, actor: 'vendor', text: disputeWords(standing.source!, outage, incidents) }, now)
    changes.push({ type: 'outage.disputed', serviceId, outageId, at: now })
  }
  return changes
}

/** What is said when vendor and people disagree: at the beginning, and again when the vendor takes back what it admitted. */
function disputeWords (source: string, { serviceId, detectedAt }: Outage, incidents: readonly VendorIncident[]): string {
  const over = incidents.find(incident => incident.serviceId === serviceId && incident.status === 'up' && incident.publishedAt >= detectedAt.getTime())
  return over === undefined
    ? `${source} says that it works; people report that it does not.`
    : `${source} says that it works again${over.lastText === '' ? '' : `, ${quote('', over.lastText)}`}; people still report that it does not.`
}

function quote (title: string, text: string): string {
  const said = title === '' ? text : title
  return `"${said.length > 160 ? `${said.slice(0, 159)}…` : said}"`
}

// What is told beside outages: the vendor's first word on each, and which others are related to it.
import { and, gte, lte, ne, or } from 'drizzle-orm'
import { relatedOutages, relatedWithin, type Span } from '../core/related.ts'
import type { Beside } from '../core/telling.ts'
import { readFirstAcknowledgements } from './acknowledgements.ts'
import type { Db } from './client.ts'
import { readMerged, type Outage } from './outages.ts'
import type { Catalog } from './services.ts'
import { outages } from './tables.ts'

/** What others than the detector say of some outages, by outage; one query after another, since `db` may be a transaction. */
export async function readBeside (db: Db, rows: readonly Outage[], { services }: Catalog): Promise<Map<string, Beside>> {
  const acknowledgements = await readFirstAcknowledgements(db, rows)
  const merged = await readMerged(db, rows)
  const others = (await readAround(db, rows)).map(spanOf)
  const dependencies = new Map([...services.values()].map(({ id, dependsOn }) => [id, new Set(dependsOn)]))
  return new Map(rows.map(row => {
    const related = row.state === 'dismissed' ? [] : relatedOutages(spanOf(row), others, dependencies)
    return [row.id, { acknowledgement: acknowledgements.get(row.id), related: [...new Set([...merged.get(row.id) ?? [], ...related])] }]
  }))
}

/** Outages that began around the onsets of some; none that was dismissed. */
async function readAround ({ orm }: Db, rows: readonly Outage[]): Promise<Outage[]> {
  if (rows.length === 0) return []
  const around = rows.map(row => {
    const [from, to] = relatedWithin(spanOf(row))
    return and(gte(outages.onsetAt, new Date(from)), lte(outages.onsetAt, new Date(to)))
  })
  return orm.select().from(outages).where(and(ne(outages.state, 'dismissed'), or(...around)))
}

function spanOf ({ id, serviceId, onsetAt, resolvedAt, dismissedAt }: Outage): Span {
  return { id, serviceId, onsetAt: onsetAt.getTime(), end: (resolvedAt ?? dismissedAt)?.getTime() ?? null }
}

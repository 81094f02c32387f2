// What vendors said, each with its source and time.
import { and, desc, eq, inArray } from 'drizzle-orm'
import type { Db } from './client.ts'
import { isAfter, type Place } from './pages.ts'
import { acknowledgements } from './tables.ts'

export type Acknowledgement = typeof acknowledgements.$inferSelect

export async function insertAcknowledgement ({ orm }: Db, row: Acknowledgement): Promise<void> {
  await orm.insert(acknowledgements).values(row)
}

/** The first word of the vendor on each of some outages, by outage. */
export async function readFirstAcknowledgements (
  { orm }: Db, outages: readonly { serviceId: number, id: string }[]
): Promise<Map<string, Acknowledgement>> {
  if (outages.length === 0) return new Map()
  const rows = await orm.select().from(acknowledgements).where(and(
    inArray(acknowledgements.serviceId, outages.map(({ serviceId }) => serviceId)),
    inArray(acknowledgements.outageId, outages.map(({ id }) => id))
  )).orderBy(desc(acknowledgements.publishedAt), desc(acknowledgements.createdAt))
  return new Map(rows.map(row => [row.outageId!, row]))
}

/** Acknowledgements, newest first by publication and id, of one service or of all; `before` is the last of the page before. */
export async function readAcknowledgements (
  { orm }: Db, serviceId: number | undefined, limit: number, before?: Place
): Promise<Acknowledgement[]> {
  const { publishedAt, id } = acknowledgements
  return orm.select().from(acknowledgements).where(and(
    serviceId === undefined ? undefined : eq(acknowledgements.serviceId, serviceId),
    isAfter(publishedAt, id, before)
  )).orderBy(desc(publishedAt), desc(id)).limit(limit)
}

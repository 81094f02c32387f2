// What vendors said, each with its source and time.
import { and, desc, eq, gte, inArray, isNotNull, lt } from 'drizzle-orm'
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

/** What the vendor of one service said in `[from, to)`, ascending; what one incident says of several outages stands once. */
export async function readAcknowledgementsWithin ({ orm }: Db, serviceId: number, from: Date, to: Date): Promise<Acknowledgement[]> {
  const rows = await orm.select().from(acknowledgements).where(and(
    eq(acknowledgements.serviceId, serviceId), gte(acknowledgements.publishedAt, from), lt(acknowledgements.publishedAt, to)
  )).orderBy(acknowledgements.publishedAt, acknowledgements.id)
  return rows.filter(({ incident, sourceId }, index) =>
    incident === null || rows.findIndex(row => row.incident === incident && row.sourceId === sourceId) === index)
}

/** Which outages each incident of a source is known to be about, of acknowledgements published since `since`. */
export async function readAdmitted ({ orm }: Db, since: Date): Promise<Acknowledgement[]> {
  return orm.select().from(acknowledgements).where(and(isNotNull(acknowledgements.incident), gte(acknowledgements.publishedAt, since)))
}

/** Says of an acknowledgement that went with no outage which one it is about after all. */
export async function tieAcknowledgement ({ orm }: Db, { serviceId, id }: Acknowledgement, outageId: string): Promise<void> {
  await orm.update(acknowledgements).set({ outageId }).where(and(eq(acknowledgements.serviceId, serviceId), eq(acknowledgements.id, id)))
}

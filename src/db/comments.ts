// What people wrote beside a report: a queue for moderators, tied to the report for as short a time as may be.
import { and, desc, eq } from 'drizzle-orm'
import type { CommentState } from '../core/vocabulary.ts'
import type { Db } from './client.ts'
import { isAfter, type Place } from './pages.ts'
import { comments } from './tables.ts'

export type Comment = typeof comments.$inferSelect

/** What goes with the tie: which report it was, and when to the minute. */
const UNTIED = "interval_at = null, report_id = null, created_at = date_bin('1 day', created_at, '1970-01-01T00:00:00Z')"

/** Comments, newest first by time and id; `before` is the last of the page before. */
export async function readComments (
  { orm }: Db, { serviceId, state }: { serviceId?: number | undefined, state: CommentState }, limit: number, before?: Place
): Promise<Comment[]> {
  const { createdAt, id } = comments
  return orm.select().from(comments).where(and(
    eq(comments.state, state),
    serviceId === undefined ? undefined : eq(comments.serviceId, serviceId),
    isAfter(createdAt, id, before)
  )).orderBy(desc(createdAt), desc(id)).limit(limit)
}

/** One comment by its id alone, held until the transaction ends. */
export async function holdComment ({ orm }: Db, id: string): Promise<Comment | undefined> {
  // Whose it is first: a row is held where its service lies.
  const [found] = await orm.select({ serviceId: comments.serviceId }).from(comments).where(eq(comments.id, id))
  if (found === undefined) return undefined
  const [comment] = await orm.select().from(comments).where(and(eq(comments.serviceId, found.serviceId), eq(comments.id, id))).for('update')
  return comment
}

/** Decides on a comment; its report is not needed any more. */
export async function decideComment (tx: Db, { serviceId, id }: Comment, state: CommentState): Promise<Comment> {
  await tx.query(`update comments set state = $3, ${UNTIED} where service_id = $1 and id = $2`, [serviceId, id, state])
  return (await holdComment(tx, id))!
}

/** Takes the tie from all comments whose report was observed before `before`. */
export async function untieComments (db: Db, before: Date): Promise<void> {
  await db.query(`update comments set ${UNTIED} where interval_at < $1`, [before.toISOString()])
}

// The comment queue.
import { z } from 'zod'
import { Fault } from '../core/faults.ts'
import type { Clock } from '../core/time.ts'
import { COMMENT_STATES } from '../core/vocabulary.ts'
import { recordAudit } from '../db/audit.ts'
import { transact, type Database } from '../db/client.ts'
import { decideComment, holdComment, readComments, type Comment as CommentRow } from '../db/comments.ts'
import type { Catalog } from '../db/services.ts'
import { findNamed, namesOf, Reason } from './admin.ts'
import { at, At, pageOf, PageQuery, pageRows, readPlace, Slug, type Routes } from './schemas.ts'

export const Comment = z.object({
  id: z.uuid(), service: Slug, text: z.string(), state: z.enum(COMMENT_STATES), created_at: At.describe('To the minute; to the day once it is decided, or two days old')
}).meta({ id: 'Comment' })
const CommentPath = z.strictObject({ id: z.uuid() })

/** `/v1/admin/comments`: nothing that people wrote is public before a moderator approves it. */
export const comments: Routes<{ db: Database, catalog: () => Catalog, clock: Clock }> = async (app, { db, catalog, clock }) => {
  const config = { scope: 'moderate' } as const
  const describer = () => {
    const slugs = namesOf(catalog())
    return ({ id, serviceId, text, state, createdAt }: CommentRow): z.infer<typeof Comment> =>
      ({ id, service: slugs.get(serviceId)!, text, state, created_at: at(createdAt) })
  }

  app.get('/comments', {
    config,
    schema: {
      summary: 'Comments, newest first: those that wait, unless another state is asked for',
      querystring: z.strictObject({ ...PageQuery, service: Slug.optional(), state: z.enum(COMMENT_STATES).default('pending') }),
      response: { 200: pageOf(Comment) }
    }
  }, async ({ query: { limit, cursor, service, state } }) => {
    const before = readPlace(cursor)
    const asked = findNamed(catalog().services, service, 'service', { pointer: '', in: 'query' })
    const rows = await readComments(db, { serviceId: asked?.id, state }, limit + 1, before)
    return pageRows(rows, limit, row => [row.createdAt.toISOString(), row.id], describer())
  })

  for (const [word, state] of [['approve', 'approved'], ['reject', 'rejected']] as const) {
    app.post(`/comments/:id/${word}`, {
      config,
      schema: { summary: `Say that a comment is ${state}`, params: CommentPath, body: z.strictObject({ reason: Reason.optional() }).nullish(), response: { 200: Comment } }
    }, async ({ params: { id }, body, actor }) => transact(db, async tx => {
      const describe = describer()
      const before = await holdComment(tx, id)
      if (before === undefined) throw new Fault('not-found', 'No comment has this id; GET /v1/admin/comments lists them.')
      if (before.state !== 'pending') throw new Fault('conflict', `It is ${before.state} already.`)
      const after = describe(await decideComment(tx, before, state))
      await recordAudit(tx, { actor, action: `comment.${word}`, target: `comment/${id}`, before: describe(before), after, reason: body?.reason ?? null }, clock.now())
      return after
    }))
  }
}

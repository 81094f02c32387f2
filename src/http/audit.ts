// The audit log, to read.
import { z } from 'zod'
import { readAudit, type AuditRow } from '../db/audit.ts'
import type { Db } from '../db/client.ts'
import { at, At, pageOf, PageQuery, pageRows, readCursor, type Routes } from './schemas.ts'

export const AuditEntry = z.object({
  id: z.uuid(),
  at: At,
  actor: z.string().describe('The id of a token; "command" for the command line'),
  action: z.string(),
  target: z.string(),
  before: z.unknown(),
  after: z.unknown(),
  reason: z.string().nullable(),
  hash: z.string().describe('SHA-256, hex, over the hash of the row before and all that this one says'),
  previous: z.string()
}).meta({ id: 'AuditEntry' })

/** `GET /v1/admin/audit`: who changed what, newest first. */
export const audit: Routes<{ db: Db }> = async (app, { db }) => {
  app.get('/audit', {
    config: { scope: 'admin' },
    schema: { summary: 'The audit log', querystring: z.strictObject(PageQuery), response: { 200: pageOf(AuditEntry) } }
  }, async ({ query: { limit, cursor } }) => {
    const before = readCursor(cursor, z.tuple([z.int()]))?.[0]
    const rows = await readAudit(db, limit + 1, before)
    return pageRows(rows, limit, ({ number }) => [number], describeEntry)
  })
}

function describeEntry ({ id, at: instant, actor, action, target, before, after, reason, hash, previous }: AuditRow): z.infer<typeof AuditEntry> {
  return {
    id,
    at: at(instant),
    actor,
    action,
    target,
    before: before === null ? null : JSON.parse(before) as unknown,
    after: after === null ? null : JSON.parse(after) as unknown,
    reason,
    hash: hash.toString('hex'),
    previous: previous.toString('hex')
  }
}

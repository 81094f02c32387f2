// Bearer tokens: made, read, changed and revoked. A secret is told once and stored as its hash.
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { Fault } from '../core/faults.ts'
import { TOKEN_SCOPES, type TokenScope } from '../core/vocabulary.ts'
import { recordAudit } from '../db/audit.ts'
import { transact, type Database } from '../db/client.ts'
import { findToken, insertToken, readTokens, updateToken, type PlainToken } from '../db/tokens.ts'
import { checkMatch, oneLine } from './admin.ts'
import { hashSecret } from './guards.ts'
import { at, At, atOrNull, Instant, pageOf, PageQuery, pageRows, readPlace, type Routes } from './schemas.ts'

const ID_BYTES = 6
const SECRET_BYTES = 32

const TokenBody = z.strictObject({
  name: oneLine(100),
  scopes: z.array(z.enum(TOKEN_SCOPES)).min(1).max(TOKEN_SCOPES.length).transform(scopes => [...new Set(scopes)]),
  expires_at: Instant.nullable().default(null).describe('Null: never')
}).meta({ id: 'TokenBody' })
// No default: a member that is not there changes nothing.
const TokenPatch = TokenBody.extend({ expires_at: Instant.nullable() }).partial().meta({ id: 'TokenPatch' })
const TokenPath = z.strictObject({ id: z.string().regex(/^[a-z0-9]{1,32}$/, 'Expected the id of a token') })

export const Token = z.object({
  id: z.string(),
  name: z.string(),
  scopes: z.array(z.enum(TOKEN_SCOPES)),
  created_at: At,
  expires_at: At.nullable(),
  last_used_at: At.nullable().describe('To the day'),
  revoked_at: At.nullable()
}).meta({ id: 'Token' })
export const NewToken = Token.extend({ token: z.string().describe('The only time that it is told') }).meta({ id: 'NewToken' })

/** Makes a token, `gsw_<id>_<secret>`, and writes down who did. @param expiresAt null: never. */
export async function createToken (
  database: Database, { name, scopes, expiresAt }: { name: string, scopes: readonly TokenScope[], expiresAt: Date | null }, actor: string, now: Date
): Promise<{ token: string, described: z.infer<typeof Token> }> {
  const id = randomBytes(ID_BYTES).toString('hex')
  const secret = randomBytes(SECRET_BYTES).toString('base64url')
  const row = { id, name, scopes: [...scopes], createdAt: now, expiresAt, lastUsedAt: null, revokedAt: null }
  const described = describeToken(row)
  await transact(database, async tx => {
    await insertToken(tx, { ...row, secretHash: hashSecret(secret) })
    await recordAudit(tx, { actor, action: 'token.create', target: `token/${id}`, after: described }, now)
  })
  return { token: `gsw_${id}_${secret}`, described }
}

/** Revokes a token, at once; false when none of this id was still good. */
export async function revokeToken (database: Database, id: string, actor: string, now: Date): Promise<boolean> {
  return transact(database, async tx => {
    const before = await findToken(tx, id, 'for update')
    if (before === undefined || before.revokedAt !== null) return false
    const after = await updateToken(tx, id, { revokedAt: now })
    await recordAudit(tx, { actor, action: 'token.revoke', target: `token/${id}`, before: describeToken(before), after: describeToken(after) }, now)
    return true
  })
}

/** `/v1/admin/tokens`. */
export const tokens: Routes<{ db: Database, now: () => Date }> = async (app, { db, now }) => {
  const config = { scope: 'admin' } as const
  const existing = <Found>(token: Found | undefined): Found => {
    if (token === undefined) throw new Fault('not-found', 'No token has this id; GET /v1/admin/tokens lists them.')
    return token
  }

  app.get('/tokens', {
    config, schema: { summary: 'All tokens, without their secrets', querystring: z.strictObject(PageQuery), response: { 200: pageOf(Token) } }
  }, async ({ query: { limit, cursor } }) => {
    const rows = await readTokens(db, limit + 1, readPlace(cursor, z.string()))
    return pageRows(rows, limit, row => [row.createdAt.toISOString(), row.id], describeToken)
  })

  app.get('/tokens/:id', { config, schema: { summary: 'One token', params: TokenPath, response: { 200: Token } } },
    async ({ params }) => describeToken(existing(await findToken(db, params.id))))

  app.post('/tokens', { config, schema: { summary: 'Make a token', body: TokenBody, response: { 201: NewToken } } }, async ({ body, actor }, reply) => {
    const { token, described } = await createToken(db, { name: body.name, scopes: body.scopes, expiresAt: body.expires_at }, actor, now())
    return reply.code(201).send({ ...described, token })
  })

  app.patch('/tokens/:id', {
    config, schema: { summary: 'Change a token', params: TokenPath, body: TokenPatch, response: { 200: Token } }
  }, async (request) => {
    const { params: { id }, body: { name, scopes, expires_at: expiresAt }, actor } = request
    return transact(db, async tx => {
      const before = existing(await findToken(tx, id, 'for update'))
      checkMatch(request, describeToken(before))
      const after = describeToken(await updateToken(tx, id, {
        ...(name === undefined ? {} : { name }), ...(scopes === undefined ? {} : { scopes }), ...(expiresAt === undefined ? {} : { expiresAt })
      }))
      await recordAudit(tx, { actor, action: 'token.update', target: `token/${id}`, before: describeToken(before), after }, now())
      return after
    })
  })

  app.delete('/tokens/:id', { config, schema: { summary: 'Revoke a token, at once', params: TokenPath } }, async ({ params, actor }, reply) => {
    existing(await findToken(db, params.id))
    await revokeToken(db, params.id, actor, now())
    return reply.code(204).send()
  })
}

function describeToken ({ id, name, scopes, createdAt, expiresAt, lastUsedAt, revokedAt }: PlainToken): z.infer<typeof Token> {
  return {
    id, name, scopes, created_at: at(createdAt), expires_at: atOrNull(expiresAt), last_used_at: atOrNull(lastUsedAt), revoked_at: atOrNull(revokedAt)
  }
}

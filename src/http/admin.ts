// What all calls under /v1/admin share: nobody comes in without a token and a scope, and no change without its version.
// What a call does stands in the file of its noun.
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Fault } from '../core/faults.ts'
import type { TokenScope } from '../core/vocabulary.ts'
import type { Db } from '../db/client.ts'
import { checkToken, hasTag, tagOf } from './guards.ts'
import { answerUnknown, type MethodsOf } from './problems.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What of a token opens an admin call. */
    scope?: TokenScope
  }
  interface FastifyRequest {
    /** The id of the token that asks; of admin calls only. */
    actor: string
  }
}

/**
 * Closes everything below the prefix, known or not: a valid token comes first (401), before the body is read; then the
 * call's scope (403). A call that names no scope cannot be added. What does not exist is told to token holders only.
 * @param now real time: a token expires whatever the domain's clock says.
 */
export function guardAdmin (app: FastifyInstance, { db, now, methodsOf }: { db: Db, now: () => Date, methodsOf: MethodsOf }): void {
  app.decorateRequest('actor', '')
  app.addHook('onRoute', route => {
    const { url, method, config } = route
    if (url.endsWith('/*')) return
    if (config?.scope === undefined) throw new Error(`${String(method)} ${url} names no scope that opens it`)
    route.schema = { ...route.schema, security: [{ token: [] }] }
  })
  app.addHook('preParsing', async request => {
    const { scope } = request.routeOptions.config
    request.actor = await checkToken(db, request, scope, now())
  })
  app.addHook('onSend', (_request, reply, _payload, done) => {
    reply.header('cache-control', 'no-store')
    done()
  })
  app.all('/*', { schema: { hide: true } }, (request, reply) => answerUnknown(methodsOf(request.url), reply))
}

/**
 * Refuses a change of something that is no longer as its reader saw it. `current` is what GET would answer.
 * @throws Fault `precondition-required`, `precondition-failed`
 */
export function checkMatch (request: FastifyRequest, current: object): void {
  const given = request.headers['if-match']
  if (given === undefined) throw new Fault('precondition-required', 'Send If-Match with the ETag that reading it gave.')
  if (!hasTag(given, tagOf(JSON.stringify(current)))) throw new Fault('precondition-failed', 'It was changed since you read it; read it again, then send your change with the new ETag.')
}

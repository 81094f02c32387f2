// What all calls under /v1/admin share: nobody comes in without a token and a scope, and no change without its version.
// What a call does stands in the file of its noun.
import { isIP } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { isPublicAddress } from '../core/addresses.ts'
import { Fault } from '../core/faults.ts'
import type { TokenScope } from '../core/vocabulary.ts'
import type { Db } from '../db/client.ts'
import type { Catalog } from '../db/services.ts'
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
  app.removeContentTypeParser('text/plain')
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

/** A line of text that a person wrote, of at most so many characters. */
export const oneLine = (max: number) => z.string().trim().min(1).max(max)
  // eslint-disable-next-line no-control-regex
  .refine(text => !/[\u0000-\u001f\u007f]/.test(text) && text.isWellFormed(), 'Expected one line of text without control characters')

/** Why a moderator does something: told where it is told, and kept in the audit log. */
export const Reason = oneLine(500)

/** A link that a browser may follow: nothing but http and https, and no password in it. */
export const WebAddress = z.string().max(2_000).transform((text, context) => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return url.href
  context.addIssue({ code: 'custom', message: 'Expected a link that begins with https:// or http://, without a password' })
  return z.NEVER
})

/** The same, of a server that we call: one named by a private address is refused at once, unless they are allowed. */
export const PublicAddress = (allowPrivate: boolean) => WebAddress.refine(
  address => allowPrivate || !isIP(hostOf(address)) || isPublicAddress(hostOf(address)), 'Expected a public address; ALLOW_PRIVATE_TARGETS=1 lets others be called')

function hostOf (address: string): string {
  return new URL(address).hostname.replace(/^\[|\]$/g, '')
}

/** A thing of the catalog by its slug, if one is asked for. @throws Fault `invalid`, naming the member */
export function findNamed<Thing> (
  things: ReadonlyMap<string, Thing>, slug: string | undefined, what: 'service' | 'device class', where: { pointer: string, in?: 'query' }
): Thing | undefined {
  if (slug === undefined) return undefined
  const thing = things.get(slug)
  if (thing !== undefined) return thing
  const detail = `No ${what} is called "${slug}".`
  throw new Fault('invalid', detail, { errors: [{ pointer: `${where.pointer}/${what.replace(' ', '_')}`, detail, ...(where.in === undefined ? {} : { in: where.in }) }] })
}

/** The slugs of services by their ids. */
export function namesOf ({ services }: Catalog): Map<number, string> {
  return new Map([...services.values()].map(({ id, slug }) => [id, slug]))
}

// Every refusal leaves through here, as RFC 9457 problem details; so do the pages that explain them.
import { randomUUID } from 'node:crypto'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Duplex } from 'node:stream'
import { z } from 'zod'
import { Fault, FAULT_CODES, type FaultCode, type FieldError } from '../core/faults.ts'
import { isCollision, isUnavailable } from '../db/client.ts'

/** What a fault is over HTTP: a code without a row does not compile. `help` is the page's advice. */
export const PROBLEMS: Record<FaultCode, { status: number, title: string, help: string }> = {
  malformed: { status: 400, title: 'The request is malformed', help: 'The body is not JSON, or a member or parameter is one that this call does not know, or stands twice. `errors` names each. Compare it with the schema in /openapi.json.' },
  unauthorized: { status: 401, title: 'A valid token is needed', help: 'Send "Authorization: Bearer gsw_…". Tokens are made by "groundswell token create"; they expire and can be revoked.' },
  forbidden: { status: 403, title: 'The token does not open this', help: 'The token is valid and lacks the scope that this call needs. Ask for a token with that scope.' },
  'not-found': { status: 404, title: 'There is nothing here', help: 'The path, or the slug or id in it, is not known. GET /v1/services lists the services, /docs the calls.' },
  'method-not-allowed': { status: 405, title: 'This path has no such method', help: 'The Allow header lists the methods that this path has.' },
  'not-acceptable': { status: 406, title: 'None of the accepted types can be sent', help: 'The Accept header names none of the types that this call can answer with; `detail` lists them.' },
  timeout: { status: 408, title: 'The request took too long to arrive', help: 'The connection was open too long before the whole request was there. Send it again.' },
  conflict: { status: 409, title: 'The state has changed', help: 'What the call would change is no longer as it was. Read it again, then decide.' },
  'precondition-failed': { status: 412, title: 'It was changed since you read it', help: 'If-Match does not name the current version. Read it again, then send your change with the new ETag.' },
  'too-large': { status: 413, title: 'The body is too large', help: 'Split it into several requests; `detail` says the limit.' },
  'unsupported-media-type': { status: 415, title: 'The body has a type that this call does not read', help: 'Send application/json, or application/x-ndjson to the batch call, without a content encoding.' },
  invalid: { status: 422, title: 'Something in the request is not valid', help: '`errors` names each field that is wrong, by JSON pointer, and says what was expected.' },
  'precondition-required': { status: 428, title: 'Say which version you change', help: 'Send If-Match with the ETag that reading it gave.' },
  'proof-required': { status: 428, title: 'A proof of work is needed', help: 'Solve `challenge` and send the report again with `proof`.' },
  'rate-limited': { status: 429, title: 'Too many requests', help: 'Wait for as many seconds as Retry-After says. The RateLimit headers tell how much is left.' },
  'headers-too-large': { status: 431, title: 'The headers are too large', help: 'Send fewer or smaller headers: 16 KiB in all are read.' },
  internal: { status: 500, title: 'Something went wrong here', help: 'This is a defect of the service, not of the request. Quote request_id when you report it.' },
  overloaded: { status: 503, title: 'Too much arrives at once', help: 'Nothing was stored. Send the same again after as many seconds as Retry-After says; what was stored all the same is found again, never counted twice.' },
  unavailable: { status: 503, title: 'The database cannot be reached', help: 'Nothing was acknowledged. Send the same again after as many seconds as Retry-After says; what was stored all the same is found again, never counted twice.' }
}

export const PROBLEM_TYPE = 'application/problem+json'
/** Fields named in one problem at most. */
const ERRORS_MAX = 100
const RETRY_AFTER_S = 2

/** A problem document; a fault may add members of its own. */
export interface Problem { type: string, title: string, status: number, detail: string, [member: string]: unknown }

/** The document that a fault is told as. */
export function problemOf (fault: Fault, requestId?: string): Problem {
  const { status, title } = PROBLEMS[fault.code]
  return {
    type: `/problems/${fault.code}`,
    title,
    status,
    detail: fault.message,
    ...(fault.errors.length > 0 ? { errors: fault.errors } : {}),
    ...(requestId === undefined ? {} : { request_id: requestId }),
    ...fault.extra
  }
}

/** Sends a fault as the problem it is. */
export function sendFault (reply: FastifyReply, fault: Fault): FastifyReply {
  const problem = problemOf(fault, reply.request.id)
  const retryAfterS = fault.retryAfterS ?? (problem.status === 503 ? RETRY_AFTER_S : undefined)
  if (retryAfterS !== undefined && !reply.hasHeader('retry-after')) reply.header('retry-after', retryAfterS)
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer realm="groundswell"')
  return reply.code(problem.status).header('cache-control', 'no-store').type(PROBLEM_TYPE).send(JSON.stringify(problem))
}

/** Makes every error of an app a problem, and tells `onFault` of it; what nobody expected is logged and told as `internal`. */
export function answerProblems (app: FastifyInstance, onFault: (code: FaultCode, request: FastifyRequest) => void): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const fault = listAll(faultOf(error), error, request)
    onFault(fault.code, request)
    if (fault.code === 'internal' || fault.code === 'unavailable') request.log.error({ err: error, request_id: request.id }, fault.message)
    return sendFault(reply, fault)
  })
}

const FRAMEWORK_FAULTS: Record<string, [FaultCode, string]> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['unsupported-media-type', 'This call does not read a body of this type; /docs says which it reads.'],
  FST_ERR_CTP_BODY_TOO_LARGE: ['too-large', 'The body is larger than this call reads.'],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['malformed', 'The body is empty; a JSON object was expected.'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['malformed', 'The body is not JSON.'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['malformed', 'The body is not as long as Content-Length says.'],
  FST_ERR_BAD_URL: ['malformed', 'The path is not validly percent-encoded.'],
  FST_ERR_MAX_PARAM_LENGTH: ['not-found', 'Nothing has so long a name or id.']
}

/** The fault that an error of the framework's, the database's or our own amounts to. */
export function faultOf (error: unknown): Fault {
  if (error instanceof Fault) return error
  if (isHungUp(error)) return new Fault('malformed', 'The connection ended before the body was whole.')
  if (isCollision(error)) return new Fault('conflict', 'Somebody else changed the same at the same moment; nothing was done. Try again.')
  if (isUnavailable(error)) return silentDatabase()
  const { code, statusCode, message } = error as Partial<FastifyError>
  const told = code === undefined ? undefined : FRAMEWORK_FAULTS[code]
  if (told !== undefined) return new Fault(...told)
  if (error instanceof SyntaxError) return new Fault('malformed', 'The body is not JSON.')
  const known = FAULT_CODES.find(name => PROBLEMS[name].status === statusCode && statusCode < 500)
  return known === undefined ? new Fault('internal', 'An unexpected error happened; it is in the log under request_id.') : new Fault(known, message ?? '')
}

/** The fault of whoever has no answer from the database. */
export function silentDatabase (): Fault {
  return new Fault('unavailable', 'The database does not answer; try again in a few seconds.')
}

/** Node's word for a client that leaves in the midst of its body; by its code it could be the database's connection. */
function isHungUp (error: unknown): boolean {
  return error instanceof Error && error.message === 'aborted' && 'code' in error && error.code === 'ECONNRESET'
}

/**
 * What zod found wrong, as one fault: `malformed` when a member is unknown or stands twice, which then lists all;
 * else `invalid`. In a path whatever does not fit is simply not there.
 */
export function faultOfZod (error: z.ZodError, part: 'body' | 'query' | 'path', sent: unknown): Fault {
  if (part === 'path') return new Fault('not-found', 'Nothing has this name or id.')
  const where = part === 'query' ? { in: 'query' as const } : {}
  let malformed = false
  const errors = eachOnce(error.issues.flatMap((issue): FieldError[] => {
    const path = issue.path.map(String)
    if (issue.code === 'unrecognized_keys') {
      malformed = true
      return issue.keys.map(key => ({ pointer: pointerOf([...path, key]), detail: `"${key.slice(0, 64)}" is not known here.`, ...where }))
    }
    if (part === 'query' && Array.isArray((sent as Record<string, unknown>)[path[0]!])) {
      malformed = true
      return [{ pointer: pointerOf(path.slice(0, 1)), detail: `"${path[0]}" stands more than once.`, ...where }]
    }
    const missing = issue.code === 'invalid_type' && !present(sent, issue.path)
    const detail = missing ? `This is required: expected ${issue.expected}.` : `${issue.message}.`
    return [{ pointer: pointerOf(path), detail, ...where }]
  }))
  return malformed
    ? new Fault('malformed', `The ${part} has ${part === 'query' ? 'parameters that are not known here, or stand twice' : 'members that are not known here'}; \`errors\` names them.`, { errors })
    : new Fault('invalid', `The ${part} is not valid; \`errors\` says where and what was expected.`, { errors })
}

/** The first error of each field, and no more than ERRORS_MAX. */
function eachOnce (errors: readonly FieldError[]): FieldError[] {
  const first = new Map<string, FieldError>()
  for (const error of errors) {
    const key = `${error.in ?? 'body'} ${error.pointer}`
    if (!first.has(key)) first.set(key, error)
  }
  return [...first.values()].slice(0, ERRORS_MAX)
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a route's schema cannot check of its body or query: a throw of Fault `invalid` names the fields. */
    check?: (part: never) => void
  }
}

/**
 * A refused body or query with whatever else is wrong in the request, so that one answer lists all: parameters beside a
 * bad body, and what the route's own check says of the fields that are sound.
 */
function listAll (fault: Fault, { validationContext }: FastifyError, request: FastifyRequest): Fault {
  if (validationContext !== 'body' && validationContext !== 'querystring') return fault
  if (validationContext === 'body' && request.body == null && isBodiless(request)) {
    const detail = 'The body is empty; a JSON object was expected.'
    return new Fault('malformed', detail, { errors: [{ pointer: '', detail }] })
  }
  const { schema, config } = request.routeOptions
  const { body, querystring } = schema as { body?: z.ZodType, querystring: z.ZodType }
  const query = validationContext === 'body' ? querystring.safeParse(request.query).error : undefined
  const beside = query === undefined ? undefined : faultOfZod(query, 'query', request.query)
  const further = errorsOfCheck(config.check as ((part: unknown) => void) | undefined, body ?? querystring, body === undefined ? request.query : request.body)
  const errors = eachOnce([...fault.errors, ...beside?.errors ?? [], ...further])
  return beside?.code === 'malformed' && fault.code === 'invalid'
    ? new Fault('malformed', beside.message, { errors })
    : new Fault(fault.code, fault.message, { errors })
}

function errorsOfCheck (check: ((part: unknown) => void) | undefined, schema: z.ZodType, sent: unknown): readonly FieldError[] {
  if (check === undefined || !(schema instanceof z.ZodObject) || typeof sent !== 'object' || sent === null || Array.isArray(sent)) return []
  const sound = Object.entries(schema.shape as Record<string, z.ZodType>).flatMap(([name, field]) => {
    const { success, data } = field.safeParse((sent as Record<string, unknown>)[name])
    return success ? [[name, data] as const] : []
  })
  try {
    check(Object.fromEntries(sound))
    return []
  } catch (error) {
    return error instanceof Fault ? error.errors : []
  }
}

function isBodiless ({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0'
}

/** RFC 6901. */
function pointerOf (path: readonly string[]): string {
  return path.map(key => `/${key.slice(0, 64).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}

function present (sent: unknown, path: readonly PropertyKey[]): boolean {
  let value = sent
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return false
    value = (value as Record<PropertyKey, unknown>)[key]
  }
  return true
}

/** The methods of a path, sorted; none when no route has it. */
export type MethodsOf = (path: string) => string[]

export function readMethods (routes: readonly { method: string, url: string }[]): MethodsOf {
  const patterns = routes.map(({ method, url }) => ({
    method, pattern: new RegExp(`^${url.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/:\w+/g, '[^/]+')}$`)
  }))
  return path => [...new Set(patterns.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method))].sort()
}

/** Answers a path and method that no route has: 404, or 405 with `Allow` when the path has other methods. */
export function answerUnknown (methods: readonly string[], reply: FastifyReply): FastifyReply {
  if (methods.length === 0) return sendFault(reply, new Fault('not-found', 'No call has this path; /docs lists them.'))
  reply.header('allow', methods.join(', '))
  return sendFault(reply, new Fault('method-not-allowed', `This path has ${methods.join(', ')}.`))
}

/** Answers what Node refuses before there is a request: a slow, oversized or broken one. */
export function answerBrokenRequest (error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET') return
  refuseConnection(socket, error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
    ? new Fault('timeout', 'The request did not arrive in time.')
    : error.code === 'HPE_HEADER_OVERFLOW'
      ? new Fault('headers-too-large', 'The headers are larger than 16 KiB.')
      : new Fault('malformed', 'This is not a valid HTTP/1.1 request.'))
}

/** Says on a bare connection why it is ended. @param headers further lines of the head */
export function refuseConnection (socket: Duplex, fault: Fault, headers: readonly string[] = []): void {
  if (socket.destroyed || !socket.writable) return
  const { status, title } = PROBLEMS[fault.code]
  const body = JSON.stringify(problemOf(fault, randomUUID()))
  socket.end([`HTTP/1.1 ${status} ${title}`, `Content-Type: ${PROBLEM_TYPE}`, `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store', 'Connection: close', ...headers, '', body].join('\r\n'))
}

/** `GET /problems/:name`: what a problem means and what to do, for people. */
export async function problemPages (app: FastifyInstance): Promise<void> {
  app.get<{ Params: { name: string } }>('/problems/:name', {
    config: { produces: ['text/html'] },
    schema: { summary: 'What a problem means and what to do', params: z.object({ name: z.string() }) }
  }, async ({ params }, reply) => {
    const name = FAULT_CODES.find(code => code === params.name)
    if (name === undefined) throw new Fault('not-found', `There is no problem of this name; there are ${FAULT_CODES.join(', ')}.`)
    const { status, title, help } = PROBLEMS[name]
    reply.header('cache-control', 'public, max-age=3600').type('text/html; charset=utf-8')
    return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${title}</title><style>:root{color-scheme:light dark;font:1.1rem/1.6 system-ui,sans-serif}body{max-width:40rem;margin:3rem auto;padding:0 1rem}</style>
<h1>${title}</h1><p>HTTP status ${status}, <code>/problems/${name}</code></p><p>${help.replace(/`([^`]+)`/g, '<code>$1</code>').replaceAll('"', '&quot;')}</p>`
  })
}

// Answers of public reads, held for a moment: a hot page costs a look-up, and neither a query, nor its text, nor its hash.
// Which answers may be held, each route says by its Cache-Control; who may ask, and how often, stands in guards.ts.
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Catalog } from '../db/services.ts'
import { negotiate, tagOf } from './guards.ts'
import { baseOf } from './links.ts'
import { BRIEFLY } from './schemas.ts'

/** So long an answer is told to everybody, real ms: after the rollup's tick, a report is in every curve within seconds. */
const HELD_MS = 1_000
const ANSWERS_MAX = 2_000
/** Of all answers and their keys together. */
const BYTES_MAX = 16 * 1024 * 1024
/** A longer answer is not held. */
const ANSWER_BYTES_MAX = 1024 * 1024
/**
 * A longer answer is held as bytes, since a text is encoded for everybody who asks; a shorter one goes out in one piece with
 * its head, which saves up to a sixth of the processor time (0.9 to 3 kB; at 7 kB hardly any; 2026-11-26, Node 20.20).
 */
const TEXT_BYTES_MAX = 5 * 1024
/** What an answer carries of its own; the rest belongs to the one who asks. */
const OWN_HEADERS = ['content-type', 'cache-control', 'vary', 'link', 'etag'] as const

/** What the held answers depend on. */
export interface HeldOptions {
  catalog: () => Catalog
  /** The base of absolute links; without it answers are held apart for each name that we are called by. */
  publicUrl?: string | undefined
  /** Another time than a second, ms: 0 in tests that move the domain's clock. */
  heldMs?: number | undefined
}

interface Answer { at: number, catalog: Catalog, changes: number, body: string | Buffer, headers: Record<string, string>, bytes: number }
type Told = (error: Error | null, answer?: Answer) => void
interface Making { key: string, at: number, catalog: Catalog, changes: number, waiting: Told[] }

declare module 'fastify' {
  interface FastifyRequest {
    /** The answer that this request makes for all who ask the same now. */
    making: Making | undefined
  }
}

/**
 * Holds what the GET routes of `app` answer with `BRIEFLY`, by address, media type and the base of links, for a second
 * from when it was asked for, and lets one request at a time make each answer: the others wait, and share its fault. What
 * the catalog said before it changed here is told no more. Comes before `tagAnswers`; requests are limited as ever, and
 * routes whose answer depends on more than that are not for it.
 * @param monotonic ms
 * @param changes how many changes moderators and editors made here: what was made before one is told no more
 */
export function holdAnswers (
  app: FastifyInstance, { catalog, publicUrl, heldMs = HELD_MS }: HeldOptions, monotonic: () => number, changes: () => number
): void {
  /** The oldest first. */
  const held = new Map<string, Answer>()
  const beingMade = new Map<string, Making>()
  let bytes = 0

  const forget = (key: string) => {
    bytes -= held.get(key)?.bytes ?? 0
    held.delete(key)
  }
  const keep = (key: string, answer: Answer) => {
    forget(key)
    held.set(key, answer)
    bytes += answer.bytes
    const late = monotonic() - heldMs
    for (const [key, { at }] of held) {
      if (held.size <= ANSWERS_MAX && bytes <= BYTES_MAX && at > late) break
      forget(key)
    }
  }
  const finish = (making: Making, error: Error | null, answer?: Answer) => {
    if (beingMade.get(making.key) === making) beingMade.delete(making.key)
    if (answer !== undefined) keep(making.key, answer)
    for (const tell of making.waiting) tell(error, answer)
  }

  app.decorateRequest('making', undefined)
  // After the limits, which count whoever asks, and before anything is checked: of equal requests each check says the same.
  app.addHook('preParsing', (request, reply, payload, done) => {
    const key = `${negotiate(request)} ${publicUrl === undefined ? baseOf(request, publicUrl) : ''} ${request.url}`
    const known = catalog()
    const at = monotonic()
    const answer = held.get(key)
    if (answer !== undefined && at - answer.at < heldMs && answer.catalog === known && answer.changes === changes()) return send(reply, answer)
    const making = beingMade.get(key)
    if (making?.catalog === known && making.changes === changes()) {
      making.waiting.push((error, answer) => {
        if (answer === undefined) done(error, payload)
        else send(reply, answer)
      })
      return
    }
    request.making = { key, at, catalog: known, changes: changes(), waiting: [] }
    beingMade.set(key, request.making)
    done(null, payload)
  })

  app.addHook('onError', (request, _reply, error, done) => {
    const { making } = request
    request.making = undefined
    if (making !== undefined) finish(making, error)
    done()
  })

  app.addHook('onSend', (request, reply, payload, done) => {
    const { making } = request
    request.making = undefined
    if (making !== undefined) finish(making, null, answerOf(making, reply, payload))
    done(null, payload)
  })
}

function send (reply: FastifyReply, { headers, body }: Answer): void {
  reply.headers(headers).send(body)
}

/** What can be held of an answer, which is given its ETag; undefined when nothing can. */
function answerOf ({ key, at, catalog, changes }: Making, reply: FastifyReply, payload: unknown): Answer | undefined {
  if (reply.statusCode !== 200 || typeof payload !== 'string' || reply.getHeader('cache-control') !== BRIEFLY) return undefined
  const encoded = Buffer.from(payload)
  const bytes = 2 * key.length + encoded.length
  if (bytes > ANSWER_BYTES_MAX) return undefined
  reply.header('etag', tagOf(payload))
  const headers = Object.fromEntries(OWN_HEADERS.filter(name => reply.hasHeader(name)).map(name => [name, String(reply.getHeader(name))]))
  return { at, catalog, changes, body: encoded.length > TEXT_BYTES_MAX ? encoded : payload, headers, bytes }
}

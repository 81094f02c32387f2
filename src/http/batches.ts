// Many reports in one call, for relays and history: a JSON array, or NDJSON that is committed as it flows.
import type { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { z } from 'zod'
import { Fault, type FaultCode } from '../core/faults.ts'
import type { Db } from '../db/client.ts'
import { emptyCounts, takeBulk, type BulkCounts, type BulkStore, type Item } from '../ingest/bulk.ts'
import type { ImportIntake } from '../ingest/intake.ts'
import { readLines } from '../ingest/lines.ts'
import { checkToken } from './guards.ts'
import { faultOf, faultOfZod, problemOf } from './problems.ts'
import { inputOf, REPORTER_MAX, ReportBody, Text } from './reports.ts'
import { FieldProblem, type Routes } from './schemas.ts'

const ARRAY_ITEMS_MAX = 1_000
const LINES_MAX = 100_000
/** A line, and so an item, at most. */
export const LINE_BYTES_MAX = 8 * 1024
const ARRAY_BYTES_MAX = ARRAY_ITEMS_MAX * LINE_BYTES_MAX
const NDJSON = 'application/x-ndjson'
/** After so many lines the token is checked again, and after so many blank ones others have their turn. */
const RECHECK_LINES = 1_000
/** Fields named of one item at most. */
const ITEM_ERRORS_MAX = 20

const BatchItem = ReportBody.extend({
  reporter: Text(REPORTER_MAX).refine(text => text !== '', 'Expected at least one character').describe('A pseudonym that the relay changes daily')
}).meta({ id: 'BatchItem' })

export const Batch = z.object({
  received: z.int(),
  counted: z.int(),
  duplicate: z.int(),
  quarantined: z.int(),
  refused: z.int(),
  problems: z.array(z.object({
    index: z.int().describe('From 0'), type: z.string(), title: z.string(), status: z.int(), detail: z.string(), errors: z.array(FieldProblem)
  })).describe('The first 1,000')
}).meta({ id: 'Batch' })

/** One line of NDJSON as an item; what is wrong with it is its own fault, not the file's. */
export function itemOfLine (line: string): Item {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return { fault: new Fault('malformed', 'The line is not JSON.') }
  }
  return itemOf(value)
}

/** Items of a file of lines, as many at once as arrived together; blank ones are passed over. @param linesMax after which a Fault `too-large` ends it. */
export async function * itemsOfLines (source: AsyncIterable<Uint8Array>, linesMax = Infinity): AsyncGenerator<Item[]> {
  let count = 0
  let blank = 0
  for await (const lines of readLines(source, LINE_BYTES_MAX)) {
    const items: Item[] = []
    for (const { line } of lines) {
      if (line?.trim() === '') {
        // Nobody waits for anything between blank lines: without a pause they would hold up all other requests.
        if (++blank % RECHECK_LINES === 0) await setImmediate()
      } else if (++count > linesMax) {
        break
      } else {
        items.push(line === undefined ? { fault: new Fault('too-large', `The line is longer than ${LINE_BYTES_MAX} bytes.`) } : itemOfLine(line))
      }
    }
    if (items.length > 0) yield items
    if (count > linesMax) throw new Fault('too-large', `A batch has at most ${linesMax} lines; send the rest in another.`)
  }
}

function itemOf (value: unknown): Item {
  const checked = BatchItem.safeParse(value)
  if (!checked.success) return { fault: faultOfZod(checked.error, 'body', value) }
  return { input: inputOf(checked.data) }
}

function describeCounts ({ faults, ...counts }: BulkCounts): z.infer<typeof Batch> {
  return {
    ...counts,
    problems: faults.map(({ index, fault }) => {
      const { type, title, status, detail } = problemOf(fault)
      return { index, type, title, status, detail, errors: fault.errors.slice(0, ITEM_ERRORS_MAX) }
    })
  }
}

/** `POST /v1/reports/batch`: good items are committed, bad ones named; sending it again doubles nothing. */
export const batches: Routes<{
  db: Db, intake: ImportIntake, store: BulkStore, onRefused: (code: FaultCode) => void, now: () => Date
}> = async (app, { db, intake, store, onRefused, now }) => {
  app.addContentTypeParser(NDJSON, (_request, payload, done) => done(null, payload))
  // Fastify's own parser refuses an empty body; here it is a batch of nothing.
  app.removeContentTypeParser(['application/json', 'text/plain'])
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) => {
    try {
      const body: unknown = text === '' ? [] : JSON.parse(text as string)
      if (body === null) done(notArray())
      else done(null, body)
    } catch (error) {
      done(error as SyntaxError)
    }
  })

  app.post('/reports/batch', {
    bodyLimit: ARRAY_BYTES_MAX,
    config: { lasting: true },
    // After the limit, which counts whoever asks, and before the body is read.
    preParsing: async request => { await checkToken(db, request, 'import', now()) },
    schema: {
      summary: 'Many reports at once, with a token of scope import',
      description: `A JSON array of up to ${ARRAY_ITEMS_MAX} items, or ${NDJSON} of up to ${LINES_MAX} lines, committed as it flows.`,
      security: [{ token: [] }],
      consumes: ['application/json', NDJSON],
      // The items are checked one by one, so that a bad one harms no other.
      body: z.unknown().meta({ id: 'BatchBody', type: 'array', items: { $ref: '#/components/schemas/BatchItemInput' } }),
      response: { 200: Batch }
    }
  }, async (request, reply) => {
    reply.header('cache-control', 'no-store')
    const counts = emptyCounts()
    try {
      // When it breaks off, the rest is let past: the answer still has to go through the same connection.
      const items = isStream(request.body)
        ? whileAllowed(itemsOfLines(request.body.iterator({ destroyOnReturn: false }), LINES_MAX), () => checkToken(db, request, 'import', now()))
        : [itemsOfArray(request.body)]
      await takeBulk(items, intake, store, counts, onRefused)
    } catch (error) {
      if (isStream(request.body)) request.body.resume()
      const fault = isStream(request.body) && request.body.errored === error
        ? new Fault('malformed', 'The connection ended before the body was whole.')
        : faultOf(error)
      throw new Fault(fault.code, fault.message, {
        errors: fault.errors, extra: describeCounts(counts), cause: error, ...(fault.retryAfterS === undefined ? {} : { retryAfterS: fault.retryAfterS })
      })
    }
    return describeCounts(counts)
  })
}

/** Asks again on the way: a token that is revoked while its batch flows takes no more. */
async function * whileAllowed (groups: AsyncIterable<Item[]>, check: () => Promise<unknown>): AsyncGenerator<Item[]> {
  let unchecked = 0
  for await (const items of groups) {
    unchecked += items.length
    if (unchecked >= RECHECK_LINES) {
      await check()
      unchecked = 0
    }
    yield items
  }
}

function itemsOfArray (body: unknown): Item[] {
  // Null is what no body at all is given as.
  if (body === null) return []
  if (!Array.isArray(body)) throw notArray()
  if (body.length > ARRAY_ITEMS_MAX) throw new Fault('too-large', `An array has at most ${ARRAY_ITEMS_MAX} reports; send more as ${NDJSON}.`)
  return body.map(itemOf)
}

function notArray (): Fault {
  return new Fault('invalid', 'The body is not a JSON array of reports.', { errors: [{ pointer: '', detail: 'Expected an array of reports.' }] })
}

function isStream (body: unknown): body is Readable {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body
}

// What several calls have in common: slugs, instants, regions, counts, pages. A call's own schemas stand above its route.
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { Fault } from '../core/faults.ts'
import { coarsenRegion } from '../core/regions.ts'
import { ALL } from '../core/vocabulary.ts'
import type { Place } from '../db/pages.ts'
import type { Catalog, Service } from '../db/services.ts'

export { at, atOrNull } from '../core/time.ts'

/** The routes of one noun; what they need comes as options. */
export type Routes<Options extends object> = FastifyPluginAsyncZod<Options>

export const Slug = z.string().regex(/^[a-z0-9-]{1,64}$/, 'Expected a slug: 1 to 64 of a-z, 0-9 and "-"')
export const ServicePath = z.strictObject({ service: Slug })

/** An instant in a request; nothing before 1970 is kept, so nothing earlier is asked for. */
export const Instant = z.iso.datetime({ message: 'Expected an RFC 3339 instant in UTC, such as 2012-11-18T19:00:00Z' })
  .refine(text => Date.parse(text) >= 0, 'Expected an instant since 1970-01-01T00:00:00Z')
  .transform(text => new Date(text))

/** An instant in an answer. */
export const At = z.iso.datetime()

/** An ISO 3166 code, whose deeper levels stand for the first. */
export const Region = z.string().max(10).transform(readRegion)

/** A region to ask for: `*`, or such a code. */
export const RegionQuery = z.string().max(10).default(ALL).transform((code, context) => code === ALL ? ALL : readRegion(code, context))

function readRegion (code: string, context: z.RefinementCtx): string {
  const region = coarsenRegion(code)
  if (region !== undefined) return region
  context.addIssue({ code: 'custom', message: `"${code}" is no ISO 3166 code of a country or subdivision, such as CA or CA-ON` })
  return z.NEVER
}

export const DeviceClassQuery = z.union([z.literal(ALL), Slug]).default(ALL)

/** A device class that the catalog knows, or `*`. @throws Fault `invalid` */
export function checkDeviceClass (catalog: Catalog, slug: string): string {
  if (slug === ALL || catalog.deviceClasses.has(slug)) return slug
  const detail = `No device class is called "${slug}"; GET /v1/device-classes lists them.`
  throw new Fault('invalid', detail, { errors: [{ pointer: '/device_class', detail, in: 'query' }] })
}

/** The service that a query names, when it names one. @throws Fault `invalid` */
export function findAskedService (catalog: Catalog, slug: string | undefined): Service | undefined {
  if (slug === undefined) return undefined
  const service = catalog.services.get(slug)
  if (service !== undefined) return service
  const detail = `No service is called "${slug}"; GET /v1/services lists them.`
  throw new Fault('invalid', detail, { errors: [{ pointer: '/service', detail, in: 'query' }] })
}

export const Tally = { working: z.int(), degraded: z.int(), down: z.int() }

export const PageQuery = {
  limit: z.coerce.number('Expected a number from 1 to 200').int().min(1).max(200).default(50),
  cursor: z.string().max(512).optional()
}

/** A page of items. */
export function pageOf<Item extends z.ZodType> (item: Item) {
  return z.object({ items: z.array(item), next_cursor: z.string().nullable() })
}

/** One field that was wrong, as a problem names it. */
export const FieldProblem = z.object({
  pointer: z.string().describe('RFC 6901; of a parameter, "/" and its name'),
  detail: z.string(),
  in: z.enum(['query', 'path']).optional().describe('Where the field is, when not in the body')
})

/** The cursor that continues after an item: opaque to clients. */
export function writeCursor (key: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url')
}

/** The key that a cursor holds. @throws Fault `invalid` when it is none of ours. */
export function readCursor<Key extends z.ZodType> (cursor: string | undefined, key: Key): z.infer<Key> | undefined {
  if (cursor === undefined) return undefined
  try {
    return key.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()))
  } catch {
    const detail = 'Expected the next_cursor of an earlier answer, unchanged.'
    throw new Fault('invalid', 'The cursor is not valid.', { errors: [{ pointer: '/cursor', detail, in: 'query' }] })
  }
}

/** The place that a cursor of a list by instant and id holds. @throws Fault `invalid` when it is none of ours */
export function readPlace (cursor: string | undefined, id: z.ZodType<string> = z.uuid()): Place | undefined {
  const key = readCursor(cursor, z.tuple([z.iso.datetime(), id]))
  return key === undefined ? undefined : { at: new Date(key[0]), id: key[1] }
}

/** One page of rows that were read with one beyond it; `keyOf` is what the next continues after. */
export function pageRows<Row, Item> (rows: readonly Row[], limit: number, keyOf: (row: Row) => (string | number)[], describe: (row: Row) => Item) {
  const page = rows.slice(0, limit)
  return { items: page.map(describe), next_cursor: rows.length > limit ? writeCursor(keyOf(page.at(-1)!)) : null }
}

/** One page of a list that is wholly in memory, in the order of `keyOf`: ascending, unless `follows` says otherwise. */
export function pageThrough<Item> (
  items: readonly Item[], keyOf: (item: Item) => string, query: { limit: number, cursor?: string | undefined },
  follows = (key: string, last: string) => key > last
) {
  const after = readCursor(query.cursor, z.tuple([z.string()]))?.[0]
  const rest = after === undefined ? items : items.filter(item => follows(keyOf(item), after))
  const page = rest.slice(0, query.limit)
  return { items: page, next_cursor: rest.length > page.length ? writeCursor([keyOf(page.at(-1)!)]) : null }
}

/** Sends text that is made already, past the serializer and its types. */
export function sendText (reply: { send: (payload: never) => unknown }, text: string): never {
  return reply.send(text as never) as never
}

/** Rows under the names of their members, as CSV (RFC 4180): quotes only where a value needs them, nothing where it is null. */
export function csvOf<Row extends z.ZodObject> (row: Row, rows: readonly z.infer<Row>[]): string {
  const names = Object.keys(row.shape)
  const quote = (text: string) => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  return [names.join(','), ...rows.map(row => names.map(name => quote(String((row as Record<string, unknown>)[name] ?? ''))).join(',')), ''].join('\r\n')
}

/** Answers that may be kept for a few seconds: as long as the next rollup takes. */
export const BRIEFLY = 'public, max-age=2'
/** Answers that change with a release or an editor's hand. */
export const AN_HOUR = 'public, max-age=3600'

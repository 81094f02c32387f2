// How every thing of the catalog is listed, made, changed and retired by editors. Which things there are stands in
// catalog.ts and workarounds.ts.
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { Fault } from '../core/faults.ts'
import type { Clock } from '../core/time.ts'
import { recordAudit } from '../db/audit.ts'
import type { Database, Db } from '../db/client.ts'
import { changeCatalog, readCatalog, type Catalog } from '../db/services.ts'
import { checkMatch, findNamed } from './admin.ts'
import { At, atOrNull, pageOf, PageQuery, pageThrough, Slug } from './schemas.ts'

export interface EditOptions { db: Database, clock: Clock, refreshCatalog: () => Promise<void> }

/** Whether a thing still takes reports and stands in public lists. Nothing is ever removed. */
export const RetiredMembers = { retired: z.boolean(), retired_at: At.nullable() }

export function tellRetired ({ retiredAt }: { retiredAt: Date | null }): { retired: boolean, retired_at: string | null } {
  return { retired: retiredAt !== null, retired_at: atOrNull(retiredAt) }
}

/** What sets a thing's `retired_at`: nothing, when it is so already. */
type RetiredChange = { retiredAt?: Date | null }
type Told = { retired: boolean, service?: string }

/** One kind of thing, and all in which it differs from the others. */
interface Kind<P extends z.ZodType, B extends z.ZodType, C extends z.ZodType, I extends z.ZodType> {
  /** What the audit log calls it. */
  word: string
  path: `/${string}`
  /** The members that make its key, in the order of its path. */
  keys: readonly string[]
  Path: P
  Body: B
  Patch: C
  Item: I
  newestFirst?: boolean
  things: (catalog: Catalog) => (z.infer<I> & Told)[]
  /** Returns the new thing's key. @throws Fault `invalid`, `conflict` */
  insert: (tx: Db, catalog: Catalog, body: z.infer<B>, now: Date) => Promise<string>
  /** @throws Fault `invalid`, `conflict` */
  update: (tx: Db, catalog: Catalog, item: z.infer<I>, patch: z.infer<C>, retired: RetiredChange) => Promise<void>
}

/** Adds the calls of one kind of thing; those that belong to a service can be listed by it. */
export function editThings<P extends z.ZodType<object>, B extends z.ZodType, C extends z.ZodType<{ retired?: boolean | undefined }>, I extends z.ZodType<object>> (
  app: FastifyInstance, { db, clock, refreshCatalog }: EditOptions, kind: Kind<P, B, C, I>
): void {
  const { word, path, keys, things, newestFirst = false } = kind
  const { Path, Body, Patch, Item }: Record<'Path' | 'Body' | 'Patch' | 'Item', z.ZodType> = kind
  const config = { scope: 'catalog' } as const
  const one = `${path}/${keys.map(key => `:${key}`).join('/')}`
  const noun = word.replace('-', ' ')
  const ofService = 'service' in (Item as unknown as { shape: object }).shape
  const follows = newestFirst ? (a: string, b: string) => a < b : (a: string, b: string) => a > b
  const keyOf = (thing: object) => keys.map(key => (thing as Record<string, string>)[key]).join('/')
  const find = (catalog: Catalog, key: string) => {
    const thing = things(catalog).find(thing => keyOf(thing) === key)
    if (thing === undefined) throw new Fault('not-found', `There is no such ${noun}; GET /v1/admin${path} lists them.`)
    return thing
  }
  /** Makes a change and writes it down in one transaction; live here once it answers. */
  const change = async (actor: string, action: string, key: string | undefined, work: (tx: Db, catalog: Catalog) => Promise<string>) => {
    const after = await changeCatalog(db, async (tx, catalog) => {
      const before = key === undefined ? null : find(catalog, key)
      const changed = await work(tx, catalog)
      const after = find(await readCatalog(tx), changed)
      if (JSON.stringify(before) !== JSON.stringify(after)) {
        await recordAudit(tx, { actor, action: `${word}.${action}`, target: `${word}/${changed}`, before, after }, clock.now())
      }
      return after
    })
    // What is committed is answered; a reading that fails is made good by the next.
    await refreshCatalog().catch(err => app.log.warn({ err }, 'the catalog could not be read again'))
    return after
  }

  const Query = z.strictObject({
    ...PageQuery,
    retired: z.enum(['true', 'false']).optional().describe('Both by default'),
    ...(ofService ? { service: Slug.optional() } : {})
  })
  app.get(path, {
    config, schema: { summary: `Every ${noun}`, querystring: Query, response: { 200: pageOf(Item) } }
  }, async request => {
    const query = request.query as z.infer<typeof Query> & { service?: string }
    const catalog = await readCatalog(db)
    findNamed(catalog.services, query.service, 'service', { pointer: '', in: 'query' })
    const asked = things(catalog)
      .filter(({ retired, service }) => (query.retired === undefined || retired === (query.retired === 'true')) && (query.service === undefined || service === query.service))
      .sort((a, b) => follows(keyOf(a), keyOf(b)) ? 1 : -1)
    return pageThrough(asked, keyOf, query, follows)
  })

  app.get(one, { config, schema: { summary: `One ${noun}`, params: Path, response: { 200: Item } } },
    async request => find(await readCatalog(db), keyOf(request.params as object)))

  app.post(path, { config, schema: { summary: `Add a ${noun}`, body: Body, response: { 201: Item } } }, async (request, reply) => {
    const added = await change(request.actor, 'create', undefined, (tx, catalog) => kind.insert(tx, catalog, request.body as z.infer<B>, clock.now()))
    return reply.code(201).send(added)
  })

  app.patch(one, {
    config,
    schema: { summary: `Change a ${noun}`, description: 'A merge patch (RFC 7396). `retired: false` brings back what was retired.', params: Path, body: Patch, response: { 200: Item } }
  }, async request => {
    const key = keyOf(request.params as object)
    const patch = request.body as z.infer<C>
    return await change(request.actor, 'update', key, async (tx, catalog) => {
      const before = find(catalog, key)
      checkMatch(request, before)
      await kind.update(tx, catalog, before, patch, retire(before, patch.retired, clock.now()))
      return key
    })
  })

  app.delete(one, {
    config, schema: { summary: `Retire a ${noun}`, description: 'It takes no new reports and leaves the public lists; what names it already stays.', params: Path }
  }, async (request, reply) => {
    const key = keyOf(request.params as object)
    await change(request.actor, 'retire', key, async (tx, catalog) => {
      const before = find(catalog, key)
      await kind.update(tx, catalog, before, {} as z.infer<C>, retire(before, true, clock.now()))
      return key
    })
    return reply.code(204).send()
  })
}

function retire (thing: Told, retired: boolean | undefined, now: Date): RetiredChange {
  return retired === undefined || retired === thing.retired ? {} : { retiredAt: retired ? now : null }
}

import { z } from 'zod'
import { REGIONS } from '../core/regions.ts'
import type { Catalog, Named } from '../db/services.ts'
import { AN_HOUR, BRIEFLY, PageQuery, pageOf, pageThrough, Slug, type Routes } from './schemas.ts'

export const RegionItem = z.object({ code: z.string(), name: z.string(), parent: z.string().nullable() }).meta({ id: 'Region' })
export const NamedItem = z.object({ slug: Slug, name: z.string() }).meta({ id: 'Named' })
const Query = z.strictObject(PageQuery)

/** `GET /v1/regions`, `/v1/device-classes`, `/v1/symptoms`: the words that a report may use. */
export const vocabularies: Routes<{ catalog: () => Catalog }> = async (app, { catalog }) => {
  app.get('/regions', {
    schema: { summary: 'Countries and their first subdivisions (ISO 3166)', querystring: Query, response: { 200: pageOf(RegionItem) } }
  }, async ({ query }, reply) => {
    reply.header('cache-control', AN_HOUR)
    return pageThrough(REGIONS, ({ code }) => code, query)
  })

  const lists: [string, string, () => ReadonlyMap<string, Named>][] = [
    ['/device-classes', 'Kinds of device', () => catalog().deviceClasses],
    ['/symptoms', 'What may fail', () => catalog().symptoms]
  ]
  for (const [path, summary, read] of lists) {
    app.get(path, {
      schema: { summary, querystring: Query, response: { 200: pageOf(NamedItem) } }
    }, async ({ query }, reply) => {
      reply.header('cache-control', BRIEFLY)
      return pageThrough([...read().values()].filter(({ retiredAt }) => retiredAt === null).map(({ slug, name }) => ({ slug, name })), ({ slug }) => slug, query)
    })
  }
}

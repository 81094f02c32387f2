// Which pages of vendors are read, and whether they could be; kept by editors. Reading them is a job.
import { v7 as uuid7 } from 'uuid'
import { z } from 'zod'
import { Fault } from '../core/faults.ts'
import { SOURCE_FORMATS, type SourceFormat } from '../core/vocabulary.ts'
import { insertSource, updateSource } from '../db/services.ts'
import { findNamed, oneLine, PublicAddress } from './admin.ts'
import { editThings, RetiredMembers, tellRetired, type EditOptions } from './editing.ts'
import { at, At, Slug, type Routes } from './schemas.ts'

const NAMES_MAX = 20
const SUMMARY = '/api/v2/summary.json'

const Names = z.array(oneLine(200)).max(NAMES_MAX).describe('What the page calls the service; none: the whole page is about it')
const Enabled = z.boolean().describe('Whether the page is read, about once a minute')

export const SourceItem = z.object({
  id: z.uuid(),
  service: Slug,
  format: z.enum(SOURCE_FORMATS),
  url: z.string(),
  names: z.array(z.string()),
  enabled: z.boolean(),
  stale: z.boolean().describe('The page could not be read or understood the last time: what we hold is older than it'),
  created_at: At,
  ...RetiredMembers
}).meta({ id: 'Source' })

/** `/v1/admin/sources`. @param allowPrivate whether addresses that are not public may be read */
export const sources: Routes<EditOptions & { allowPrivate: boolean }> = async (app, options) => {
  const Url = PublicAddress(options.allowPrivate).describe('Of a Statuspage its address is enough')
  const Body = z.strictObject({
    service: Slug, format: z.enum(SOURCE_FORMATS), url: Url, names: Names.default([]), enabled: Enabled.default(false)
  }).meta({ id: 'SourceBody' })
  // No default: a member that is not there changes nothing.
  const Patch = z.strictObject({ url: Url, names: Names, enabled: Enabled, retired: z.boolean() }).partial().meta({ id: 'SourcePatch' })

  editThings(app, options, {
    word: 'source',
    path: '/sources',
    keys: ['id'],
    Path: z.strictObject({ id: z.uuid() }),
    Body,
    Patch,
    Item: SourceItem,
    newestFirst: true,
    things: ({ services }) => [...services.values()].flatMap(({ slug, sources }) => sources.map(source => ({
      id: source.id,
      service: slug,
      format: source.format,
      url: source.url,
      names: source.names,
      enabled: source.enabled,
      stale: source.stale,
      created_at: at(source.createdAt),
      ...tellRetired(source)
    }))),
    async insert (tx, { services }, { service, format, url, names, enabled }, now) {
      const { id: serviceId, sources } = findNamed(services, service, 'service', { pointer: '' })!
      const page = pageOf(format, url)
      if (sources.some(source => source.retiredAt === null && source.format === format && source.url === page)) {
        throw new Fault('conflict', 'This page is a source of the service already; change that one.', { errors: [{ pointer: '/url', detail: 'It is a source already.' }] })
      }
      const id = uuid7({ msecs: now.getTime() })
      await insertSource(tx, serviceId, { id, format, url: page, names, enabled, createdAt: now, retiredAt: null })
      return id
    },
    async update (tx, _catalog, { id, format }, { url, names, enabled }, retired) {
      await updateSource(tx, id, {
        ...(url === undefined ? {} : { url: pageOf(format, url) }), ...(names === undefined ? {} : { names }), ...(enabled === undefined ? {} : { enabled }), ...retired
      })
    }
  })
}

/** Where a page's document is: people give a Statuspage by the address that they look at. */
function pageOf (format: SourceFormat, address: string): string {
  const url = new URL(address)
  return format === 'statuspage' && url.pathname === '/' ? new URL(SUMMARY, url).href : url.href
}

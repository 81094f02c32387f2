// The vendor's official word, recorded by hand.
import { v7 as uuid7 } from 'uuid'
import { z } from 'zod'
import { acknowledgedOutage } from '../core/acknowledgements.ts'
import { Fault } from '../core/faults.ts'
import { DAY_MS, type Clock } from '../core/time.ts'
import { insertAcknowledgement, readAcknowledgements, type Acknowledgement as AcknowledgementRow } from '../db/acknowledgements.ts'
import { recordAudit } from '../db/audit.ts'
import { transact, type Database, type Db } from '../db/client.ts'
import { findOutage, insertEvent, readOutagesWithin } from '../db/outages.ts'
import { announce } from '../db/outbox.ts'
import type { Catalog } from '../db/services.ts'
import { findNamed, namesOf, oneLine, WebAddress } from './admin.ts'
import { at, At, Instant, pageOf, PageQuery, pageRows, readPlace, Slug, type Routes } from './schemas.ts'

/** Outages this long around an acknowledgement are held against it, ms. */
const REACH_MS = 2 * DAY_MS

const AcknowledgementBody = z.strictObject({
  service: Slug,
  outage: z.uuid().optional().describe('Without it the one that it is about by time, if there is one'),
  source: oneLine(100).describe('Who says so, and where: "Apple, System Status"'),
  published_at: Instant.describe('When the vendor published it, not when you saw it'),
  url: WebAddress.optional(),
  text: oneLine(500).optional().describe('What it says, in the vendor\'s words')
}).meta({ id: 'AcknowledgementBody' })

export const Acknowledgement = z.object({
  id: z.uuid(),
  service: Slug,
  outage: z.uuid().nullable(),
  source: z.string(),
  published_at: At,
  url: z.string().nullable(),
  text: z.string().nullable(),
  created_at: At
}).meta({ id: 'Acknowledgement' })

/** `/v1/admin/acknowledgements`. A correction is a further one: the outage tells the earliest. */
export const acknowledgements: Routes<{ db: Database, catalog: () => Catalog, clock: Clock }> = async (app, { db, catalog, clock }) => {
  const config = { scope: 'moderate' } as const
  const check = ({ service, published_at: publishedAt }: Partial<z.infer<typeof AcknowledgementBody>>) => {
    const found = findNamed(catalog().services, service, 'service', { pointer: '' })
    if (publishedAt !== undefined && publishedAt > clock.now()) {
      const detail = `It lies in the future (it is ${clock.now().toISOString()} now).`
      throw new Fault('invalid', detail, { errors: [{ pointer: '/published_at', detail }] })
    }
    return found
  }

  app.get('/acknowledgements', {
    config,
    schema: {
      summary: 'What vendors said, newest first', querystring: z.strictObject({ ...PageQuery, service: Slug.optional() }), response: { 200: pageOf(Acknowledgement) }
    }
  }, async ({ query: { limit, cursor, service } }) => {
    const before = readPlace(cursor)
    const asked = findNamed(catalog().services, service, 'service', { pointer: '', in: 'query' })
    const rows = await readAcknowledgements(db, asked?.id, limit + 1, before)
    const slugs = namesOf(catalog())
    return pageRows(rows, limit, row => [row.publishedAt.toISOString(), row.id], row => describe(row, slugs.get(row.serviceId)!))
  })

  app.post('/acknowledgements', {
    config: { ...config, check },
    schema: { summary: 'Record the vendor\'s official word by hand', body: AcknowledgementBody, response: { 201: Acknowledgement } }
  }, async ({ body, actor }, reply) => {
    const service = check(body)!
    const now = clock.now()
    const described = await transact(db, async tx => {
      const outage = await findMeant(tx, service.id, body.outage, body.published_at)
      const row: AcknowledgementRow = {
        serviceId: service.id,
        id: uuid7(),
        outageId: outage?.id ?? null,
        source: body.source,
        publishedAt: body.published_at,
        url: body.url ?? null,
        text: body.text ?? null,
        createdAt: now,
        sourceId: null,
        incident: null
      }
      await insertAcknowledgement(tx, row)
      if (outage !== undefined) {
        await insertEvent(tx, {
          serviceId: service.id,
          outageId: outage.id,
          at: body.published_at,
          type: 'acknowledged',
          state: outage.state,
          actor: 'vendor',
          text: `${body.source} acknowledged it${body.text === undefined ? '' : `: "${body.text}"`} (recorded by a moderator).`
        }, now)
      }
      const described = describe(row, body.service)
      await recordAudit(tx, { actor, action: 'acknowledgement.create', target: `acknowledgement/${row.id}`, after: described }, now)
      if (outage !== undefined) await announce(tx, [{ type: 'outage.acknowledged', serviceId: service.id, outageId: outage.id, at: now }])
      return described
    })
    return reply.code(201).send(described)
  })
}

async function findMeant (tx: Db, serviceId: number, id: string | undefined, publishedAt: Date) {
  if (id !== undefined) {
    const outage = await findOutage(tx, id)
    if (outage?.serviceId === serviceId) return outage
    const detail = 'Expected the id of an outage of this service.'
    throw new Fault('invalid', detail, { errors: [{ pointer: '/outage', detail }] })
  }
  const around = (await readOutagesWithin(tx, [serviceId], new Date(publishedAt.getTime() - REACH_MS), new Date(publishedAt.getTime() + REACH_MS)))
    .filter(({ state }) => state !== 'dismissed')
  const found = acknowledgedOutage(publishedAt.getTime(), around.map(row => ({
    id: row.id, onsetAt: row.onsetAt.getTime(), onsetFrom: row.onsetFrom.getTime(), end: row.resolvedAt?.getTime() ?? null
  })))
  return around.find(row => row.id === found)
}

function describe (row: AcknowledgementRow, service: string): z.infer<typeof Acknowledgement> {
  const { id, outageId: outage, source, publishedAt, url, text, createdAt } = row
  return { id, service, outage, source, published_at: at(publishedAt), url, text, created_at: at(createdAt) }
}

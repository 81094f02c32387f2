// A moderator's word on outages: opened, confirmed, resolved, dismissed, merged, annotated.
import { z } from 'zod'
import { Fault } from '../core/faults.ts'
import { openByWord } from '../core/outages.ts'
import { tellOutageRef } from '../core/telling.ts'
import { DAY_MS, type Clock } from '../core/time.ts'
import { ALL, OPEN_OUTAGE_STATES, type EventType, type NewsType, type OutageState } from '../core/vocabulary.ts'
import { recordAudit } from '../db/audit.ts'
import { transact, type Database, type Db } from '../db/client.ts'
import { findOutage, holdOutage, insertEvent, outageId, readOpenOutages, updateOutage, upsertOutage, type Outage as OutageRow } from '../db/outages.ts'
import { announce, type Change } from '../db/outbox.ts'
import { insertRuling } from '../db/rulings.ts'
import type { Catalog } from '../db/services.ts'
import { findNamed, Reason } from './admin.ts'
import { Outage, readWhole, serviceOf } from './outages.ts'
import { DeviceClassQuery, Instant, RegionQuery, Slug, type Routes } from './schemas.ts'

/** An outage may be said to have begun this long ago: as long as minutes are kept, ms. */
const ONSET_AGE_MAX_MS = 35 * DAY_MS

const OpenBody = z.strictObject({
  service: Slug,
  region: RegionQuery.describe('* or an ISO 3166 code'),
  device_class: DeviceClassQuery,
  onset_at: Instant.describe('When it began: at most 35 days ago'),
  reason: Reason
}).meta({ id: 'OutageBody' })
const WordBody = z.strictObject({ reason: Reason.describe('Told on the timeline, to everybody') }).meta({ id: 'WordBody' })
const MergeBody = WordBody.extend({ into: z.uuid().describe('An outage of the same service') }).meta({ id: 'MergeBody' })
const OutagePath = z.strictObject({ id: z.uuid() })
type Word = 'confirm' | 'resolve' | 'dismiss'

/** What each word makes of an outage, from which states, and what to do in the others. */
const WORDS: Record<Word, { from: readonly OutageState[], to: OutageState, column: 'confirmedAt' | 'resolvedAt' | 'dismissedAt', done: string, else: string }> = {
  confirm: { from: ['suspected'], to: 'confirmed', column: 'confirmedAt', done: 'confirmed', else: 'Only a suspected outage can be confirmed.' },
  resolve: { from: ['confirmed', 'recovering'], to: 'resolved', column: 'resolvedAt', done: 'resolved', else: 'Only a confirmed or recovering outage can be resolved; dismiss a suspected one.' },
  dismiss: { from: ['suspected', 'confirmed', 'recovering', 'resolved'], to: 'dismissed', column: 'dismissedAt', done: 'dismissed', else: 'It is dismissed already.' }
}

/** `POST /v1/admin/outages` and `/outages/:id/…`. The timeline grows, and nothing on it is ever changed. */
export const rulings: Routes<{ db: Database, catalog: () => Catalog, clock: Clock }> = async (app, { db, catalog, clock }) => {
  const config = { scope: 'moderate' } as const
  const slugOf = (row: OutageRow) => serviceOf(catalog(), row).slug
  const tell = (row: OutageRow) => readWhole(db, row, catalog())

  app.post('/outages', {
    config: { ...config, check: (body: z.infer<typeof OpenBody>) => { checkOpening(body, catalog(), clock.now()) } },
    schema: {
      summary: 'Record an outage that reports alone do not show',
      description: 'It is confirmed at once. From then on reports decide when it is over, as for any other.',
      body: OpenBody,
      response: { 201: Outage }
    }
  }, async ({ body, actor }, reply) => {
    const now = clock.now()
    const { serviceId, scope, onsetAt } = checkOpening(body, catalog(), now)
    const row = await transact(db, async tx => {
      const id = outageId(now.getTime())
      const minute = await insertRuling(tx, { serviceId, outageId: id, type: 'open', scope, onsetAt })
      if ((await readOpenOutages(tx)).some(open => open.serviceId === serviceId)) {
        throw new Fault('conflict', 'An outage of this service is open; annotate, confirm or merge that one.')
      }
      const { figures } = openByWord(scope, onsetAt, minute)
      await upsertOutage(tx, serviceId, id, figures, [], false)
      const opened = (await findOutage(tx, id))!
      await note(tx, opened, 'confirmed', new Date(figures.confirmedAt!), `A moderator recorded this outage: ${body.reason}`, now)
      await recordAudit(tx, { actor, action: 'outage.open', target: `outage/${id}`, after: tellOutageRef(opened, body.service), reason: body.reason }, now)
      await announce(tx, [newsOf(opened, 'outage.confirmed', new Date(figures.confirmedAt!))])
      return opened
    })
    return reply.code(201).send(await tell(row))
  })

  for (const [word, { from, to, column, done, else: otherwise }] of Object.entries(WORDS) as [Word, typeof WORDS[Word]][]) {
    app.post(`/outages/:id/${word}`, {
      config, schema: { summary: `Say that an outage is ${done}`, params: OutagePath, body: WordBody, response: { 200: Outage } }
    }, async ({ params: { id }, body: { reason }, actor }) => tell(await transact(db, async tx => {
      const { row, minute } = await hold(tx, id, word, row => from.includes(row.state) ? undefined : otherwise)
      const at = minute ?? clock.now()
      const after = await updateOutage(tx, row, { state: to, [column]: at })
      await note(tx, after, to as EventType, at, `A moderator ${done} this: ${reason}`, clock.now())
      await recordAudit(tx, {
        actor, action: `outage.${word}`, target: `outage/${id}`, before: tellOutageRef(row, slugOf(row)), after: tellOutageRef(after, slugOf(row)), reason
      }, clock.now())
      await announce(tx, [newsOf(after, `outage.${to}`, at)])
      return after
    })))
  }

  app.post('/outages/:id/merge', {
    config,
    schema: {
      summary: 'Say that an outage is part of another',
      description: 'It is dismissed, and each names the other as related.',
      params: OutagePath,
      body: MergeBody,
      response: { 200: Outage }
    }
  }, async ({ params: { id }, body: { into, reason }, actor }) => tell(await transact(db, async tx => {
    const { row, minute } = await hold(tx, id, 'dismiss', ({ state }) => state === 'dismissed' ? 'It is dismissed or merged already.' : undefined)
    const other = await findOutage(tx, into)
    if (other === undefined || other.serviceId !== row.serviceId || into === id) {
      const detail = 'Expected another outage of the same service.'
      throw new Fault('invalid', detail, { errors: [{ pointer: '/into', detail }] })
    }
    if (other.state === 'dismissed') throw new Fault('conflict', 'The outage to merge into is dismissed.')
    const now = clock.now()
    const at = minute ?? now
    const after = await updateOutage(tx, row, { state: 'dismissed', dismissedAt: at, mergedInto: into })
    await note(tx, after, 'merged', at, `A moderator merged this into the outage of ${other.onsetAt.toISOString().slice(0, 16)}Z: ${reason}`, now)
    await note(tx, other, 'merged', now, `A moderator merged the outage of ${row.onsetAt.toISOString().slice(0, 16)}Z into this: ${reason}`, now)
    await recordAudit(tx, { actor, action: 'outage.merge', target: `outage/${id}`, before: tellOutageRef(row, slugOf(row)), after: { ...tellOutageRef(after, slugOf(row)), into }, reason }, now)
    await announce(tx, [newsOf(after, 'outage.dismissed', at), newsOf(other, 'outage.updated', now)])
    return after
  })))

  app.post('/outages/:id/annotate', {
    config, schema: { summary: 'Add a word to the timeline', params: OutagePath, body: WordBody, response: { 200: Outage } }
  }, async ({ params: { id }, body: { reason }, actor }) => tell(await transact(db, async tx => {
    const row = existing(await findOutage(tx, id))
    await note(tx, row, 'annotated', clock.now(), `A moderator notes: ${reason}`, clock.now())
    await recordAudit(tx, { actor, action: 'outage.annotate', target: `outage/${id}`, reason }, clock.now())
    await announce(tx, [newsOf(row, 'outage.updated', clock.now())])
    return row
  })))
}

/**
 * Holds an outage so that nobody judges or speaks meanwhile. One that is open is ruled on: the instant is that of judging.
 * @throws Fault `not-found`; `conflict` with what `refuse` says
 */
async function hold (tx: Db, id: string, type: Word, refuse: (row: OutageRow) => string | undefined): Promise<{ row: OutageRow, minute: Date | undefined }> {
  const { serviceId, state } = existing(await findOutage(tx, id))
  const isOpen = (state: OutageState) => (OPEN_OUTAGE_STATES as readonly OutageState[]).includes(state)
  const minute = isOpen(state) ? new Date(await insertRuling(tx, { serviceId, outageId: id, type, scope: null, onsetAt: null })) : undefined
  const row = existing(await holdOutage(tx, { serviceId, id }))
  // Closed while we waited: the word would be about nothing.
  const refused = refuse(row) ?? (isOpen(state) === isOpen(row.state) ? undefined : 'It has changed meanwhile; read it again.')
  if (refused !== undefined) throw new Fault('conflict', `${refused} It is ${row.state}.`)
  return { row, minute }
}

function existing (row: OutageRow | undefined): OutageRow {
  if (row === undefined) throw new Fault('not-found', 'No outage has this id; GET /v1/outages lists them.')
  return row
}

function newsOf ({ serviceId, id }: OutageRow, type: NewsType, at: Date): Change {
  return { type, serviceId, outageId: id, at }
}

async function note (tx: Db, { serviceId, id, state }: OutageRow, type: EventType, at: Date, text: string, now: Date): Promise<void> {
  await insertEvent(tx, { serviceId, outageId: id, at, type, state, actor: 'moderator', text }, now)
}

/** @throws Fault `invalid`, naming every member that is wrong */
function checkOpening ({ service: slug, region, device_class: deviceClass, onset_at: onset }: z.infer<typeof OpenBody>, catalog: Catalog, now: Date) {
  const errors: { pointer: string, detail: string }[] = []
  const collect = <T>(find: () => T): T | undefined => {
    try {
      return find()
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      errors.push(...error.errors)
      return undefined
    }
  }
  const service = collect(() => findNamed(catalog.services, slug, 'service', { pointer: '' }))
  if (deviceClass !== undefined && deviceClass !== ALL) collect(() => findNamed(catalog.deviceClasses, deviceClass, 'device class', { pointer: '' }))
  const onsetAt = onset?.getTime() ?? 0
  if (onset !== undefined && onsetAt > now.getTime()) errors.push({ pointer: '/onset_at', detail: `It lies in the future (it is ${now.toISOString()} now).` })
  if (onset !== undefined && onsetAt < now.getTime() - ONSET_AGE_MAX_MS) errors.push({ pointer: '/onset_at', detail: 'It is more than 35 days ago.' })
  if (errors.length > 0) throw new Fault('invalid', 'The body names things that are not known or not possible; `errors` says which.', { errors })
  return { serviceId: service?.id ?? 0, scope: { region, deviceClass }, onsetAt }
}

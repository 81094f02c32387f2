// Reports taken out and put back: a preview of it, the doing, and its undoing.
import { v7 as uuid7 } from 'uuid'
import { z } from 'zod'
import { Fault } from '../core/faults.ts'
import { INTERVAL_MS } from '../core/reports.ts'
import { tellOutageRef } from '../core/telling.ts'
import { DAY_MS, type Clock } from '../core/time.ts'
import { MODERATION_ACTIONS } from '../core/vocabulary.ts'
import { holdAudit, recordAudit } from '../db/audit.ts'
import { LOCKS, retryConflicts, transactUnderLock, UNDONE, type Database, type Db } from '../db/client.ts'
import { findJudgedUntil, requestRejudge } from '../db/detector.ts'
import {
  changeReports, findAction, findLaterActions, findMeant, hasPreview, insertAction, keepOutages, keepPreview, minutesOf, planAction, readActions,
  restoreOutages, takeBack, type Meant, type Selection, type StoredAction
} from '../db/moderation.ts'
import { insertEvent, type Outage } from '../db/outages.ts'
import { announce } from '../db/outbox.ts'
import type { Catalog, Service } from '../db/services.ts'
import { recountFrom, sumMinutes } from '../db/windows.ts'
import { findNamed, Reason } from './admin.ts'
import { OutageRef } from './outages.ts'
import { FilterMembers, filterOf } from './raw-reports.ts'
import { at, At, atOrNull, Instant, pageOf, PageQuery, pageRows, readPlace, Slug, Tally, type Routes } from './schemas.ts'

/** Reports of one action at most. */
const REPORTS_MAX = 100_000
/** So many references, and what stands around them. */
const BODY_BYTES_MAX = 16 * 1024 * 1024

const Reference = z.strictObject({
  service: Slug,
  interval_at: Instant.refine(instant => instant.getTime() % INTERVAL_MS === 0, 'Expected the interval_at of a report: a full quarter of an hour'),
  id: z.uuid()
})

const Chosen = {
  action: z.enum(MODERATION_ACTIONS).describe('restore: excluded to what it was; release: quarantined to counted'),
  reports: z.array(Reference).min(1).max(REPORTS_MAX).optional(),
  filter: z.strictObject(FilterMembers).refine(filter => Object.values(filter).some(value => value !== undefined), 'Expected at least one member').optional(),
  until: Instant.optional().describe('Of a preview: exactly the reports that it found. Any other: reports of minutes before it')
}
const ONE_OF = { message: 'Expected either reports or filter', path: ['filter'] }
const namesOne = ({ reports, filter }: { reports?: unknown, filter?: unknown }) => (reports === undefined) !== (filter === undefined)
const PreviewBody = z.strictObject({ ...Chosen, reason: Reason.optional() }).refine(namesOne, ONE_OF).meta({ id: 'ModerationPreviewBody' })
const ActionBody = z.strictObject({ ...Chosen, reason: Reason }).refine(namesOne, ONE_OF).meta({ id: 'ModerationBody' })
type Body = z.infer<typeof PreviewBody>

const Result = {
  matched: z.int().describe('Reports that are meant'),
  changed: z.int().describe('Those of them that the action concerns'),
  until: At,
  windows: z.object({ before: z.object(Tally), after: z.object(Tally) }).describe('Counts of all minutes that are touched, together'),
  outages: z.object({ before: z.array(OutageRef), after: z.array(OutageRef) }).describe('Of what is judged again; after: what it will find')
}
export const Preview = z.object(Result).meta({ id: 'ModerationPreview' })
export const Action = z.object({
  id: z.uuid(),
  action: z.enum(MODERATION_ACTIONS),
  reason: z.string(),
  by: z.string().describe('The id of a token'),
  created_at: At,
  reverted_at: At.nullable(),
  ...Result
}).meta({ id: 'ModerationAction' })
const ActionPath = z.strictObject({ id: z.uuid() })

/** What judging again would make of a service's outages, as seen inside a transaction. */
export type PreviewRerun = (tx: Db, service: Service, fromMinute: number) => Promise<{ before: Outage[], after: Outage[] }>

interface Done { result: Omit<z.infer<typeof Preview>, 'until'>, meant: Meant[], kept: string[] }

/** `/v1/admin/moderation`. `db`: one whose statements may take as long as the jobs' do. */
export const moderation: Routes<{ db: Database, catalog: () => Catalog, clock: Clock, previewRerun: PreviewRerun }> = async (
  app, { db, catalog, clock, previewRerun }
) => {
  const config = { scope: 'moderate', lasting: true, check: (body: Body) => { selectionOf(body, catalog(), clock.now()) } } as const
  const locked = <T>(work: (tx: Db) => Promise<T>) => retryConflicts(() => transactUnderLock(db, LOCKS.rollup, work))

  /** The action itself: a preview of it is rolled back, so the two cannot differ. */
  async function act (tx: Db, body: Body, id: string): Promise<Done> {
    const selection = selectionOf(body, catalog(), clock.now())
    const preview = body.until !== undefined && await hasPreview(tx, body.until) ? body.until : undefined
    const frozen = 'filter' in selection && preview === undefined && body.until !== undefined
      ? { filter: { ...selection.filter, to: Math.min(selection.filter.to, body.until.getTime()) } }
      : selection
    const rows = await findMeant(tx, frozen, preview, REPORTS_MAX + 1)
    if (rows.length > REPORTS_MAX) throw tooMany()
    const meant = await planAction(tx, body.action, rows)
    const changes = meant.filter(({ next }) => next !== null)
    const minutes = minutesOf(changes)
    const since = recountedSince(minutes)
    await recountFrom(tx, since)
    const before = await sumAll(tx, minutes)
    await changeReports(tx, id, changes)
    await recountFrom(tx, since)
    const outages: { before: Outage[], after: Outage[] } = { before: [], after: [] }
    const kept: string[] = []
    const services = new Map([...catalog().services.values()].map(service => [service.id, service]))
    for (const [serviceId, [first]] of minutes) {
      const told = await previewRerun(tx, services.get(serviceId)!, first!)
      outages.before.push(...told.before)
      outages.after.push(...told.after)
      kept.push(...await keepOutages(tx, serviceId, told.before.map(outage => outage.id)))
      await requestRejudge(tx, serviceId, clock.now(), first)
    }
    const refs = (rows: Outage[]) => rows.map(row => tellOutageRef(row, services.get(row.serviceId)!.slug))
    return {
      result: {
        matched: meant.length,
        changed: changes.length,
        windows: { before, after: await sumAll(tx, minutes) },
        outages: { before: refs(outages.before), after: refs(outages.after) }
      },
      meant,
      kept
    }
  }

  app.post('/moderation/preview', {
    config,
    bodyLimit: BODY_BYTES_MAX,
    schema: {
      summary: 'What an action on reports would do; changes nothing',
      description: 'Answers with `until`, a stamp of what was found: an action that quotes it within the hour means exactly these reports, whatever has come in since.',
      body: PreviewBody,
      response: { 200: Preview }
    }
  }, async ({ body }) => {
    let done: Done | undefined
    await locked(async tx => {
      done = await act(tx, body, uuid7())
      throw UNDONE
    }).catch((error: unknown) => { if (error !== UNDONE) throw error })
    const { result, meant } = done!
    const until = await locked(tx => keepPreview(tx, meant, clock.now()))
    return { ...result, until: at(until) }
  })

  app.post('/moderation/actions', {
    config,
    bodyLimit: BODY_BYTES_MAX,
    schema: {
      summary: 'Take reports out, put them back or release them',
      description: 'Counts are right when it answers; the detector judges again within seconds, from the checkpoint before the first touched minute.',
      body: ActionBody,
      response: { 201: Action }
    }
  }, async ({ body, actor }, reply) => {
    const now = clock.now()
    const id = uuid7()
    const described = await locked(async tx => {
      await holdAudit(tx)
      const { result, kept } = await act(tx, body, id)
      const { reports, filter, action, reason } = body
      const stored: StoredAction = {
        id,
        action,
        reason,
        actor,
        createdAt: now,
        selection: { reports: reports?.length, filter },
        keptOutages: kept,
        result: { ...result, until: at(body.until ?? now) },
        revertedAt: null
      }
      await insertAction(tx, stored)
      const described = describeAction(stored)
      await recordAudit(tx, { actor, action: `moderation.${action}`, target: `moderation/${id}`, after: { ...described, selection: stored.selection }, reason }, now)
      return described
    })
    return reply.code(201).send(described)
  })

  app.get('/moderation/actions', {
    config: { scope: 'moderate' },
    schema: { summary: 'What was done to reports, newest first', querystring: z.strictObject(PageQuery), response: { 200: pageOf(Action) } }
  }, async ({ query: { limit, cursor } }) => {
    const rows = await readActions(db, limit + 1, readPlace(cursor))
    return pageRows(rows, limit, row => [row.createdAt.toISOString(), row.id], describeAction)
  })

  app.get('/moderation/actions/:id', {
    config: { scope: 'moderate' }, schema: { summary: 'One action on reports', params: ActionPath, response: { 200: Action } }
  }, async ({ params: { id } }) => describeAction(found(await findAction(db, id))))

  app.post('/moderation/actions/:id/revert', {
    config: { scope: 'moderate', lasting: true },
    schema: {
      summary: 'Undo an action exactly',
      description: 'Reports, counts and outages are as before it, but for what was judged since, which is judged again.',
      params: ActionPath,
      body: z.strictObject({ reason: Reason.optional() }).nullish(),
      response: { 200: Action }
    }
  }, async ({ params: { id }, body, actor }) => locked(async tx => {
    await holdAudit(tx)
    const now = clock.now()
    const before = found(await findAction(tx, id, 'for update'))
    if (before.revertedAt !== null) throw new Fault('conflict', 'This action was reverted already.')
    const later = await findLaterActions(tx, before)
    if (later.length > 0) throw new Fault('conflict', `Later actions touched some of the same reports; revert them first: ${later.join(', ')}.`)
    const rows = await takeBack(tx, before, now)
    await recountFrom(tx, recountedSince(minutesOf(rows)))
    const restored = await restoreOutages(tx, before.keptOutages as string[])
    const judgedUntil = new Date(await findJudgedUntil(tx) ?? now)
    for (const { serviceId, id: outageId, state } of restored) {
      await insertEvent(tx, { serviceId, outageId, at: judgedUntil, type: 'updated', state, actor: 'moderator', text: 'A moderator took back an earlier decision on reports; this stands as it did before.' }, now)
    }
    for (const [serviceId, [first]] of minutesOf(rows)) await requestRejudge(tx, serviceId, now, first)
    const after = describeAction({ ...before, revertedAt: now })
    await recordAudit(tx, { actor, action: 'moderation.revert', target: `moderation/${id}`, before: describeAction(before), after, reason: body?.reason ?? null }, now)
    await announce(tx, restored.map(({ serviceId, id: outageId }) => ({ type: 'outage.updated', serviceId, outageId, at: now })))
    return after
  }))
}

/** Judging again begins at a checkpoint, at most a day before the first minute (ms): what is stale before that, as after an import, can wait. */
function recountedSince (minutes: ReadonlyMap<number, readonly number[]>): number {
  return Math.min(...[...minutes.values()].map(([first]) => first!)) - DAY_MS
}

async function sumAll (tx: Db, minutes: ReadonlyMap<number, number[]>): Promise<{ working: number, degraded: number, down: number }> {
  const sum = { working: 0, degraded: 0, down: 0 }
  for (const [serviceId, touched] of minutes) {
    const { working, degraded, down } = await sumMinutes(tx, serviceId, touched)
    sum.working += working
    sum.degraded += degraded
    sum.down += down
  }
  return sum
}

/** @throws Fault `invalid`, naming what is wrong */
function selectionOf (body: Body, catalog: Catalog, now: Date): Selection {
  const { reports = [], filter } = body
  if (filter !== undefined) return { filter: filterOf(filter, catalog, now, { pointer: '/filter' }) }
  return {
    keys: reports.map(({ service, interval_at: intervalAt, id }, index) =>
      ({ serviceId: findNamed(catalog.services, service, 'service', { pointer: `/reports/${index}` })!.id, intervalAt, id }))
  }
}

function tooMany (): Fault {
  const detail = `More than ${REPORTS_MAX} reports are meant; narrow the filter, by from and to for instance.`
  return new Fault('invalid', detail, { errors: [{ pointer: '/filter', detail }] })
}

function found (action: StoredAction | undefined): StoredAction {
  if (action === undefined) throw new Fault('not-found', 'No action has this id; GET /v1/admin/moderation/actions lists them.')
  return action
}

function describeAction ({ id, action, reason, actor, createdAt, revertedAt, result }: StoredAction): z.infer<typeof Action> {
  return { id, action, reason, by: actor, created_at: at(createdAt), reverted_at: atOrNull(revertedAt), ...result as z.infer<typeof Preview> }
}

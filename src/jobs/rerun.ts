// Judging a service again from a checkpoint on, after a moderator's work on its reports: what was said live is told anew.
// Judging a whole history again is rejudge's.
import { setImmediate } from 'node:timers/promises'
import { expectPerHour, reviveState, rule, type DetectorState, type OutageFigures, type Ruling } from '../core/detector.ts'
import { floorTo, HOUR_MS, MINUTE_MS } from '../core/time.ts'
import { upsertBaselines } from '../db/baselines.ts'
import { transact, type Database, type Db } from '../db/client.ts'
import {
  deleteRejudge, deleteWithheld, findJudgedUntil, holdJudging, insertWithheld, raiseGeneration, readCheckpointsFrom, readReruns, upsertCheckpoints,
  type Checkpoint, type Rejudge
} from '../db/detector.ts'
import { insertEvent, insertOutageEvents, outageId, readOutagesSince, readScopeNames, stands, upsertOutage, withdrawOutage, type Outage } from '../db/outages.ts'
import { announce, type Change } from '../db/outbox.ts'
import { readRulings } from '../db/rulings.ts'
import type { Service } from '../db/services.ts'
import { changesOf, groupRulings, isClosed, judgeWindow, readChunk, readDeviceImpact, type Found, type Judged, type Judging } from './detect.ts'

const UPDATED = 'A moderator took reports out or put some back; judged again, this is what the others say.'
const WITHDRAWN = 'A moderator took reports out; judged again, the others do not stand out.'

/** One service judged again from a moment (ms) on. */
export interface Rerun { since: number, state: DetectorState, judged: Judged, checkpoints: Checkpoint[] }

/** Judges again what moderators asked for, each service in one transaction. */
export async function rerunModerated (database: Database, judging: Judging, services: readonly Service[], rawFrom: number): Promise<void> {
  for (const request of await readReruns(database)) {
    await rerun(database, judging, services.find(({ id }) => id === request.serviceId)!, request, rawFrom)
  }
}

async function rerun (
  database: Database, judging: Judging, service: Service, request: Rejudge & { fromMinute: number }, rawFrom: number
): Promise<void> {
  const { serviceId, fromMinute } = request
  const told = await transact(database, async tx => {
    // No word slips in between what is read and what is written.
    await holdJudging(tx, judging)
    await deleteRejudge(tx, request)
    const again = await judgeAgain(tx, service, fromMinute, judging.judgedUntil, rawFrom)
    if (again === undefined) return undefined
    await raiseGeneration(tx)
    return { again, openOutage: await tellAgain(tx, serviceId, again, judging.judgedUntil) }
  })
  if (told === undefined) return
  judging.generation++
  judging.states.set(serviceId, told.again.state)
  if (told.openOutage === undefined) judging.openOutages.delete(serviceId)
  else judging.openOutages.set(serviceId, told.openOutage)
  for (const key of judging.heard.keys()) if (key.startsWith(`${serviceId} `)) judging.heard.delete(key)
}

/**
 * What judging again, as seen inside `tx`, would make of a service's live outages since the checkpoint before `fromMinute`
 * (ms). Changes nothing. @param rawFrom from where on (ms) raw reports are kept.
 */
export async function previewRerun (tx: Db, service: Service, fromMinute: number, rawFrom: number): Promise<{ before: Outage[], after: Outage[] }> {
  const serviceId = service.id
  const judgedUntil = await findJudgedUntil(tx)
  const again = judgedUntil === undefined ? undefined : await judgeAgain(tx, service, fromMinute, judgedUntil, rawFrom)
  const before = await readOutagesSince(tx, serviceId, again?.since ?? fromMinute)
  if (again === undefined || judgedUntil === undefined) return { before, after: before }
  await tx.query('savepoint rerun')
  await tellAgain(tx, serviceId, again, judgedUntil)
  const after = await readOutagesSince(tx, serviceId, again.since)
  await tx.query('rollback to savepoint rerun')
  return { before, after }
}

/**
 * Folds a service's windows again from the checkpoint before `fromMinute`, or the oldest whose raw reports are kept,
 * asking for the networks behind each claim anew. Undefined without a checkpoint: nothing of it was judged.
 */
async function judgeAgain (db: Db, service: Service, fromMinute: number, judgedUntil: number, rawFrom: number): Promise<Rerun | undefined> {
  const [first, ...later] = (await readCheckpointsFrom(db, service.id, fromMinute))
    .filter(checkpoint => checkpoint.judgedUntil >= rawFrom && !reviveState(checkpoint.state).outdated)
  if (first === undefined) return undefined
  const again: Rerun = { since: first.judgedUntil, state: first.state, judged: beginJudged(first.state), checkpoints: [] }
  await foldAgain(db, service, again, judgedUntil, later)
  return again
}

/** Nothing judged yet; an outage that is open is found already. */
export function beginJudged ({ outage }: DetectorState): Judged {
  return { found: outage === null ? [] : [{ figures: outage.figures, transitions: [], networks: [] }], expectations: [], withheld: [] }
}

/** Judges `[again.since, until)` (ms) into `again`, in place; states are kept at the moments of `checkpoints`. */
export async function foldAgain (db: Db, service: Service, again: Rerun, until: number, checkpoints: readonly Checkpoint[]): Promise<void> {
  const { state, judged } = again
  const serviceId = service.id
  const rulings = groupRulings(await readRulings(db, again.since, until, serviceId))
  const moments = new Map(checkpoints.map(checkpoint => [checkpoint.judgedUntil, checkpoint.state.expectedPerHour]))
  const heard = new Map<string, number>()
  const obey = (at: number) => { for (const ruling of rulings.get(`${serviceId} ${at}`) ?? []) noteRuling(judged.found, ruling, rule(state, ruling)) }
  for (let from = again.since; from < until;) {
    const to = Math.min(floorTo(from, HOUR_MS) + HOUR_MS, until)
    const chunk = await readChunk(db, from, to, [service], serviceId)
    await setImmediate()
    for (let start = from; start < to; start += MINUTE_MS) {
      // What is expected changes where a checkpoint was written of it.
      expectPerHour(state, moments.get(start) ?? state.expectedPerHour)
      if (moments.has(start)) again.checkpoints.push({ serviceId, judgedUntil: start, state: structuredClone(state) })
      obey(start)
      await judgeWindow(db, serviceId, state, chunk.windowOf(serviceId, start), judged, heard)
    }
    from = to
  }
  if (moments.has(until)) again.checkpoints.push({ serviceId, judgedUntil: until, state: structuredClone(state) })
  // The next chunk obeys these again, which changes nothing: here they say how the rows stand.
  obey(until)
}

function noteRuling (found: Found[], ruling: Ruling, figures: OutageFigures | null): void {
  if (figures === null) return
  const last = found.at(-1)
  if (ruling.type === 'open' || last === undefined) found.push({ figures, transitions: [], networks: [] })
  else last.figures = figures
}

/**
 * Writes what was found into the tables. Outages are matched with the rows by overlap in time: one that is matched keeps
 * its id, one that no row matches is new, a row that nothing matches is withdrawn. What a moderator dismissed after it
 * was over, or merged, stays as it is. @returns the id of the outage that is open now.
 */
export async function tellAgain (tx: Db, serviceId: number, { since, judged, checkpoints }: Rerun, judgedUntil: number): Promise<string | undefined> {
  const at = new Date(judgedUntil)
  await deleteWithheld(tx, serviceId, since)
  if (judged.withheld.length > 0) await insertWithheld(tx, judged.withheld)
  await upsertBaselines(tx, judged.expectations)
  await upsertCheckpoints(tx, checkpoints)
  const rows = await readOutagesSince(tx, serviceId, since)
  const pairs: { found: Found, row: Outage | undefined }[] = []
  for (const found of judged.found) {
    const row = rows.find(row => overlaps(row, found.figures) && (!isSettled(row) || isClosed(found.figures.state)))
    if (row !== undefined) rows.splice(rows.indexOf(row), 1)
    if (row === undefined || !isSettled(row)) pairs.push({ found, row })
  }
  const changes: Change[] = []
  for (const row of rows) {
    const withdrawn = await withdrawOutage(tx, row, at, 'moderator', WITHDRAWN)
    if (withdrawn) changes.push({ type: 'outage.dismissed', serviceId, outageId: row.id, at })
  }
  const names = await readScopeNames(tx)
  let openOutage: string | undefined
  for (const { found: { figures, transitions, networks }, row } of pairs) {
    const id = row?.id ?? outageId(figures.detectedAt)
    if (!isClosed(figures.state)) openOutage = id
    if (row !== undefined && stands(row, figures)) continue
    await upsertOutage(tx, serviceId, id, figures, await readDeviceImpact(tx, serviceId, figures, judgedUntil), false)
    if (row === undefined) {
      await insertOutageEvents(tx, names, serviceId, id, transitions, networks)
      changes.push(...changesOf(serviceId, id, transitions))
    } else {
      await insertEvent(tx, { serviceId, outageId: id, at, type: 'updated', state: figures.state, actor: 'moderator', text: UPDATED }, at)
      changes.push({ type: 'outage.updated', serviceId, outageId: id, at })
    }
  }
  await announce(tx, changes)
  return openOutage
}

/** A moderator's last word on what was over: judging again does not touch it. */
function isSettled ({ state, confirmedAt, withdrawn, mergedInto }: Outage): boolean {
  return mergedInto !== null || (state === 'dismissed' && confirmedAt !== null && !withdrawn)
}

/** Whether a row and what was found lie over each other in time. */
export function overlaps (outage: Outage, figures: OutageFigures): boolean {
  const end = outage.resolvedAt ?? outage.dismissedAt
  const figuresEnd = figures.resolvedAt ?? figures.dismissedAt ?? Infinity
  return outage.onsetAt.getTime() < figuresEnd && (end === null || figures.onsetAt < end.getTime())
}

// Judging a service again, from its first imported minute or the oldest that is kept on, and keeping what that teaches:
// after an import of history, and after an update that cannot read what was learnt before.
import { advance, decide, keepLifecycle, newDetector, reviveState, rule, type DetectorState } from '../core/detector.ts'
import { WINDOW_WIDTHS } from '../core/curves.ts'
import { DAY_MS, floorTo, HOUR_MS, MINUTE_MS } from '../core/time.ts'
import { upsertBaselines } from '../db/baselines.ts'
import { transact, type Database } from '../db/client.ts'
import {
  deleteCheckpoints, deleteRejudge, findRejudge, holdJudging, raiseGeneration, readCheckpointMoments, readCheckpointsFrom, readWithheld, upsertCheckpoints, type Checkpoint, type Rejudge
} from '../db/detector.ts'
import { insertOutageEvents, outageId, readRetrospective, readScopeNames, upsertOutage, withdrawOutage } from '../db/outages.ts'
import { readRulings } from '../db/rulings.ts'
import type { Service } from '../db/services.ts'
import { groupRulings, groupWithheld, noteDecision, readChunk, readDeviceImpact, type Found, type Judged, type Judging } from './detect.ts'
import { beginJudged, foldAgain, overlaps, tellAgain, type Rerun } from './rerun.ts'

/** An import is over when it has been quiet for this long, real ms. */
export const SETTLED_MS = 5_000
const WITHDRAWN = 'With more of the past imported, the reports of this time no longer stand out.'

/** One service's history on its way through the detector again. */
export interface Refold {
  request: Rejudge
  service: Service
  state: DetectorState
  /** Folded from the first up to the second, ms. */
  from: number
  at: number
  found: Found[]
  /** What was learnt by the moments at which the service is checkpointed: judging may begin there again. */
  learnt: Checkpoint[]
  /** Of a service whose checkpoint could not be read: what its minutes since then, which nobody judged, have to tell. */
  live: Rerun | undefined
}

/** The next service that waits to be judged again, ready to be folded. */
export async function startRefold (
  database: Database, judging: Judging, services: readonly Service[], speed: number, now: Date
): Promise<Refold | undefined> {
  const request = await findRejudge(database, new Date(now.getTime() - (judging.outdated.size > 0 ? 0 : SETTLED_MS * speed)))
  const service = services.find(({ id }) => id === request?.serviceId)
  const since = service?.historyFrom ?? service?.liveSince
  if (request === undefined || service === undefined || since == null) return undefined
  const at = Math.max(since.getTime(), floorTo(now.getTime() - WINDOW_WIDTHS['1m'].keptMs, HOUR_MS))
  return { request, service, state: newDetector(service.expectedPerHour, 1), from: at, at, found: [], learnt: [], live: undefined }
}

/**
 * Folds one more day; when that reaches what is judged, the learnt state takes the old one's place and true is returned.
 * Run between two judgings, never during one. A crash midway starts it over.
 */
export async function continueRefold (database: Database, refold: Refold, judging: Judging): Promise<boolean> {
  const outdated = judging.outdated.get(refold.service.id)
  const reach = Math.max(refold.from, outdated?.judgedUntil ?? judging.judgedUntil)
  const to = Math.min(floorTo(refold.at, DAY_MS) + DAY_MS, reach)
  const expectations = await foldDay(database, refold, to)
  if (to < reach) {
    const liveSince = refold.service.liveSince?.getTime() ?? judging.judgedUntil
    await upsertBaselines(database, unsaid(expectations, liveSince, judging.judgedUntil))
    return false
  }
  if (outdated !== undefined) await judgeLive(database, refold, outdated, judging.judgedUntil)
  return await finishRefold(database, refold, judging, expectations)
}

async function foldDay (database: Database, refold: Refold, to: number): Promise<Judged['expectations']> {
  const { service, state } = refold
  const expectations: Judged['expectations'] = []
  const chunk = await readChunk(database, refold.at, to, [service], service.id)
  const withheld = groupWithheld(await readWithheld(database, refold.at, to, service.id))
  const rulings = groupRulings(await readRulings(database, refold.at, to - 1, service.id))
  const moments = await readCheckpointMoments(database, service.id, refold.at, to)
  for (let start = refold.at; start < to; start += MINUTE_MS) {
    const key = `${service.id} ${start}`
    if (moments.has(start)) refold.learnt.push({ serviceId: service.id, judgedUntil: start, state: structuredClone(state) })
    for (const ruling of rulings.get(key) ?? []) rule(state, ruling)
    const { expectation } = advance(state, chunk.windowOf(service.id, start))
    if (expectation !== null) expectations.push({ serviceId: service.id, expectation })
    noteDecision(refold.found, decide(state, withheld.get(key) ?? new Set()), new Map())
  }
  refold.at = to
  return expectations
}

/** With what was learnt and the outage that was open, judges the minutes since the checkpoint as if they came now. */
async function judgeLive (database: Database, refold: Refold, { judgedUntil: since, state: said }: Checkpoint, judgedUntil: number): Promise<void> {
  refold.state.outage = said.outage
  refold.live = { since: Math.max(since, refold.from), state: refold.state, judged: beginJudged(refold.state), checkpoints: [] }
  await foldAgain(database, refold.service, refold.live, judgedUntil, [])
}

async function finishRefold (database: Database, refold: Refold, judging: Judging, expectations: Judged['expectations']): Promise<boolean> {
  const { service, request, live } = refold
  const said = judging.states.get(service.id)
  const state = said === undefined ? refold.state : keepLifecycle(refold.state, said)
  const liveSince = service.liveSince?.getTime() ?? judging.judgedUntil
  const past = refold.found.filter(({ figures }) => (figures.resolvedAt ?? figures.dismissedAt ?? Infinity) <= liveSince)
  const openOutage = await transact(database, async tx => {
    await holdJudging(tx, judging)
    await raiseGeneration(tx)
    // Asked again meanwhile: what was folded is true all the same, and the next request folds on.
    await deleteRejudge(tx, request)
    await upsertBaselines(tx, unsaid(expectations, liveSince, judging.judgedUntil))
    const earlier = new Map((await readCheckpointsFrom(tx, service.id, refold.from)).map(checkpoint => [checkpoint.judgedUntil, reviveState(checkpoint.state).state]))
    await deleteCheckpoints(tx, service.id)
    await upsertCheckpoints(tx, refold.learnt.flatMap(({ serviceId, judgedUntil, state }) => {
      const said = earlier.get(judgedUntil)
      return said === undefined ? [] : [{ serviceId, judgedUntil, state: keepLifecycle(state, said) }]
    }))
    await upsertCheckpoints(tx, [{ serviceId: service.id, judgedUntil: judging.judgedUntil, state }])
    const known = await readRetrospective(tx, service.id, new Date(refold.from), new Date(liveSince))
    const names = await readScopeNames(tx)
    for (const { figures, transitions } of past) {
      const same = known.find(outage => overlaps(outage, figures))
      const id = same?.id ?? outageId(figures.detectedAt)
      await upsertOutage(tx, service.id, id, figures, await readDeviceImpact(tx, service.id, figures, liveSince), true)
      if (same === undefined) await insertOutageEvents(tx, names, service.id, id, transitions)
      else known.splice(known.indexOf(same), 1)
    }
    for (const outage of known) await withdrawOutage(tx, outage, new Date(judging.judgedUntil), 'detector', WITHDRAWN)
    return live === undefined ? judging.openOutages.get(service.id) : await tellAgain(tx, service.id, live, judging.judgedUntil)
  })
  judging.generation++
  judging.states.set(service.id, state)
  judging.outdated.delete(service.id)
  if (openOutage === undefined) judging.openOutages.delete(service.id)
  else judging.openOutages.set(service.id, openOutage)
  return true
}

/** Expectations of hours that nobody was shown any for: those of history, and the hour that now runs. */
function unsaid (
  expectations: Judged['expectations'], liveSince: number, judgedUntil: number
): Judged['expectations'] {
  return expectations.filter(({ expectation: { hour } }) => hour < liveSince || hour + HOUR_MS > judgedUntil)
}

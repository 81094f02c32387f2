// Judging a service again, from its first imported minute or the oldest that is kept on, and keeping what that teaches:
// after an import of history, and after an update that cannot read what was learnt before.
import { advance, decide, keepLifecycle, newDetector, type DetectorState, type HourExpectation, type OutageFigures } from '../core/detector.ts'
import { WINDOW_WIDTHS } from '../core/curves.ts'
import { DAY_MS, floorTo, HOUR_MS, MINUTE_MS } from '../core/time.ts'
import { upsertBaselines } from '../db/baselines.ts'
import { transact, type Database } from '../db/client.ts'
import { deleteCheckpoints, deleteRejudge, findRejudge, readWithheld, upsertCheckpoints, type Rejudge } from '../db/detector.ts'
import { insertOutageEvents, outageId, readRetrospective, upsertOutage, withdrawOutage, type Outage } from '../db/outages.ts'
import type { Service } from '../db/services.ts'
import { groupWithheld, noteDecision, readChunk, readDeviceImpact, type Found, type Judging } from './detect.ts'

/** An import is over when it has been quiet for this long, real ms. */
const SETTLED_MS = 5_000

/** One service's history on its way through the detector again. */
export interface Refold {
  request: Rejudge
  service: Service
  state: DetectorState
  /** Folded from the first up to the second, ms. */
  from: number
  at: number
  found: Found[]
}

/** The next service that waits to be judged again, ready to be folded. */
export async function startRefold (database: Database, services: readonly Service[], speed: number, now: Date): Promise<Refold | undefined> {
  const request = await findRejudge(database, new Date(now.getTime() - SETTLED_MS * speed))
  const service = services.find(({ id }) => id === request?.serviceId)
  const since = service?.historyFrom ?? service?.liveSince
  if (request === undefined || service === undefined || since == null) return undefined
  const at = Math.max(since.getTime(), floorTo(now.getTime() - WINDOW_WIDTHS['1m'].keptMs, HOUR_MS))
  return { request, service, state: newDetector(service.expectedPerHour, 1), from: at, at, found: [] }
}

/**
 * Folds one more day; when that reaches what is judged, the learnt state takes the old one's place and true is returned.
 * Run between two judgings, never during one. A crash midway starts it over.
 */
export async function continueRefold (database: Database, refold: Refold, judging: Judging): Promise<boolean> {
  const to = Math.min(floorTo(refold.at, DAY_MS) + DAY_MS, judging.judgedUntil)
  const expectations = await foldDay(database, refold, to)
  if (to < judging.judgedUntil) {
    const liveSince = refold.service.liveSince?.getTime() ?? judging.judgedUntil
    await upsertBaselines(database, unsaid(expectations, liveSince, judging.judgedUntil))
    return false
  }
  return await finishRefold(database, refold, judging, expectations)
}

async function foldDay (database: Database, refold: Refold, to: number): Promise<{ serviceId: number, expectation: HourExpectation }[]> {
  const { service, state } = refold
  const expectations: { serviceId: number, expectation: HourExpectation }[] = []
  const chunk = await readChunk(database, refold.at, to, [service], service.id)
  const withheld = groupWithheld(await readWithheld(database, refold.at, to, service.id))
  for (let start = refold.at; start < to; start += MINUTE_MS) {
    const { expectation } = advance(state, chunk.windowOf(service.id, start))
    if (expectation !== null) expectations.push({ serviceId: service.id, expectation })
    noteDecision(refold.found, decide(state, withheld.get(`${service.id} ${start}`) ?? new Set()), new Map())
  }
  refold.at = to
  return expectations
}

async function finishRefold (
  database: Database, refold: Refold, judging: Judging, expectations: { serviceId: number, expectation: HourExpectation }[]
): Promise<boolean> {
  const { service, request } = refold
  const said = judging.states.get(service.id)
  const state = said === undefined ? refold.state : keepLifecycle(refold.state, said)
  const liveSince = service.liveSince?.getTime() ?? judging.judgedUntil
  const past = refold.found.filter(({ figures }) => (figures.resolvedAt ?? figures.dismissedAt ?? Infinity) <= liveSince)
  await transact(database, async tx => {
    // Asked again meanwhile: what was folded is true all the same, and the next request folds on.
    await deleteRejudge(tx, request)
    await upsertBaselines(tx, unsaid(expectations, liveSince, judging.judgedUntil))
    await deleteCheckpoints(tx, service.id)
    await upsertCheckpoints(tx, [{ serviceId: service.id, judgedUntil: judging.judgedUntil, state }])
    const known = await readRetrospective(tx, service.id, new Date(refold.from), new Date(liveSince))
    for (const { figures, transitions } of past) {
      const same = known.find(outage => overlaps(outage, figures))
      const id = same?.id ?? outageId(figures.detectedAt)
      await upsertOutage(tx, service.id, id, figures, await readDeviceImpact(tx, service, figures, liveSince), true)
      if (same === undefined) await insertOutageEvents(tx, service.id, id, transitions)
      else known.splice(known.indexOf(same), 1)
    }
    for (const outage of known) await withdrawOutage(tx, outage, new Date(judging.judgedUntil))
  })
  judging.states.set(service.id, state)
  return true
}

/** Expectations of hours that nobody was shown any for: those of history, and the hour that now runs. */
function unsaid (
  expectations: readonly { serviceId: number, expectation: HourExpectation }[], liveSince: number, judgedUntil: number
): { serviceId: number, expectation: HourExpectation }[] {
  return expectations.filter(({ expectation: { hour } }) => hour < liveSince || hour + HOUR_MS > judgedUntil)
}

function overlaps (outage: Outage, figures: OutageFigures): boolean {
  const end = outage.resolvedAt ?? outage.dismissedAt
  const figuresEnd = figures.resolvedAt ?? figures.dismissedAt ?? Infinity
  return outage.onsetAt.getTime() < figuresEnd && (end === null || figures.onsetAt < end.getTime())
}

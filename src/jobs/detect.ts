// Judges closed minutes, once each: windows as seen + what is usual → reading → lifecycle → tables.
// The statistics are core's; re-judging imported history is rejudge's.
import { setImmediate } from 'node:timers/promises'
import { expectationsOf, sumExpectation } from '../core/curves.ts'
import {
  advance, decide, NETWORKS_MIN, newDetector, reviveState,
  type Claim, type Decision, type DetectorState, type HourExpectation, type OutageFigures, type SeenCell, type Transition
} from '../core/detector.ts'
import { floorTo, HOUR_MS, MINUTE_MS } from '../core/time.ts'
import { ALL, scopeKey, type OutageState } from '../core/vocabulary.ts'
import { readBaselines, upsertBaselines } from '../db/baselines.ts'
import { transact, type Database, type Db } from '../db/client.ts'
import {
  findJudgedUntil, insertWithheld, moveJudgedUntil, pruneCheckpoints, readCheckpoints, readWithheld, requestRejudge, upsertCheckpoints,
  type Checkpoint, type Withheld
} from '../db/detector.ts'
import { insertOutageEvents, outageId, readOpenOutages, upsertOutage } from '../db/outages.ts'
import { countNetworks } from '../db/reports.ts'
import { readCatalog, type Service } from '../db/services.ts'
import type { DeviceImpact } from '../db/tables.ts'
import { readServiceWatched, readWatched } from '../db/watched.ts'
import { readDivided, readSeen, readWithin, type SeenRow } from '../db/windows.ts'

/** Minutes judged in one transaction, when there is more than one to catch up with. */
const CHUNK_MINUTES_MAX = 60

/** What the job holds in memory between minutes; all of it can be read again from the tables. */
export interface Judging {
  judgedUntil: number
  states: Map<number, DetectorState>
  openOutages: Map<number, string>
  /** By service and scope: the start (ms) of a run that enough networks stood behind. A longer run has no fewer. */
  heardSince: Map<string, number>
}

/**
 * Reads where judging stands: the newest checkpoints, and folds into them what was judged since. What an earlier version
 * had learnt and this one cannot read is asked to be learnt anew from the windows that are kept.
 */
export async function loadJudging (db: Db): Promise<Judging> {
  const judgedUntil = await findJudgedUntil(db)
  if (judgedUntil === undefined) throw new Error('Judging has not begun: the service marks its beginning when it starts.')
  const checkpoints = await readCheckpoints(db)
  const services = [...(await readCatalog(db)).services.values()]
  const states = new Map<number, DetectorState>()
  for (const { serviceId, state: stored } of checkpoints) {
    const { state, outdated } = reviveState(stored)
    states.set(serviceId, state)
    if (outdated) await requestRejudge(db, serviceId, new Date(judgedUntil))
  }
  const since = new Map(checkpoints.map(({ serviceId, judgedUntil }) => [serviceId, judgedUntil]))
  for (let from = Math.min(judgedUntil, ...since.values()); from < judgedUntil;) {
    const to = Math.min(floorTo(from, HOUR_MS) + HOUR_MS, judgedUntil)
    const chunk = await readChunk(db, from, to, services)
    const withheld = groupWithheld(await readWithheld(db, from, to))
    for (let start = from; start < to; start += MINUTE_MS) {
      for (const [serviceId, state] of states) {
        if (start < since.get(serviceId)!) continue
        advance(state, chunk.windowOf(serviceId, start))
        decide(state, withheld.get(`${serviceId} ${start}`) ?? NONE)
      }
    }
    from = to
  }
  const openOutages = new Map((await readOpenOutages(db)).map(({ serviceId, id }) => [serviceId, id]))
  return { judgedUntil, states, openOutages, heardSince: new Map() }
}

const NONE: ReadonlySet<string> = new Set()

/** Scopes withheld, by `<service> <minute>`. */
export function groupWithheld (rows: readonly Withheld[]): Map<string, Set<string>> {
  const grouped = new Map<string, Set<string>>()
  for (const { serviceId, minute, scope } of rows) {
    const key = `${serviceId} ${minute}`
    grouped.set(key, (grouped.get(key) ?? new Set()).add(scope))
  }
  return grouped
}

/** What was seen in a stretch of minutes, ready to be asked by service and minute. */
export interface Chunk { windowOf: (serviceId: number, start: number) => { start: number, watched: boolean, cells: readonly SeenCell[] } }

/** Reads what the detector judges in `[from, to)`: counts as seen, and which minutes somebody watched. */
export async function readChunk (db: Db, from: number, to: number, services: readonly Service[], serviceId?: number): Promise<Chunk> {
  const [rows, stretches] = await Promise.all([readSeen(db, from, to, serviceId), readWatched(db, from, to)])
  const cells = new Map<string, SeenCell[]>()
  for (const row of rows) {
    const key = `${row.service_id} ${row.minute.getTime()}`
    const known = cells.get(key)
    if (known === undefined) cells.set(key, [cellOf(row)])
    else known.push(cellOf(row))
  }
  const watched = new Set<number>()
  for (const stretch of stretches) for (let at = stretch.from; at < stretch.to; at += MINUTE_MS) watched.add(at)
  const history = new Map(services.map(({ id, historyFrom, historyTo }) => [id, { from: historyFrom?.getTime() ?? Infinity, to: historyTo?.getTime() ?? -Infinity }]))
  return {
    windowOf (serviceId, start) {
      const past = history.get(serviceId)
      return {
        start,
        watched: watched.has(start) || (past !== undefined && start >= past.from && start <= past.to),
        cells: cells.get(`${serviceId} ${start}`) ?? []
      }
    }
  }
}

function cellOf ({ region, device_class: deviceClass, working, degraded, down }: SeenRow): SeenCell {
  return { region, deviceClass, working, degraded, down }
}

/** An outage as it stood last, and what was said of it on the way. */
export interface Found { figures: OutageFigures, transitions: Transition[], networks: (number | undefined)[] }

/** What one chunk of judging has to write, all in one transaction. */
interface Findings {
  outages: Map<number, Found[]>
  expectations: { serviceId: number, expectation: HourExpectation }[]
  withheld: Withheld[]
  checkpoints: Checkpoint[]
}

/**
 * Judges every minute that ended by `until` (ms), in chunks that end at full hours.
 * `judging` is advanced in place. On a throw, or when another instance has judged meanwhile (false), it is spoilt:
 * load it again.
 */
export async function detect (database: Database, judging: Judging, services: readonly Service[], until: number): Promise<boolean> {
  while (judging.judgedUntil < until) {
    const from = judging.judgedUntil
    const to = Math.min(until, floorTo(from, HOUR_MS) + HOUR_MS, from + CHUNK_MINUTES_MAX * MINUTE_MS)
    const findings = await judgeChunk(database, judging, services, from, to)
    const written = await transact(database, tx => writeFindings(tx, judging, services, findings, from, to))
    if (!written) return false
    judging.judgedUntil = to
  }
  return true
}

async function judgeChunk (db: Db, judging: Judging, services: readonly Service[], from: number, to: number): Promise<Findings> {
  const findings: Findings = { outages: new Map(), expectations: [], withheld: [], checkpoints: [] }
  for (const { id, expectedPerHour } of services) {
    if (judging.states.has(id)) continue
    const state = newDetector(expectedPerHour, 1)
    judging.states.set(id, state)
    findings.checkpoints.push({ serviceId: id, judgedUntil: from, state: structuredClone(state) })
  }
  const chunk = await readChunk(db, from, to, services)
  for (let start = from; start < to; start += MINUTE_MS) {
    // Reports that come in meanwhile do not wait for an hour's judging.
    await setImmediate()
    for (const [serviceId, state] of judging.states) {
      const { claims, expectation } = advance(state, chunk.windowOf(serviceId, start))
      if (expectation !== null) findings.expectations.push({ serviceId, expectation })
      const networks = await askNetworks(db, judging, serviceId, claims)
      const tooFew = [...networks].filter(([, count]) => count < NETWORKS_MIN)
      for (const [scope, count] of tooFew) findings.withheld.push({ serviceId, minute: start, scope, networks: count })
      const decision = decide(state, new Set(tooFew.map(([scope]) => scope)))
      if (decision.outage === null) continue
      const found = findings.outages.get(serviceId) ?? []
      noteDecision(found, decision, networks)
      findings.outages.set(serviceId, found)
    }
  }
  for (const [serviceId, state] of judging.states) {
    if (checkpointIsDue(serviceId, from, to)) findings.checkpoints.push({ serviceId, judgedUntil: to, state })
  }
  return findings
}

/** Every service is checkpointed once an hour, at a minute of its own, so that no minute has to write them all. */
function checkpointIsDue (serviceId: number, from: number, to: number): boolean {
  const slot = serviceId % 60 * MINUTE_MS
  return floorTo(to - slot, HOUR_MS) > floorTo(from - slot, HOUR_MS)
}

/** Adds a window's decision to the outages found so far: to the last, unless it is a new one. */
export function noteDecision (found: Found[], { outage, transitions }: Decision, networks: ReadonlyMap<string, number>): void {
  if (outage === null) return
  let last = found.at(-1)
  if (last === undefined || last.figures.detectedAt !== outage.detectedAt) found.push(last = { figures: outage, transitions: [], networks: [] })
  last.figures = outage
  for (const transition of transitions) {
    last.transitions.push(transition)
    // Once confirmed, whether they are counted again depends on when we were last started, which no decision may show.
    const counted = outage.confirmedAt === null || transition.at <= outage.confirmedAt
    last.networks.push(counted ? networks.get(scopeKey(transition.scope)) : undefined)
  }
}

/** The networks behind each claim, by scope; one whose run is known to have enough is not counted again once confirmed. */
async function askNetworks (db: Db, { states, heardSince }: Judging, serviceId: number, claims: readonly Claim[]): Promise<Map<string, number>> {
  const networks = new Map<string, number>()
  const confirmed = states.get(serviceId)?.outage?.figures.confirmedAt != null
  for (const { scope, since, until } of claims) {
    const key = scopeKey(scope)
    const heard = heardSince.get(`${serviceId} ${key}`)
    if (confirmed && heard !== undefined && since <= heard) continue
    const count = await countNetworks(db, serviceId, scope, since, until)
    networks.set(key, count)
    if (count >= NETWORKS_MIN) heardSince.set(`${serviceId} ${key}`, since)
  }
  return networks
}

async function writeFindings (
  tx: Db, judging: Judging, services: readonly Service[], findings: Findings, from: number, to: number
): Promise<boolean> {
  if (!await moveJudgedUntil(tx, from, to)) return false
  if (findings.withheld.length > 0) await insertWithheld(tx, findings.withheld)
  await upsertBaselines(tx, findings.expectations)
  for (const [serviceId, found] of findings.outages) {
    const service = services.find(({ id }) => id === serviceId)
    for (const { figures, transitions, networks } of found) {
      const id = judging.openOutages.get(serviceId) ?? outageId(figures.detectedAt)
      const impact = service === undefined ? [] : await readDeviceImpact(tx, service, figures, to)
      await upsertOutage(tx, serviceId, id, figures, impact, false)
      await insertOutageEvents(tx, serviceId, id, transitions, networks)
      if (isClosed(figures.state)) judging.openOutages.delete(serviceId)
      else judging.openOutages.set(serviceId, id)
    }
  }
  await upsertCheckpoints(tx, findings.checkpoints)
  if (to % HOUR_MS === 0) await pruneCheckpoints(tx, to)
  return true
}

function isClosed (state: OutageState): boolean {
  return state === 'resolved' || state === 'dismissed'
}

/** Whom an outage hits: counts and expectations by device class within its region, from its onset to its end or `to` (ms). */
export async function readDeviceImpact (db: Db, service: Service, figures: OutageFigures, to: number): Promise<DeviceImpact[]> {
  const from = figures.onsetAt
  const end = figures.resolvedAt ?? figures.dismissedAt ?? to
  const scope = { region: figures.scope.region, deviceClass: ALL }
  const watched = await readServiceWatched(db, service.id, from, end)
  const cells = await readDivided(db, service.id, 'device_class', scope, from, end)
  const keys = cells.map(({ key }) => scopeKey({ ...scope, deviceClass: key }))
  const baselines = await readBaselines(db, service.id, keys, floorTo(from, HOUR_MS), end)
  const within = await readWithin(db, service.id, 'device_class', scope, new Map(cells.map(({ key }) => [key, watched])))
  return cells.map(({ key }, index) => {
    const { expected } = sumExpectation(expectationsOf(baselines, keys[index]!), watched)
    return { deviceClass: key, down: within.get(key) ?? 0, expectedDown: expected }
  })
}

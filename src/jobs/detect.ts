// Judges closed minutes, once each: windows as seen + what is usual → reading → lifecycle → tables.
// The statistics are core's; re-judging imported history is rejudge's.
import { setImmediate } from 'node:timers/promises'
import { commonStretches, expectationsOf, sumExpectation, type Stretch } from '../core/curves.ts'
import {
  advance, beginHour, decide, expectPerHour, NETWORKS_MIN, newDetector, reviveState, rule, runningExpectation,
  type Claim, type Decision, type DetectorState, type HourExpectation, type OutageFigures, type SeenWindow, type Transition
} from '../core/detector.ts'
import { floorTo, HOUR_MS, MINUTE_MS } from '../core/time.ts'
import { ALL, scopeKey, type OutageState } from '../core/vocabulary.ts'
import { readBaselines, upsertBaselines } from '../db/baselines.ts'
import { transact, type Database, type Db } from '../db/client.ts'
import {
  findJudgedMark, holdJudging, insertWithheld, moveJudgedUntil, pruneCheckpoints, readCheckpoints, readWithheld, requestRejudge, upsertCheckpoints,
  type Checkpoint, type JudgedMark, type Withheld
} from '../db/detector.ts'
import { insertOutageEvents, outageId, readOpenOutages, readScopeNames, upsertOutage } from '../db/outages.ts'
import { announce, newsOf, type Change } from '../db/outbox.ts'
import { countNetworks } from '../db/reports.ts'
import { readRulings, type StoredRuling } from '../db/rulings.ts'
import { readCatalog, type Service } from '../db/services.ts'
import type { DeviceImpact } from '../db/tables.ts'
import { readServiceWatched, readWatched, readWatchedOf } from '../db/watched.ts'
import { readDivided, readSeenMinutes, readWithin } from '../db/windows.ts'

/** Minutes judged in one transaction, when there is more than one to catch up with. */
const CHUNK_MINUTES_MAX = 60
/** The event loop is held for no longer than this and a service, ms: reports that come in do not wait for all of them. */
const TURN_MS = 5

/** What the job holds in memory between minutes; all of it can be read again from the tables. */
export interface Judging extends JudgedMark {
  states: Map<number, DetectorState>
  /** Services whose checkpoint an earlier version wrote: they rest until they are judged again from their history on. */
  outdated: Map<number, Checkpoint>
  openOutages: Map<number, string>
  heard: Heard
}

/** By service and scope: the start (ms) of a run that enough networks stood behind. A longer run has no fewer. */
type Heard = Map<string, number>

/**
 * Reads where judging stands: the newest checkpoints, and folds into them what was judged since. What is expected in the
 * running hour and in one that begins is written again: whoever judged last may have been cut off before that.
 */
export async function loadJudging (db: Db): Promise<Judging> {
  const mark = await findJudgedMark(db)
  if (mark === undefined) throw new Error('Judging has not begun: the service marks its beginning when it starts.')
  const { judgedUntil } = mark
  const services = [...(await readCatalog(db)).services.values()]
  const states = new Map<number, DetectorState>()
  const since = new Map<number, number>()
  const outdated = new Map<number, Checkpoint>()
  for (const checkpoint of await readCheckpoints(db)) {
    const { serviceId } = checkpoint
    const revived = reviveState(checkpoint.state)
    if (revived.outdated) {
      outdated.set(serviceId, { ...checkpoint, state: revived.state })
      await requestRejudge(db, serviceId, new Date(judgedUntil))
    } else {
      states.set(serviceId, revived.state)
      since.set(serviceId, checkpoint.judgedUntil)
    }
  }
  for (let from = Math.min(judgedUntil, ...since.values()); from < judgedUntil;) {
    const to = Math.min(floorTo(from, HOUR_MS) + HOUR_MS, judgedUntil)
    const chunk = await readChunk(db, from, to, services)
    const withheld = groupWithheld(await readWithheld(db, from, to))
    const rulings = groupRulings(await readRulings(db, from, to - 1))
    for (let start = from; start < to; start += MINUTE_MS) {
      for (const [serviceId, state] of states) {
        if (start < since.get(serviceId)!) continue
        for (const ruling of rulings.get(`${serviceId} ${start}`) ?? []) rule(state, ruling)
        advance(state, chunk.windowOf(serviceId, start))
        decide(state, withheld.get(`${serviceId} ${start}`) ?? NONE)
      }
    }
    from = to
  }
  await upsertBaselines(db, [...states].flatMap(([serviceId, state]) => {
    const expectations = [runningExpectation(state), beginHour(state)]
    return expectations.flatMap(expectation => expectation === null ? [] : [{ serviceId, expectation }])
  }))
  const openOutages = new Map((await readOpenOutages(db)).map(({ serviceId, id }) => [serviceId, id]))
  return { ...mark, states, outdated, openOutages, heard: new Map() }
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

/** Words in their order, by `<service> <minute>`. */
export function groupRulings (rows: readonly StoredRuling[]): Map<string, StoredRuling[]> {
  const grouped = new Map<string, StoredRuling[]>()
  for (const row of rows) {
    const key = `${row.serviceId} ${row.at}`
    grouped.set(key, [...grouped.get(key) ?? [], row])
  }
  return grouped
}

/** What was seen in a stretch of minutes, ready to be asked by service and minute. */
export interface Chunk { windowOf: (serviceId: number, start: number) => SeenWindow }

/** Reads what the detector judges in `[from, to)`: counts as seen, and which minutes somebody watched. */
export async function readChunk (db: Db, from: number, to: number, services: readonly Service[], serviceId?: number): Promise<Chunk> {
  const cells = new Map((await readSeenMinutes(db, from, to, serviceId)).map(seen => [`${seen.serviceId} ${seen.minute}`, seen.cells]))
  const stretches = await readWatched(db, from, to)
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

/** An outage as it stood last, and what was said of it on the way. */
export interface Found { figures: OutageFigures, transitions: Transition[], networks: (number | undefined)[] }

/** What judging one service found: its outages, what it now expects, and the claims that too few networks stood behind. */
export interface Judged { found: Found[], expectations: { serviceId: number, expectation: HourExpectation }[], withheld: Withheld[] }

/** What one chunk of judging has to write, all in one transaction. */
interface Findings extends Omit<Judged, 'found'> {
  found: Map<number, Found[]>
  /** Of services that are new, or of which something else is expected now: where that is read from. */
  checkpoints: Checkpoint[]
  /** How many words were obeyed: one more, and this was judged without it. */
  rulings: number
}

/**
 * Judges every minute that ended by `until` (ms), in chunks that end at full hours.
 * `judging` is advanced in place. On a throw, or when another instance has judged or a moderator spoken meanwhile
 * (false), it is spoilt: load it again.
 */
export async function detect (database: Database, judging: Judging, services: readonly Service[], until: number): Promise<boolean> {
  while (judging.judgedUntil < until) {
    const from = judging.judgedUntil
    const to = Math.min(until, floorTo(from, HOUR_MS) + HOUR_MS, from + CHUNK_MINUTES_MAX * MINUTE_MS)
    const findings = await judgeChunk(database, judging, services, from, to)
    const written = await transact(database, tx => writeFindings(tx, judging, findings, to))
    if (!written) return false
    judging.judgedUntil = to
    await writeRest(database, judging, findings.expectations.filter(({ serviceId }) => !findings.found.has(serviceId)), checkpointsDue(judging, from, to))
    await writeRest(database, judging, await beginHours(judging), [])
  }
  return true
}

/** For work that is done piece by piece: lets others have the event loop, once it was held long enough. */
function openTurns (): () => Promise<void> {
  let since = performance.now()
  return async () => {
    if (performance.now() - since < TURN_MS) return
    await setImmediate()
    since = performance.now()
  }
}

async function judgeChunk (db: Db, judging: Judging, services: readonly Service[], from: number, to: number): Promise<Findings> {
  const findings: Findings = { found: new Map(), expectations: [], withheld: [], checkpoints: [], rulings: 0 }
  for (const { id, expectedPerHour } of services) {
    const state = judging.states.get(id) ?? newDetector(expectedPerHour, 1)
    if (judging.outdated.has(id) || (judging.states.has(id) && state.expectedPerHour === expectedPerHour)) continue
    const expectation = expectPerHour(state, expectedPerHour)
    if (expectation !== null) findings.expectations.push({ serviceId: id, expectation })
    judging.states.set(id, state)
    findings.checkpoints.push({ serviceId: id, judgedUntil: from, state: structuredClone(state) })
  }
  findings.rulings = await obey(db, judging, from, to)
  const chunk = await readChunk(db, from, to, services)
  const giveWay = openTurns()
  for (let start = from; start < to; start += MINUTE_MS) {
    for (const [serviceId, state] of judging.states) {
      await giveWay()
      const found = findings.found.get(serviceId) ?? []
      await judgeWindow(db, serviceId, state, chunk.windowOf(serviceId, start), { ...findings, found }, judging.heard)
      if (found.length > 0) findings.found.set(serviceId, found)
    }
  }
  return findings
}

/**
 * Obeys what moderators said since the last chunk, which is all right before this one: words are dated where judging
 * stands. Their rows say so already. Returns how many there were.
 */
async function obey (db: Db, { states, openOutages }: Judging, from: number, to: number): Promise<number> {
  const rulings = await readRulings(db, from, to - 1)
  for (const ruling of rulings) {
    const { serviceId, outageId, type } = ruling
    const state = states.get(serviceId)
    if (state === undefined) continue
    rule(state, ruling)
    if (type === 'open') openOutages.set(serviceId, outageId)
    else if (type !== 'confirm') openOutages.delete(serviceId)
  }
  return rulings.length
}

/** Judges one window of one service: adds to `judged`, and moves `state` and `heard`, in place. */
export async function judgeWindow (
  db: Db, serviceId: number, state: DetectorState, window: SeenWindow, judged: Judged, heard: Heard
): Promise<void> {
  const { claims, expectation } = advance(state, window)
  if (expectation !== null) judged.expectations.push({ serviceId, expectation })
  const networks = await askNetworks(db, serviceId, state, claims, heard)
  const tooFew = [...networks].filter(([, count]) => count < NETWORKS_MIN)
  for (const [scope, count] of tooFew) judged.withheld.push({ serviceId, minute: window.start, scope, networks: count })
  noteDecision(judged.found, decide(state, new Set(tooFew.map(([scope]) => scope))), networks)
}

/** Every service is checkpointed once an hour, at a minute of its own, so that no minute has to write them all. */
function checkpointsDue ({ states }: Judging, from: number, to: number): Checkpoint[] {
  const isDue = (serviceId: number) => {
    const slot = serviceId % 60 * MINUTE_MS
    return floorTo(to - slot, HOUR_MS) > floorTo(from - slot, HOUR_MS)
  }
  return [...states].flatMap(([serviceId, state]) => isDue(serviceId) ? [{ serviceId, judgedUntil: to, state }] : [])
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
async function askNetworks (db: Db, serviceId: number, state: DetectorState, claims: readonly Claim[], heard: Heard): Promise<Map<string, number>> {
  const networks = new Map<string, number>()
  const confirmed = state.outage?.figures.confirmedAt != null
  const asked = claims.filter(({ scope, since }) => {
    const heardFrom = heard.get(`${serviceId} ${scopeKey(scope)}`)
    return !(confirmed && heardFrom !== undefined && since <= heardFrom)
  })
  const counts = await countNetworks(db, serviceId, asked)
  for (const [index, { scope, since }] of asked.entries()) {
    const key = scopeKey(scope)
    networks.set(key, counts[index]!)
    if (counts[index]! >= NETWORKS_MIN) heard.set(`${serviceId} ${key}`, since)
  }
  return networks
}

async function writeFindings (tx: Db, judging: Judging, findings: Findings, to: number): Promise<boolean> {
  const from = judging.judgedUntil
  if (!await moveJudgedUntil(tx, judging, to)) return false
  // A word takes the lock that the line above waits for: whatever was said is seen here.
  if ((await readRulings(tx, from, to - 1)).length !== findings.rulings) return false
  if (findings.withheld.length > 0) await insertWithheld(tx, findings.withheld)
  // What the outages below are held against; the rest can wait until they are told.
  await upsertBaselines(tx, findings.expectations.filter(({ serviceId }) => findings.found.has(serviceId)))
  const changes = findings.found.size === 0 ? [] : await writeOutages(tx, judging, findings, to)
  await upsertCheckpoints(tx, findings.checkpoints)
  await announce(tx, changes)
  return true
}

async function writeOutages (tx: Db, { openOutages }: Judging, { found: all }: Findings, to: number): Promise<Change[]> {
  const changes: Change[] = []
  const onset = Math.min(to, ...[...all.values()].flat().map(({ figures }) => figures.onsetAt))
  const watched = await readWatchedOf(tx, [...all.keys()], onset, to)
  const names = await readScopeNames(tx)
  for (const [serviceId, found] of all) {
    for (const { figures, transitions, networks } of found) {
      const id = openOutages.get(serviceId) ?? outageId(figures.detectedAt)
      await upsertOutage(tx, serviceId, id, figures, await readImpactWatched(tx, serviceId, figures, to, watched.get(serviceId)!), false)
      await insertOutageEvents(tx, names, serviceId, id, transitions, networks)
      changes.push(...changesOf(serviceId, id, transitions))
      if (isClosed(figures.state)) openOutages.delete(serviceId)
      else openOutages.set(serviceId, id)
    }
  }
  return changes
}

/**
 * Begins the next hour of all services, if everything up to it is judged: to learn what the last ones brought and to
 * predict takes several times as long as to judge a minute, and here nobody waits for it. What each then expects.
 */
async function beginHours ({ states }: Judging): Promise<Judged['expectations']> {
  const expectations: Judged['expectations'] = []
  const giveWay = openTurns()
  for (const [serviceId, state] of states) {
    await giveWay()
    const expectation = beginHour(state)
    if (expectation !== null) expectations.push({ serviceId, expectation })
  }
  return expectations
}

/**
 * What is expected of services without an outage, and checkpoints: more to write than all else, so it follows what is told.
 * Cut off before it, `loadJudging` writes what is expected, and folds from older checkpoints. @throws Error when another
 * has judged meanwhile
 */
async function writeRest (database: Database, judging: Judging, expectations: Judged['expectations'], checkpoints: readonly Checkpoint[]): Promise<void> {
  if (expectations.length + checkpoints.length === 0) return
  await transact(database, async tx => {
    await holdJudging(tx, judging)
    await upsertBaselines(tx, expectations)
    await upsertCheckpoints(tx, checkpoints)
    await pruneCheckpoints(tx, checkpoints.map(({ serviceId }) => serviceId), judging.judgedUntil)
  })
}

/** What listeners are told of the detector's steps. */
export function changesOf (serviceId: number, outageId: string, transitions: readonly Transition[]): Change[] {
  return transitions.map(({ type, state, at }) => ({ type: newsOf(type), serviceId, outageId, at: new Date(at), state }))
}

export function isClosed (state: OutageState): boolean {
  return state === 'resolved' || state === 'dismissed'
}

/** Whom an outage hits: counts and expectations by device class within its region, from its onset to its end or `to` (ms). */
export async function readDeviceImpact (db: Db, serviceId: number, figures: OutageFigures, to: number): Promise<DeviceImpact[]> {
  return readImpactWatched(db, serviceId, figures, to, await readServiceWatched(db, serviceId, figures.onsetAt, to))
}

/** The same, when what was watched of the service is read already, from the onset or earlier on. */
async function readImpactWatched (db: Db, serviceId: number, figures: OutageFigures, to: number, stretches: readonly Stretch[]): Promise<DeviceImpact[]> {
  const from = figures.onsetAt
  const end = figures.resolvedAt ?? figures.dismissedAt ?? to
  const scope = { region: figures.scope.region, deviceClass: ALL }
  // A moderator's onset may lie within a minute, which then does not belong to it.
  const watched = commonStretches(stretches, [{ from: -floorTo(-from, MINUTE_MS), to: end }])
  const cells = await readDivided(db, serviceId, 'device_class', scope, from, end)
  const keys = cells.map(({ key }) => scopeKey({ ...scope, deviceClass: key }))
  const baselines = await readBaselines(db, serviceId, keys, floorTo(from, HOUR_MS), end)
  const within = await readWithin(db, serviceId, 'device_class', scope, new Map(cells.map(({ key }) => [key, watched])))
  return cells.map(({ key }, index) => {
    const { expected } = sumExpectation(expectationsOf(baselines, keys[index]!), watched)
    return { deviceClass: key, down: within.get(key) ?? 0, expectedDown: expected }
  })
}

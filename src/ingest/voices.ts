// How many of a network's reports count: a set of ids per service, interval and network, in this process's memory.
import { Fault } from '../core/faults.ts'
import { NETWORK_VOICES_MAX } from '../core/reports.ts'
import { makeVoiceSet, VOICE_BYTES, type VoiceSet } from './voice-set.ts'

/** Ids held at most, over all intervals. */
const VOICES_MAX = 4_000_000
/** Voices get as much memory as this share of the heap that Node may have, which goes by the machine's. */
const HEAP_SHARE = 0.25
/** An interval that nobody asked about for this long is forgotten, and read again should it be asked about, ms. */
const IDLE_MS = 120_000

/** One counted voice, as `reports` remembers it. */
export interface Voice { service_id: number, id: string, network: string }

/** Where a report stands: its service, interval (ms), network and id. */
export interface Speaker { serviceId: number, intervalAt: number, network: string, id: string }

/** The voices of every network. */
export interface Voices {
  /** Reads what stands in `reports` of an interval that began before this process did, or whose commit failed. */
  ready: (serviceId: number, intervalAt: number) => true | Promise<void>
  /** True when the report counts: its id is among its network's voices, or there was room for it. @throws Fault `overloaded` */
  admit: (speaker: Speaker) => boolean | Promise<boolean>
  /** The commit of these failed, or nobody knows: free them, and read their intervals again before the next. */
  free: (speakers: readonly Speaker[]) => void
  /** Reads the running interval of all services at once; call before the first report. */
  rebuild: (intervalAt: number) => Promise<void>
  /** Forgets intervals that lie idle. */
  tidy: () => void
}

/** Voices in memory: whether a report counts is known at once. */
export interface OwnVoices extends Voices { admit: (speaker: Speaker) => boolean }

interface Interval { usedAt: number, services: Map<number, ServiceVoices> }
interface ServiceVoices { known: boolean, reading: Promise<void> | undefined, ids: VoiceSet }

/** How many voices there is room for in a heap of so many bytes at most. Beyond it reports are refused, not counted unguarded. */
export function roomForVoices (heapBytes: number): number {
  return Math.min(VOICES_MAX, Math.floor(heapBytes * HEAP_SHARE / VOICE_BYTES))
}

/**
 * @param read the counted voices of an interval in the database, of one service or of all.
 * @param startedAt since when (domain ms) every report of this installation comes through this process: an interval
 *   that began later needs no reading.
 * @param max ids held at most, of those that were not read.
 * @param monotonic real milliseconds.
 */
export function holdVoices (
  read: (intervalAt: number, serviceId?: number) => Promise<Voice[]>, startedAt: number, max: number, monotonic: () => number
): OwnVoices {
  const intervals = new Map<number, Interval>()
  let held = 0
  // Up to here (an interval's start) something was forgotten, so what is not held must be read.
  let forgottenTo = -Infinity

  function find (serviceId: number, intervalAt: number): ServiceVoices {
    let interval = intervals.get(intervalAt)
    if (interval === undefined) intervals.set(intervalAt, interval = { usedAt: 0, services: new Map() })
    interval.usedAt = monotonic()
    let service = interval.services.get(serviceId)
    if (service === undefined) {
      const known = intervalAt >= startedAt && intervalAt > forgottenTo
      interval.services.set(serviceId, service = { known, reading: undefined, ids: makeVoiceSet() })
    }
    return service
  }

  /** What the database counted stays counted, however many. */
  function add (service: ServiceVoices, network: string, id: string): void {
    if (service.ids.put(network, id, Infinity, true) === 'added') held++
  }

  return {
    ready (serviceId, intervalAt) {
      const service = find(serviceId, intervalAt)
      if (service.known) return true
      // All who wait share one reading: an interval can be hundreds of thousands of rows.
      const reading = service.reading ??= read(intervalAt, serviceId).then(voices => {
        for (const { network, id } of voices) add(service, network, id)
        if (service.reading === reading) service.known = true
      }).finally(() => {
        if (service.reading === reading) service.reading = undefined
      })
      return reading
    },
    admit ({ serviceId, intervalAt, network, id }) {
      const service = find(serviceId, intervalAt)
      const put = service.ids.put(network, id, NETWORK_VOICES_MAX, held < max)
      if (put === 'set full') {
        throw new Fault('overloaded', 'Too many networks are reporting at once for this server to tell them apart; try again in a minute.', { retryAfterS: 60 })
      }
      if (put === 'added') held++
      return put !== 'network full'
    },
    free (speakers) {
      for (const { serviceId, intervalAt, network, id } of speakers) {
        const service = find(serviceId, intervalAt)
        service.known = false
        // A reading that is under way may have missed them.
        service.reading = undefined
        if (service.ids.remove(network, id)) held--
      }
    },
    async rebuild (intervalAt) {
      for (const { service_id: serviceId, network, id } of await read(intervalAt)) {
        const service = find(serviceId, intervalAt)
        add(service, network, id)
        service.known = true
      }
    },
    tidy () {
      const now = monotonic()
      for (const [intervalAt, interval] of intervals) {
        if (now - interval.usedAt < IDLE_MS) continue
        for (const { ids } of interval.services.values()) held -= ids.size()
        intervals.delete(intervalAt)
        forgottenTo = Math.max(forgottenTo, intervalAt)
      }
    }
  }
}

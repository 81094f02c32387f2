// What everybody is told of an outage, as JSON: the API, the event stream and the webhooks say the same.
// Not here: the sentences of its timeline (words), and what its numbers mean (outages).
import { leadTime } from './acknowledgements.ts'
import type { Estimate, Reading } from './outages.ts'
import { at, atOrNull } from './time.ts'
import { ALL, OPEN_OUTAGE_STATES, OUTAGE_STATES, type Actor, type EventType, type OutageState } from './vocabulary.ts'

/** An outage as it is stored. */
export interface StoredOutage {
  id: string
  region: string
  deviceClass: string
  state: OutageState
  severity: number
  onsetAt: Date
  onsetFrom: Date
  onsetTo: Date
  detectedAt: Date
  confirmedAt: Date | null
  recoveringAt: Date | null
  resolvedAt: Date | null
  dismissedAt: Date | null
  peakStart: Date
  peakDown: number
  peakExpected: number
  affectedShare: Estimate | null
  deviceImpact: readonly { deviceClass: string, down: number, expectedDown: number | null }[]
  retrospective: boolean
  disputedSince: Date | null
}

/** What of a service's catalog is told beside its outages. */
export interface StoredService {
  slug: string
  fallbacks: readonly { deviceClass: string, fallback: string | null }[]
  workarounds: readonly { deviceClass: string | null, title: string, url: string | null, retiredAt: Date | null }[]
}

/** Device classes by slug; those that are retired are no longer told of. */
export type DeviceClasses = ReadonlyMap<string, { retiredAt: Date | null }>

/** What others than the detector say of an outage. */
export interface Beside {
  /** The vendor's first word. */
  acknowledgement: { source: string, publishedAt: Date, url: string | null } | undefined
  /** Ids of outages that began together with it, and of those that a moderator merged with it. */
  related: readonly string[]
}

/** An outage in few words. */
export function tellOutageRef (outage: StoredOutage, service: string) {
  return {
    id: outage.id,
    service,
    state: outage.state,
    scope: { region: outage.region, device_class: outage.deviceClass },
    onset_at: at(outage.onsetAt),
    detected_at: at(outage.detectedAt),
    severity: Math.max(1, outage.severity)
  }
}

/** An outage without its timeline, as a holder of `deviceClass` (`*`: anybody) is told of it. */
export function tellOutage (
  outage: StoredOutage, { acknowledgement, related }: Beside, service: StoredService, deviceClasses: DeviceClasses, deviceClass: string = ALL
) {
  const fallbacks = new Map(service.fallbacks.map(({ deviceClass, fallback }) => [deviceClass, fallback]))
  return {
    ...tellOutageRef(outage, service.slug),
    onset_interval: { from: at(outage.onsetFrom), to: at(outage.onsetTo) },
    confirmed_at: atOrNull(outage.confirmedAt),
    recovering_at: atOrNull(outage.recoveringAt),
    resolved_at: atOrNull(outage.resolvedAt),
    dismissed_at: atOrNull(outage.dismissedAt),
    peak: { start: at(outage.peakStart), down: outage.peakDown, expected_down: outage.peakExpected },
    affected_share: outage.affectedShare,
    device_impact: outage.deviceImpact
      .map(({ deviceClass, down, expectedDown }) => ({
        device_class: deviceClass, down, expected_down: expectedDown, fallback: fallbacks.get(deviceClass) ?? null
      }))
      .sort((a, b) => Number(a.fallback !== null) - Number(b.fallback !== null) || b.down - a.down),
    acknowledgement: acknowledgement === undefined
      ? null
      : { source: acknowledgement.source, published_at: at(acknowledgement.publishedAt), url: acknowledgement.url },
    lead_time_s: acknowledgement === undefined ? null : leadTime(acknowledgement.publishedAt.getTime(), outage.detectedAt.getTime()),
    disputed: isDisputed(outage),
    retrospective: outage.retrospective,
    // Said only where somebody names a source for it, which nothing here does yet.
    cause: null as string | null,
    related: [...related],
    workarounds: tellWorkarounds(service, deviceClasses, deviceClass)
  }
}

/** Whether the vendor says that it works while people still say that it does not. */
export function isDisputed ({ state, disputedSince }: Pick<StoredOutage, 'state' | 'disputedSince'>): boolean {
  return disputedSince !== null && (OPEN_OUTAGE_STATES as readonly OutageState[]).includes(state)
}

/** The outage as it stood when it entered `state`: what it came to later is not yet known then. */
export function asOf<Outage extends StoredOutage> (outage: Outage, state: OutageState): Outage {
  const later = new Set(OUTAGE_STATES.slice(OUTAGE_STATES.indexOf(state) + 1))
  const unless = (other: OutageState, instant: Date | null) => later.has(other) ? null : instant
  return {
    ...outage,
    state,
    confirmedAt: unless('confirmed', outage.confirmedAt),
    recoveringAt: unless('recovering', outage.recoveringAt),
    resolvedAt: unless('resolved', outage.resolvedAt),
    dismissedAt: unless('dismissed', outage.dismissedAt)
  }
}

/**
 * When something was last told of an outage: entries are dated by what they are about, which a reader who goes by the
 * time of the last change would miss.
 */
export function updatedAt (detectedAt: Date, events: readonly { at: Date, toldAt: Date | null }[]): Date {
  return events.map(({ at, toldAt }) => toldAt !== null && toldAt > at ? toldAt : at).reduce((last, each) => each > last ? each : last, detectedAt)
}

/** An entry of the timeline. */
export function tellEvent ({ id, at: instant, type, state, actor, text, reading }: {
  id: string, at: Date, type: EventType, state: OutageState, actor: Actor, text: string, reading: Reading & { networks?: number | null } | null
}) {
  return { id, at: at(instant), type, state, actor, text, reading: reading === null ? null : tellReading(reading) }
}

function tellReading ({ since, networks = null, ...reading }: Reading & { networks?: number | null }) {
  return { ...reading, since: at(new Date(since)), networks }
}

/**
 * A service's workarounds for one kind of device, or for all; first those for devices that have no fallback, then those
 * that help on any, newest first.
 */
export function tellWorkarounds ({ fallbacks, workarounds }: StoredService, deviceClasses: DeviceClasses, deviceClass: string) {
  const rank = (slug: string | null) => {
    const known = fallbacks.find(fallback => fallback.deviceClass === slug)
    return known === undefined ? 1 : known.fallback === null ? 0 : 2
  }
  return workarounds
    .filter(({ deviceClass: slug, retiredAt }) => retiredAt === null &&
      (slug === null || (deviceClasses.get(slug)?.retiredAt === null && (deviceClass === ALL || slug === deviceClass))))
    .sort((a, b) => rank(a.deviceClass) - rank(b.deviceClass))
    .map(({ deviceClass: slug, title, url }) => ({ device_class: slug, title, url }))
}

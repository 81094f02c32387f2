// Which outages of different services failed together: said without claiming a cause.
import { MINUTE_MS } from './time.ts'

/** Outages whose onsets lie further apart than this began apart, ms: about the width of an onset's interval on both sides. */
const TOGETHER_MS = 30 * MINUTE_MS
/** So many services that fail together point at each other even where nobody knows of a dependency. */
const MANY_SERVICES = 4

/** An outage as it is held against others; instants in ms, `end` null while it is open. */
export interface Span { id: string, serviceId: number, onsetAt: number, end: number | null }

/** Which services each service depends on. */
export type Dependencies = ReadonlyMap<number, ReadonlySet<number>>

/** How far from an outage's onset those that may be related to it began, as `[from, to]`, ms. */
export function relatedWithin ({ onsetAt }: Pick<Span, 'onsetAt'>): [from: number, to: number] {
  return [onsetAt - TOGETHER_MS, onsetAt + TOGETHER_MS]
}

/**
 * The ids of the outages that failed together with one: of other services, with an onset at most half an hour away, and
 * at some moment open at the same time. Of those the ones whose services depend on one another, directly or by a third on
 * which both depend, and the ones that have two more services in common that failed together with both. Ascending by onset
 * and id. If one names another, the other names it too.
 */
export function relatedOutages (outage: Span, others: readonly Span[], dependencies: Dependencies): string[] {
  const together = others.filter(other => areTogether(outage, other))
  return together
    .filter(other => depend(outage.serviceId, other.serviceId, dependencies) || countServices(other, together) >= MANY_SERVICES)
    .sort((a, b) => a.onsetAt - b.onsetAt || (a.id < b.id ? -1 : 1))
    .map(({ id }) => id)
}

function areTogether (one: Span, other: Span): boolean {
  return one.serviceId !== other.serviceId && Math.abs(other.onsetAt - one.onsetAt) <= TOGETHER_MS &&
    other.onsetAt < (one.end ?? Infinity) && one.onsetAt < (other.end ?? Infinity)
}

/** How many services a pair and those that failed together with both of it are: `together` failed with its first. */
function countServices (other: Span, together: readonly Span[]): number {
  const common = together.filter(third => areTogether(other, third)).map(({ serviceId }) => serviceId)
  return new Set([...common, other.serviceId]).size + 1
}

function depend (one: number, other: number, dependencies: Dependencies): boolean {
  const ofOne = dependencies.get(one) ?? NONE
  const ofOther = dependencies.get(other) ?? NONE
  return ofOne.has(other) || ofOther.has(one) || [...ofOne].some(third => ofOther.has(third))
}

const NONE: ReadonlySet<number> = new Set()

/** Of this release, as in package.json. */
export const VERSION = '0.1.0'

/** What a report says. The index is the code stored in `reports.verdict`. */
export const VERDICTS = ['working', 'degraded', 'down'] as const
export type Verdict = typeof VERDICTS[number]

/** Can the person carry on? The index is the code stored in `reports.impact`. */
export const IMPACTS = ['none', 'workaround', 'blocked'] as const
export type Impact = typeof IMPACTS[number]

/**
 * What became of a report. The index is the code stored in `reports.disposition`;
 * `duplicate` is only ever an answer: the row that was there keeps its own.
 */
export const DISPOSITIONS = ['counted', 'quarantined', 'excluded', 'duplicate'] as const
export type Disposition = typeof DISPOSITIONS[number]

/** Why a report is quarantined: its network has its full voice, or a block. The index is the code stored in `reports.reason`. */
export const QUARANTINE_REASONS = ['voices', 'block'] as const
export type QuarantineReason = typeof QUARANTINE_REASONS[number]

/** What a moderator does with reports: excluded → what it was is `restore`, quarantined → counted is `release`. */
export const MODERATION_ACTIONS = ['exclude', 'restore', 'release'] as const
export type ModerationAction = typeof MODERATION_ACTIONS[number]

export const COMMENT_STATES = ['pending', 'approved', 'rejected'] as const
export type CommentState = typeof COMMENT_STATES[number]

/** The life of an outage: the first three are open, the last two closed. */
export const OUTAGE_STATES = ['suspected', 'confirmed', 'recovering', 'resolved', 'dismissed'] as const
export type OutageState = typeof OUTAGE_STATES[number]
export const OPEN_OUTAGE_STATES = ['suspected', 'confirmed', 'recovering'] as const satisfies readonly OutageState[]

/** What a service's summary says of it. */
export const SERVICE_STATES = ['operational', 'suspected', 'outage', 'recovering', 'unknown'] as const
export type ServiceState = typeof SERVICE_STATES[number]

/** What the detector says on an outage's timeline; `moved` is a change of scope. */
export const TRANSITION_TYPES = ['suspected', 'confirmed', 'recovering', 'resolved', 'dismissed', 'moved'] as const
export type TransitionType = typeof TRANSITION_TYPES[number]

/**
 * What happened on an outage's timeline; `updated` is what a moderator's work on its reports made of its figures,
 * `disputed` that the vendor says it works while people say that it does not.
 */
export const EVENT_TYPES = [...TRANSITION_TYPES, 'updated', 'merged', 'annotated', 'acknowledged', 'disputed'] as const
export type EventType = typeof EVENT_TYPES[number]

/** A moderator's word that judging obeys. */
export const RULING_TYPES = ['open', 'confirm', 'resolve', 'dismiss'] as const
export type RulingType = typeof RULING_TYPES[number]

/** Whose word a timeline entry is. */
export const ACTORS = ['detector', 'moderator', 'vendor'] as const
export type Actor = typeof ACTORS[number]

/** What listeners are told of an outage, by the outbox. */
export const NEWS_TYPES = [
  'outage.suspected', 'outage.confirmed', 'outage.recovering', 'outage.resolved', 'outage.dismissed', 'outage.acknowledged', 'outage.disputed',
  'outage.updated'
] as const
export type NewsType = typeof NEWS_TYPES[number]

/** What became of one news on its way to one webhook. */
export const DELIVERY_STATES = ['pending', 'delivered', 'failed'] as const
export type DeliveryState = typeof DELIVERY_STATES[number]

/** Forms of vendors' pages that we read. */
export const SOURCE_FORMATS = ['statuspage', 'apple', 'google-cloud', 'slack', 'feed'] as const
export type SourceFormat = typeof SOURCE_FORMATS[number]

/** What a vendor says of a service, from the best to the worst. */
export const OFFICIAL_STATUSES = ['up', 'degraded', 'down'] as const
export type OfficialStatus = typeof OFFICIAL_STATUSES[number]

/** What a token may open. */
export const TOKEN_SCOPES = ['moderate', 'catalog', 'import', 'webhooks', 'admin'] as const
export type TokenScope = typeof TOKEN_SCOPES[number]

/** Region of a report that named none, and of an address that told none. */
export const UNKNOWN_REGION = 'ZZ'
/** Device class of a report that named none; never guessed from the user agent. */
export const UNKNOWN_DEVICE_CLASS = 'unknown'
/** In a scope: every region, every device class. */
export const ALL = '*'

/** A place and kind of device within one service; `*` means all. A country includes its subdivisions. */
export interface Scope { region: string, deviceClass: string }

/** A scope's name in keys and in `withheld`: `*|*`, `CA|*`, `*|iphone`. */
export function scopeKey ({ region, deviceClass }: Scope): string {
  return `${region}|${deviceClass}`
}

/** The country of a region code: `CA` of `CA-ON` and of `CA`. */
export function countryOf (region: string): string {
  return region.slice(0, 2)
}

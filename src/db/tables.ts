// The tables as drizzle sees them, in the order of migrations/0001. The SQL there is the truth; a test compares.
import {
  boolean, customType, date, doublePrecision, integer, json, pgTable, smallint, text, timestamp, uuid
} from 'drizzle-orm/pg-core'
import type { Actor, EventType, OutageState, TokenScope } from '../core/vocabulary.ts'
import type { DetectorState, Estimate, HourExpectation, Reading } from '../core/detector.ts'

const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' })
const instant = (name: string) => timestamp(name, { withTimezone: true })

export const services = pgTable('services', {
  id: integer('id').primaryKey(),
  slug: text('slug').notNull(),
  name: text('name').notNull(),
  group: text('group'),
  expectedPerHour: doublePrecision('expected_per_hour').notNull(),
  liveSince: instant('live_since'),
  historyFrom: instant('history_from'),
  historyTo: instant('history_to')
})

export const components = pgTable('components', {
  serviceId: integer('service_id').notNull(),
  slug: text('slug').notNull(),
  name: text('name').notNull()
})

export const deviceClasses = pgTable('device_classes', { slug: text('slug').primaryKey(), name: text('name').notNull() })
export const symptoms = pgTable('symptoms', { slug: text('slug').primaryKey(), name: text('name').notNull() })

export const fallbacks = pgTable('fallbacks', {
  serviceId: integer('service_id').notNull(),
  deviceClass: text('device_class').notNull(),
  fallback: text('fallback')
})

export const reports = pgTable('reports', {
  serviceId: integer('service_id').notNull(),
  intervalAt: instant('interval_at').notNull(),
  id: uuid('id').notNull(),
  minute: instant('minute').notNull(),
  region: text('region').notNull(),
  deviceClass: text('device_class').notNull(),
  verdict: smallint('verdict').notNull(),
  symptom: text('symptom'),
  impact: smallint('impact'),
  network: bytea('network'),
  disposition: smallint('disposition').notNull(),
  late: boolean('late').notNull()
})

export const comments = pgTable('comments', {
  serviceId: integer('service_id').notNull(),
  intervalAt: instant('interval_at').notNull(),
  reportId: uuid('report_id').notNull(),
  id: uuid('id').notNull(),
  text: text('text').notNull(),
  state: text('state').notNull(),
  createdAt: instant('created_at').notNull()
})

export const staleMinutes = pgTable('stale_minutes', {
  serviceId: integer('service_id').notNull(),
  minute: instant('minute').notNull()
})

export const watched = pgTable('watched', { minute: instant('minute').primaryKey() })

export const windows = pgTable('windows', {
  serviceId: integer('service_id').notNull(),
  minute: instant('minute').notNull(),
  region: text('region').notNull(),
  deviceClass: text('device_class').notNull(),
  working: integer('working').notNull(),
  degraded: integer('degraded').notNull(),
  down: integer('down').notNull(),
  seenWorking: integer('seen_working').notNull(),
  seenDegraded: integer('seen_degraded').notNull(),
  seenDown: integer('seen_down').notNull()
})

export const baselines = pgTable('baselines', {
  serviceId: integer('service_id').notNull(),
  hour: instant('hour').notNull(),
  learntHours: integer('learnt_hours').notNull(),
  scopes: json('scopes').$type<HourExpectation['scopes']>().notNull()
})

export const detectorStates = pgTable('detector_states', {
  serviceId: integer('service_id').notNull(),
  judgedUntil: instant('judged_until').notNull(),
  state: json('state').$type<DetectorState>().notNull()
})

export const withheld = pgTable('withheld', {
  serviceId: integer('service_id').notNull(),
  minute: instant('minute').notNull(),
  scope: text('scope').notNull(),
  networks: integer('networks').notNull()
})

export const rejudge = pgTable('rejudge', {
  serviceId: integer('service_id').primaryKey(),
  requestedAt: instant('requested_at').notNull()
})

export const judging = pgTable('judging', {
  one: boolean('one').primaryKey(),
  judgedUntil: instant('judged_until').notNull()
})

/** Whom an outage hits: down + degraded/2 since its onset, and how much of it was to be expected. */
export interface DeviceImpact { deviceClass: string, down: number, expectedDown: number | null }

export const outages = pgTable('outages', {
  serviceId: integer('service_id').notNull(),
  id: uuid('id').notNull(),
  region: text('region').notNull(),
  deviceClass: text('device_class').notNull(),
  state: text('state').$type<OutageState>().notNull(),
  severity: doublePrecision('severity').notNull(),
  onsetAt: instant('onset_at').notNull(),
  onsetFrom: instant('onset_from').notNull(),
  onsetTo: instant('onset_to').notNull(),
  detectedAt: instant('detected_at').notNull(),
  confirmedAt: instant('confirmed_at'),
  recoveringAt: instant('recovering_at'),
  resolvedAt: instant('resolved_at'),
  dismissedAt: instant('dismissed_at'),
  peakStart: instant('peak_start').notNull(),
  peakDown: doublePrecision('peak_down').notNull(),
  peakExpected: doublePrecision('peak_expected').notNull(),
  deviceImpact: json('device_impact').$type<DeviceImpact[]>().notNull(),
  retrospective: boolean('retrospective').notNull(),
  affectedShare: json('affected_share').$type<Estimate>()
})

export const outageEvents = pgTable('outage_events', {
  serviceId: integer('service_id').notNull(),
  outageId: uuid('outage_id').notNull(),
  id: uuid('id').notNull(),
  at: instant('at').notNull(),
  type: text('type').$type<EventType>().notNull(),
  state: text('state').$type<OutageState>().notNull(),
  actor: text('actor').$type<Actor>().notNull(),
  text: text('text').notNull(),
  reading: json('reading').$type<Reading & { networks?: number }>()
})

export const tokens = pgTable('tokens', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  secretHash: bytea('secret_hash').notNull(),
  scopes: text('scopes').array().$type<TokenScope[]>().notNull(),
  createdAt: instant('created_at').notNull(),
  expiresAt: instant('expires_at'),
  lastUsedAt: instant('last_used_at'),
  revokedAt: instant('revoked_at')
})

export const salts = pgTable('salts', { day: date('day').primaryKey(), salt: bytea('salt').notNull() })

export const installation = pgTable('installation', {
  one: boolean('one').primaryKey(),
  importKey: bytea('import_key').notNull()
})

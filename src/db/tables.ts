// The tables as drizzle sees them, in the order of the migrations. The SQL there is the truth; a test compares.
import {
  bigint, boolean, customType, date, doublePrecision, integer, json, pgTable, smallint, text, timestamp, uuid
} from 'drizzle-orm/pg-core'
import type { FlatExpectation } from '../core/curves.ts'
import type {
  Actor, CommentState, DeliveryState, EventType, ModerationAction, NewsType, OfficialStatus, OutageState, RulingType, SourceFormat, TokenScope
} from '../core/vocabulary.ts'
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
  historyTo: instant('history_to'),
  proofRequired: boolean('proof_required').notNull().default(false),
  retiredAt: instant('retired_at')
})

export const components = pgTable('components', {
  serviceId: integer('service_id').notNull(),
  slug: text('slug').notNull(),
  name: text('name').notNull(),
  retiredAt: instant('retired_at')
})

const named = () => ({ slug: text('slug').primaryKey(), name: text('name').notNull(), retiredAt: instant('retired_at') })
export const deviceClasses = pgTable('device_classes', named())
export const symptoms = pgTable('symptoms', named())

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
  late: boolean('late').notNull(),
  reason: smallint('reason')
})

export const comments = pgTable('comments', {
  serviceId: integer('service_id').notNull(),
  intervalAt: instant('interval_at'),
  reportId: uuid('report_id'),
  id: uuid('id').notNull(),
  text: text('text').notNull(),
  state: text('state').$type<CommentState>().notNull(),
  createdAt: instant('created_at').notNull()
})

export const staleMinutes = pgTable('stale_minutes', {
  serviceId: integer('service_id').notNull(),
  minute: instant('minute').notNull()
})

export const watched = pgTable('watched', { minute: instant('minute').primaryKey() })

const counts = () => ({
  region: text('region').notNull(),
  deviceClass: text('device_class').notNull(),
  working: integer('working').notNull(),
  degraded: integer('degraded').notNull(),
  down: integer('down').notNull(),
  seenWorking: integer('seen_working').notNull(),
  seenDegraded: integer('seen_degraded').notNull(),
  seenDown: integer('seen_down').notNull()
})
export const windows = pgTable('windows', { serviceId: integer('service_id').notNull(), minute: instant('minute').notNull(), ...counts() })

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
  serviceId: integer('service_id').notNull(),
  requestedAt: instant('requested_at').notNull(),
  fromMinute: instant('from_minute')
})

export const judging = pgTable('judging', {
  one: boolean('one').primaryKey(),
  judgedUntil: instant('judged_until').notNull(),
  generation: integer('generation').notNull()
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
  affectedShare: json('affected_share').$type<Estimate>(),
  mergedInto: uuid('merged_into'),
  withdrawn: boolean('withdrawn').notNull().default(false),
  disputedSince: instant('disputed_since')
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
  reading: json('reading').$type<Reading & { networks?: number }>(),
  toldAt: instant('told_at')
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

export const retention = pgTable('retention', { one: boolean('one').primaryKey(), reportDays: integer('report_days').notNull() })

export const installation = pgTable('installation', {
  one: boolean('one').primaryKey(),
  importKey: bytea('import_key').notNull()
})

export const auditLog = pgTable('audit_log', {
  number: bigint('number', { mode: 'number' }).primaryKey(),
  id: uuid('id').notNull(),
  at: instant('at').notNull(),
  actor: text('actor').notNull(),
  action: text('action').notNull(),
  target: text('target').notNull(),
  before: json('before'),
  after: json('after'),
  reason: text('reason'),
  hash: bytea('hash').notNull(),
  previous: bytea('previous').notNull()
})

export const auditHead = pgTable('audit_head', {
  one: boolean('one').primaryKey(),
  number: bigint('number', { mode: 'number' }).notNull(),
  hash: bytea('hash').notNull()
})

export const workarounds = pgTable('workarounds', {
  id: uuid('id').primaryKey(),
  serviceId: integer('service_id').notNull(),
  deviceClass: text('device_class'),
  title: text('title').notNull(),
  url: text('url'),
  createdAt: instant('created_at').notNull(),
  retiredAt: instant('retired_at')
})

export const blocks = pgTable('blocks', {
  id: uuid('id').primaryKey(),
  cidr: text('cidr'),
  network: text('network'),
  reason: text('reason').notNull(),
  createdAt: instant('created_at').notNull(),
  expiresAt: instant('expires_at'),
  liftedAt: instant('lifted_at')
})

export const moderationActions = pgTable('moderation_actions', {
  id: uuid('id').primaryKey(),
  action: text('action').$type<ModerationAction>().notNull(),
  reason: text('reason').notNull(),
  actor: text('actor').notNull(),
  createdAt: instant('created_at').notNull(),
  selection: json('selection').notNull(),
  result: json('result').notNull(),
  keptOutages: json('kept_outages').notNull(),
  revertedAt: instant('reverted_at')
})

export const moderatedReports = pgTable('moderated_reports', {
  serviceId: integer('service_id').notNull(),
  actionId: uuid('action_id').notNull(),
  intervalAt: instant('interval_at').notNull(),
  reportId: uuid('report_id').notNull(),
  disposition: smallint('disposition').notNull(),
  reason: smallint('reason')
})

export const previewedReports = pgTable('previewed_reports', {
  serviceId: integer('service_id').notNull(),
  until: instant('until').notNull(),
  intervalAt: instant('interval_at').notNull(),
  reportId: uuid('report_id').notNull()
})

export const rulings = pgTable('rulings', {
  serviceId: integer('service_id').notNull(),
  minute: instant('minute').notNull(),
  id: uuid('id').notNull(),
  outageId: uuid('outage_id').notNull(),
  type: text('type').$type<RulingType>().notNull(),
  region: text('region'),
  deviceClass: text('device_class'),
  onsetAt: instant('onset_at')
})

export const acknowledgements = pgTable('acknowledgements', {
  serviceId: integer('service_id').notNull(),
  id: uuid('id').notNull(),
  outageId: uuid('outage_id'),
  source: text('source').notNull(),
  publishedAt: instant('published_at').notNull(),
  url: text('url'),
  text: text('text'),
  createdAt: instant('created_at').notNull(),
  sourceId: uuid('source_id'),
  incident: text('incident')
})

export const spentProofs = pgTable('spent_proofs', { proof: bytea('proof').primaryKey(), expiresAt: instant('expires_at').notNull() })

export const sources = pgTable('sources', {
  id: uuid('id').primaryKey(),
  serviceId: integer('service_id').notNull(),
  format: text('format').$type<SourceFormat>().notNull(),
  url: text('url').notNull(),
  names: text('names').array().notNull().default([]),
  enabled: boolean('enabled').notNull().default(false),
  createdAt: instant('created_at').notNull(),
  retiredAt: instant('retired_at')
})

export const sourcePages = pgTable('source_pages', {
  url: text('url').notNull(),
  format: text('format').$type<SourceFormat>().notNull(),
  etag: text('etag'),
  lastModified: text('last_modified'),
  readAt: instant('read_at'),
  updatedAt: instant('updated_at'),
  failures: integer('failures').notNull().default(0),
  error: text('error')
})

export const vendorWords = pgTable('vendor_words', {
  serviceId: integer('service_id').notNull(),
  id: uuid('id').notNull(),
  sourceId: uuid('source_id').notNull(),
  incident: text('incident').notNull(),
  status: text('status').$type<OfficialStatus>().notNull(),
  components: text('components').array().notNull(),
  title: text('title').notNull(),
  text: text('text').notNull(),
  url: text('url'),
  publishedAt: instant('published_at').notNull(),
  seenAt: instant('seen_at').notNull(),
  digest: text('digest').notNull()
})

export const dependencies = pgTable('dependencies', {
  serviceId: integer('service_id').notNull(),
  dependsOnId: integer('depends_on_id').notNull()
})

export const outbox = pgTable('outbox', {
  number: bigint('number', { mode: 'number' }).primaryKey(),
  id: uuid('id').notNull(),
  at: instant('at').notNull(),
  writtenAt: instant('written_at').notNull().defaultNow(),
  type: text('type').$type<NewsType>().notNull(),
  serviceId: integer('service_id').notNull(),
  outageId: uuid('outage_id').notNull(),
  data: json('data').notNull()
})

export const outboxHead = pgTable('outbox_head', {
  one: boolean('one').primaryKey(),
  number: bigint('number', { mode: 'number' }).notNull()
})

export const webhooks = pgTable('webhooks', {
  id: uuid('id').primaryKey(),
  url: text('url').notNull(),
  events: text('events').array().$type<NewsType[]>().notNull(),
  services: text('services').array(),
  secret: text('secret'),
  previousSecret: text('previous_secret'),
  previousUntil: instant('previous_until'),
  enabled: boolean('enabled').notNull(),
  disabledReason: text('disabled_reason'),
  createdAt: instant('created_at').notNull(),
  retiredAt: instant('retired_at'),
  outboxNumber: bigint('outbox_number', { mode: 'number' }).notNull()
})

export const deliveries = pgTable('deliveries', {
  webhookId: uuid('webhook_id').notNull(),
  number: bigint('number', { mode: 'number' }).notNull(),
  serviceId: integer('service_id').notNull(),
  outageId: uuid('outage_id').notNull(),
  type: text('type').$type<NewsType>().notNull(),
  messageId: uuid('message_id').notNull(),
  body: text('body').notNull(),
  state: text('state').$type<DeliveryState>().notNull(),
  attempts: integer('attempts').notNull().default(0),
  rung: integer('rung').notNull().default(0),
  nextAt: instant('next_at'),
  leasedUntil: instant('leased_until'),
  createdAt: instant('created_at').notNull(),
  endedAt: instant('ended_at')
})

export const deliveryAttempts = pgTable('delivery_attempts', {
  webhookId: uuid('webhook_id').notNull(),
  number: bigint('number', { mode: 'number' }).notNull(),
  attempt: integer('attempt').notNull(),
  at: instant('at').notNull(),
  status: integer('status'),
  error: text('error'),
  tookMs: integer('took_ms').notNull()
})

export const windowsByHour = pgTable('windows_1h', { serviceId: integer('service_id').notNull(), hour: instant('hour').notNull(), ...counts() })
export const windowsByDay = pgTable('windows_1d', { serviceId: integer('service_id').notNull(), day: instant('day').notNull(), ...counts() })

export const compacted = pgTable('compacted', {
  one: boolean('one').primaryKey().default(true),
  minutesFrom: instant('minutes_from').notNull(),
  hoursUntil: instant('hours_until').notNull(),
  hoursFrom: instant('hours_from').notNull(),
  daysUntil: instant('days_until').notNull()
})

const flat = () => ({ scopes: json('scopes').$type<Record<string, FlatExpectation>>().notNull() })
export const baselinesByHour = pgTable('baselines_1h', { serviceId: integer('service_id').notNull(), hour: instant('hour').notNull(), ...flat() })
export const baselinesByDay = pgTable('baselines_1d', { serviceId: integer('service_id').notNull(), day: instant('day').notNull(), ...flat() })

export const watchedStretches = pgTable('watched_stretches', { since: instant('since').primaryKey(), until: instant('until').notNull() })

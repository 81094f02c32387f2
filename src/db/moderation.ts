// What moderators do with reports: which are meant, what was changed of them, and how that is taken back.
import { desc, eq } from 'drizzle-orm'
import { DISPOSITIONS, OPEN_OUTAGE_STATES, type ModerationAction, type OutageState } from '../core/vocabulary.ts'
import type { Db } from './client.ts'
import type { Outage } from './outages.ts'
import { isAfter, type Place } from './pages.ts'
import { conditionsOf, type ReportFilter } from './raw-reports.ts'
import { moderationActions } from './tables.ts'

export type StoredAction = typeof moderationActions.$inferSelect

const [COUNTED, QUARANTINED, EXCLUDED] = [DISPOSITIONS.indexOf('counted'), DISPOSITIONS.indexOf('quarantined'), DISPOSITIONS.indexOf('excluded')]
/** Keys in one statement. */
const KEYS_PER_STATEMENT = 2_000
/** How long an action may quote a preview, ms. */
const PREVIEW_KEPT_MS = 3_600_000
const NOBODY = '00000000-0000-0000-0000-000000000000'

/** Names one report. */
export interface ReportKey { serviceId: number, intervalAt: Date, id: string }

/** A report that is meant, as it is, and as it will be: null when the action does not concern it. */
export interface Meant extends ReportKey { minute: Date, disposition: number, reason: number | null, next: { disposition: number, reason: number | null } | null }

/** What is meant: reports one by one, or all that a filter finds. */
export type Selection = { keys: readonly ReportKey[] } | { filter: ReportFilter }

const MEANT = 'r.service_id as "serviceId", r.interval_at as "intervalAt", r.id, r.minute, r.disposition, r.reason'

/** The reports that are meant, at most `limit`. @param preview the stamp of one: only what it found. */
export async function findMeant (tx: Db, selection: Selection, preview: Date | undefined, limit: number): Promise<ReportRow[]> {
  const frozen = (put: (value: unknown) => string) => preview === undefined
    ? ''
    : `join previewed_reports p on p.service_id = r.service_id and p.interval_at = r.interval_at and p.report_id = r.id and p.until = ${put(preview.toISOString())}`
  if ('filter' in selection) {
    const { text, values } = conditionsOf(selection.filter)
    const put = (value: unknown) => `$${values.push(value)}`
    return tx.query<ReportRow>(`select ${MEANT} from reports r ${frozen(put)} where ${text} limit ${put(limit)}`, values)
  }
  const found: ReportRow[] = []
  for (const { serviceId, from, to, ids } of chunksOf(selection.keys)) {
    const values: unknown[] = [serviceId, from, to, ids]
    const put = (value: unknown) => `$${values.push(value)}`
    found.push(...await tx.query<ReportRow>(`select ${MEANT} from reports r ${frozen(put)}
      where r.service_id = $1 and r.interval_at between $2 and $3 and r.id = any($4::uuid[])`, values))
  }
  return found
}

type ReportRow = Omit<Meant, 'next'>

/** Keys of one service at a time, as few intervals apart as may be. */
function * chunksOf (keys: readonly ReportKey[]): Generator<{ serviceId: number, from: string, to: string, ids: string[] }> {
  const sorted = [...keys].sort((a, b) => a.serviceId - b.serviceId || a.intervalAt.getTime() - b.intervalAt.getTime())
  for (let from = 0; from < sorted.length;) {
    const { serviceId, intervalAt } = sorted[from]!
    let to = from
    while (to < sorted.length && to - from < KEYS_PER_STATEMENT && sorted[to]!.serviceId === serviceId) to++
    yield { serviceId, from: intervalAt.toISOString(), to: sorted[to - 1]!.intervalAt.toISOString(), ids: sorted.slice(from, to).map(({ id }) => id) }
    from = to
  }
}

/** What an action makes of each report: exclusion of what is not yet, release of what is held back, restoration of what was excluded. */
export async function planAction (tx: Db, action: ModerationAction, rows: readonly ReportRow[]): Promise<Meant[]> {
  if (action === 'exclude') {
    return rows.map(row => ({ ...row, next: row.disposition === EXCLUDED ? null : { disposition: EXCLUDED, reason: row.reason } }))
  }
  if (action === 'release') {
    return rows.map(row => ({ ...row, next: row.disposition === QUARANTINED ? { disposition: COUNTED, reason: null } : null }))
  }
  const excluded = rows.filter(({ disposition }) => disposition === EXCLUDED)
  const was = new Map<string, { disposition: number, reason: number | null }>()
  for (const { serviceId, from, to, ids } of chunksOf(excluded)) {
    const noted = await tx.query<{ report_id: string, action_id: string, disposition: number, reason: number | null }>(`
      select report_id, action_id, disposition, reason from moderated_reports
      where service_id = $1 and interval_at between $2 and $3 and report_id = any($4::uuid[]) and disposition <> ${EXCLUDED}
      order by action_id`, [serviceId, from, to, ids])
    const standing = await readStanding(tx, noted.map(row => row.action_id))
    // The last one's word is what counts.
    for (const row of noted) if (standing.has(row.action_id)) was.set(row.report_id, { disposition: row.disposition, reason: row.reason })
  }
  return rows.map(row => ({ ...row, next: row.disposition === EXCLUDED ? was.get(row.id) ?? { disposition: COUNTED, reason: null } : null }))
}

/** Which of some actions were not taken back. */
async function readStanding (tx: Db, actionIds: readonly string[]): Promise<Set<string>> {
  const rows = await tx.query<{ id: string }>('select id from moderation_actions where id = any($1::uuid[]) and reverted_at is null', [[...new Set(actionIds)]])
  return new Set(rows.map(({ id }) => id))
}

/** Notes each report as it is under the action, changes it, and marks its minute stale. */
export async function changeReports (tx: Db, actionId: string, changes: readonly Meant[]): Promise<void> {
  for (const { serviceId, from, to, ids } of chunksOf(changes)) {
    await tx.query(`insert into moderated_reports (service_id, action_id, interval_at, report_id, disposition, reason)
      select service_id, $5, interval_at, id, disposition, reason from reports
      where service_id = $1 and interval_at between $2 and $3 and id = any($4::uuid[])`, [serviceId, from, to, ids, actionId])
  }
  for (const alike of groupBy(changes, ({ next }) => `${next!.disposition} ${next!.reason}`)) {
    const { disposition, reason } = alike[0]!.next!
    for (const { serviceId, from, to, ids } of chunksOf(alike)) {
      await tx.query(`update reports set disposition = $5, reason = $6
        where service_id = $1 and interval_at between $2 and $3 and id = any($4::uuid[])`, [serviceId, from, to, ids, disposition, reason])
    }
  }
  await markStale(tx, changes)
}

async function markStale (tx: Db, rows: readonly Pick<Meant, 'serviceId' | 'minute'>[]): Promise<void> {
  for (const [serviceId, minutes] of minutesOf(rows)) {
    for (let from = 0; from < minutes.length; from += KEYS_PER_STATEMENT) {
      const chunk = minutes.slice(from, from + KEYS_PER_STATEMENT)
      await tx.query(`insert into stale_minutes (service_id, minute) values ${chunk.map((_, index) => `($1, $${index + 2})`).join(',')}`,
        [serviceId, ...chunk.map(minute => new Date(minute).toISOString())])
    }
  }
}

/** The distinct minutes (ms) of some reports, ascending, by service. */
export function minutesOf (rows: readonly Pick<Meant, 'serviceId' | 'minute'>[]): Map<number, number[]> {
  const minutes = new Map<number, Set<number>>()
  for (const { serviceId, minute } of rows) minutes.set(serviceId, (minutes.get(serviceId) ?? new Set()).add(minute.getTime()))
  return new Map([...minutes].sort(([a], [b]) => a - b).map(([serviceId, found]) => [serviceId, [...found].sort((a, b) => a - b)]))
}

function groupBy<T> (items: readonly T[], keyOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return [...groups.values()]
}

/** Keeps what a preview found under a stamp of its own, at or just after `now`, for an hour. */
export async function keepPreview (tx: Db, keys: readonly ReportKey[], now: Date): Promise<Date> {
  await prunePreviews(tx, now)
  let stamp = now
  // One row of no service says that there was such a preview, which may have found nothing.
  const take = () => tx.query(`insert into previewed_reports (service_id, until, interval_at, report_id) values (0, $1, 'epoch', $2)
    on conflict do nothing returning until`, [stamp.toISOString(), NOBODY])
  while ((await take()).length === 0) stamp = new Date(stamp.getTime() + 1)
  for (let from = 0; from < keys.length; from += KEYS_PER_STATEMENT) {
    const chunk = keys.slice(from, from + KEYS_PER_STATEMENT)
    let next = 2
    await tx.query(`insert into previewed_reports (until, service_id, interval_at, report_id) values
      ${chunk.map(() => `($1, $${next++}, $${next++}, $${next++})`).join(',')}`,
    [stamp.toISOString(), ...chunk.flatMap(({ serviceId, intervalAt, id }) => [serviceId, intervalAt.toISOString(), id])])
  }
  return stamp
}

/** Forgets previews that no action may quote any more. */
export async function prunePreviews (db: Db, now: Date): Promise<void> {
  await db.query('delete from previewed_reports where until < $1', [new Date(now.getTime() - PREVIEW_KEPT_MS).toISOString()])
}

/** Whether a stamp is that of a preview that is still kept. */
export async function hasPreview (db: Db, stamp: Date): Promise<boolean> {
  const rows = await db.query('select 1 from previewed_reports where service_id = 0 and until = $1', [stamp.toISOString()])
  return rows.length > 0
}

export async function insertAction ({ orm }: Db, action: StoredAction): Promise<void> {
  await orm.insert(moderationActions).values(action)
}

/** One action; `for update` holds it until the transaction ends. */
export async function findAction ({ orm }: Db, id: string, lock?: 'for update'): Promise<StoredAction | undefined> {
  const query = orm.select().from(moderationActions).where(eq(moderationActions.id, id))
  const [action] = lock === undefined ? await query : await query.for('update')
  return action
}

/** Actions, newest first, from after `before` on. */
export async function readActions ({ orm }: Db, limit: number, before?: Place): Promise<StoredAction[]> {
  const { createdAt, id } = moderationActions
  return orm.select().from(moderationActions)
    .where(isAfter(createdAt, id, before))
    .orderBy(desc(createdAt), desc(id)).limit(limit)
}

/** Later actions that still stand and touched some of the same reports: up to three of their ids. */
export async function findLaterActions (tx: Db, action: StoredAction): Promise<string[]> {
  const others = await tx.query<{ id: string }>(`select distinct n.action_id as id from moderated_reports m
      join moderated_reports n on n.service_id = m.service_id and n.interval_at = m.interval_at and n.report_id = m.report_id and n.action_id <> m.action_id
    where m.action_id = $1`, [action.id])
  const rows = await tx.query<{ id: string }>(`select id from moderation_actions
    where id = any($3::uuid[]) and reverted_at is null and (created_at, id) > ($2, $1) limit 3`,
  [action.id, action.createdAt.toISOString(), others.map(({ id }) => id)])
  return rows.map(({ id }) => id)
}

/** Gives every report of an action back what was noted of it, marks their minutes stale, and says which they are (of those still kept). */
export async function takeBack (tx: Db, { id }: StoredAction, now: Date): Promise<Pick<Meant, 'serviceId' | 'minute'>[]> {
  const touched = await tx.query<{ service_id: number, since: Date, until: Date }>(`select service_id, min(interval_at) as since, max(interval_at) as until
    from moderated_reports where action_id = $1 group by service_id order by service_id`, [id])
  const rows: Pick<Meant, 'serviceId' | 'minute'>[] = []
  for (const { service_id: serviceId, since, until } of touched) {
    rows.push(...await tx.query<{ serviceId: number, minute: Date }>(`update reports r set disposition = m.disposition, reason = m.reason
      from moderated_reports m where m.action_id = $1 and m.service_id = $2 and r.service_id = $2 and r.interval_at between $3 and $4
        and r.service_id = m.service_id and r.interval_at = m.interval_at and r.id = m.report_id
      returning r.service_id as "serviceId", r.minute`, [id, serviceId, since.toISOString(), until.toISOString()]))
  }
  await tx.query('update moderation_actions set reverted_at = $2 where id = $1', [id, now.toISOString()])
  await markStale(tx, rows)
  return rows
}

/** The rows of some outages of one service as JSON texts, to be put back. */
export async function keepOutages (tx: Db, serviceId: number, ids: readonly string[]): Promise<string[]> {
  const rows = await tx.query<{ row: string }>(`select json_build_object(${['service_id', 'id', ...RESTORED].map(column => `'${column}', ${column}`).join(', ')})::text as row
    from outages where service_id = $1 and id = any($2::uuid[])`, [serviceId, ids])
  return rows.map(({ row }) => row)
}

/**
 * Puts rows of outages back as they were kept. One that was open stays as it is while another of its service is: judging
 * again, which follows, tells them apart. @returns those that had changed.
 */
export async function restoreOutages (tx: Db, rows: readonly string[]): Promise<Pick<Outage, 'serviceId' | 'id' | 'state'>[]> {
  const restored: Pick<Outage, 'serviceId' | 'id' | 'state'>[] = []
  for (const row of rows) {
    const kept: Kept = JSON.parse(row)
    const { service_id: serviceId, id, state } = kept
    const now = await tx.query<Pick<Outage, 'id' | 'state'>>(`select id, state from outages
      where service_id = $1 and (id = $2 or state in (${OPEN})) for update`, [serviceId, id])
    const was = now.find(outage => outage.id === id)
    const isOpen = (OPEN_OUTAGE_STATES as readonly OutageState[]).includes(state)
    if (was === undefined || (was.state !== state && isOpen && now.length > 1)) continue
    await tx.query(`update outages set ${RESTORED.map((column, index) => `${column} = $${index + 3}`).join(', ')} where service_id = $1 and id = $2`,
      [serviceId, id, ...RESTORED.map(column => JSON_COLUMNS.includes(column) && kept[column] !== null ? JSON.stringify(kept[column]) : kept[column])])
    if (was.state !== state) restored.push({ serviceId, id, state })
  }
  return restored
}

const OPEN = OPEN_OUTAGE_STATES.map(state => `'${state}'`).join(', ')
/** What of an outage's row is kept and put back. */
const RESTORED = ['region', 'device_class', 'state', 'severity', 'onset_at', 'onset_from', 'onset_to', 'detected_at', 'confirmed_at', 'recovering_at', 'resolved_at',
  'dismissed_at', 'peak_start', 'peak_down', 'peak_expected', 'device_impact', 'retrospective', 'affected_share', 'merged_into', 'withdrawn']
const JSON_COLUMNS = ['device_impact', 'affected_share']
type Kept = Record<string, unknown> & { service_id: number, id: string, state: OutageState }

/** Forgets what was noted of reports of intervals before `before`, an ISO date: they are gone. */
export async function pruneModerated (db: Db, before: string): Promise<void> {
  await db.query('delete from moderated_reports where interval_at < $1', [`${before}T00:00:00Z`])
}

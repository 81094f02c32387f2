import type { HourExpectation, ScopeExpectation } from '../core/baseline.ts'
import { expandExpectation, type FlatExpectation } from '../core/curves.ts'
import { HOUR_MS } from '../core/time.ts'
import type { Db } from './client.ts'

/** Writes, or replaces, what was expected in an hour. */
export async function upsertBaselines (db: Db, rows: readonly { serviceId: number, expectation: HourExpectation }[]): Promise<void> {
  const latest = new Map(rows.map(row => [`${row.serviceId} ${row.expectation.hour}`, row]))
  const all = [...latest.values()]
  for (let from = 0; from < all.length; from += 500) {
    const chunk = all.slice(from, from + 500)
    let next = 1
    await db.query(`insert into baselines (service_id, hour, learnt_hours, scopes) values
        ${chunk.map(() => `($${next++}, $${next++}, $${next++}, $${next++})`).join(',')}
      on conflict (service_id, hour) do update set learnt_hours = excluded.learnt_hours, scopes = excluded.scopes`,
    chunk.flatMap(({ serviceId, expectation: { hour, learntHours, scopes } }) =>
      [serviceId, new Date(hour).toISOString(), learntHours, JSON.stringify(scopes)]))
  }
}

/**
 * The hours (ms) of `[from, to)` that have a baseline, ascending, with those of the scopes asked for, by scope key. What
 * is old is kept by the hour or by the day, as an expectation that is the same in each watched minute of it.
 */
export async function readBaselines (db: Db, serviceId: number, scopeKeys: readonly string[], from: number, to: number):
Promise<{ hour: number, scopes: Record<string, ScopeExpectation | null> }[]> {
  const rows = await db.query<{ start: Date, hours: number, fine: Record<string, ScopeExpectation | null> | null, flat: Record<string, FlatExpectation | null> | null }>(`
      select hour as start, 1 as hours, ${PICKED} as fine, null::json as flat from baselines where service_id = $1 and hour >= $2 and hour < $3
      union all select hour, 1, null, ${PICKED} from baselines_1h where service_id = $1 and hour >= $2 and hour < $3
      union all select day, 24, null, ${PICKED} from baselines_1d
        where service_id = $1 and day >= date_bin('1 day', $2::timestamptz, '1970-01-01T00:00:00Z') and day < $3
      order by start`,
  [serviceId, new Date(from).toISOString(), new Date(to).toISOString(), scopeKeys])
  return rows.flatMap(({ start, hours, fine, flat }) => {
    const scopes = fine ?? expandAll(flat ?? {})
    return Array.from({ length: hours }, (_, index) => ({ hour: start.getTime() + index * HOUR_MS, scopes })).filter(({ hour }) => hour >= from && hour < to)
  })
}

const PICKED = '(select json_object_agg(key, scopes -> key) from unnest($4::text[]) key)'

function expandAll (flat: Record<string, FlatExpectation | null>): Record<string, ScopeExpectation | null> {
  return Object.fromEntries(Object.entries(flat).map(([key, expectation]) => [key, expectation === null ? null : expandExpectation(expectation)]))
}

/** Every service's expectation of everything (`*`, `*`), or that of some, in the hours of `[from, to)` (ms), newest last. */
export async function readServiceBaselines (db: Db, from: number, to: number, serviceIds?: readonly number[]):
Promise<{ serviceId: number, hour: number, learntHours: number, expectation: ScopeExpectation | null }[]> {
  const rows = await db.query<{ service_id: number, hour: Date, learnt_hours: number, expectation: ScopeExpectation | null }>(
    `select service_id, hour, learnt_hours, scopes -> '*|*' as expectation from baselines
    where hour >= $1 and hour < $2 ${serviceIds === undefined ? '' : 'and service_id = any($3)'} order by service_id, hour`,
    [new Date(from).toISOString(), new Date(to).toISOString(), ...(serviceIds === undefined ? [] : [serviceIds])])
  return rows.map(row => ({ serviceId: row.service_id, hour: row.hour.getTime(), learntHours: row.learnt_hours, expectation: row.expectation }))
}

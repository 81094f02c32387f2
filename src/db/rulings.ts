// A moderator's words in the lifecycle, as judging reads them. What a word makes of the outage's row is said where it is spoken.
import { v7 as uuid7 } from 'uuid'
import type { Ruling } from '../core/detector.ts'
import type { RulingType, Scope } from '../core/vocabulary.ts'
import type { Db } from './client.ts'
import { lockJudging } from './detector.ts'

/** A word as it is stored: about one outage of one service. */
export interface StoredRuling extends Ruling { serviceId: number, outageId: string }

/**
 * Writes a word down. Call it before anything is locked or read of the outage: from here to the end of the transaction
 * no minute is judged and nobody else speaks, so that the row stands as it was left.
 * @returns the start (ms) of the window before which it counts: all before is judged.
 */
export async function insertRuling (
  tx: Db, ruling: { serviceId: number, outageId: string, type: RulingType, scope: Scope | null, onsetAt: number | null }
): Promise<number> {
  const minute = new Date((await lockJudging(tx)).judgedUntil)
  await tx.query(`insert into rulings (service_id, minute, id, outage_id, type, region, device_class, onset_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8)`,
  [ruling.serviceId, minute.toISOString(), uuid7(), ruling.outageId, ruling.type, ruling.scope?.region ?? null, ruling.scope?.deviceClass ?? null,
    ruling.onsetAt === null ? null : new Date(ruling.onsetAt).toISOString()])
  return minute.getTime()
}

/** The words that count before windows of `[from, to]` (ms, both included), of one service or of all, in their order. */
export async function readRulings (db: Db, from: number, to: number, serviceId?: number): Promise<StoredRuling[]> {
  const rows = await db.query<{
    service_id: number, minute: Date, outage_id: string, type: RulingType, region: string | null, device_class: string | null, onset_at: Date | null
  }>(`select service_id, minute, outage_id, type, region, device_class, onset_at from rulings
    where minute >= $1 and minute <= $2 ${serviceId === undefined ? '' : 'and service_id = $3'} order by service_id, minute, id`,
  [new Date(from).toISOString(), new Date(to).toISOString(), ...(serviceId === undefined ? [] : [serviceId])])
  return rows.map(row => ({
    serviceId: row.service_id,
    outageId: row.outage_id,
    type: row.type,
    at: row.minute.getTime(),
    scope: row.region === null || row.device_class === null ? null : { region: row.region, deviceClass: row.device_class },
    onsetAt: row.onset_at?.getTime() ?? null
  }))
}

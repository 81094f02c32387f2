// The audit log: who changed what, when and why, each row chained to the one before by its hash.
import { createHash } from 'node:crypto'
import { v7 as uuid7 } from 'uuid'
import type { Db } from './client.ts'

/** A change to write down. `actor`: a token's id, or `command` for the command line; `target`: `service/imessage`. */
export interface AuditEntry {
  actor: string
  action: string
  target: string
  /** As the API tells them; null: there was, or is, none. */
  before?: object | null
  after?: object | null
  reason?: string | null
}

/** A row as it is stored; `before` and `after` are the JSON texts that were hashed. */
export interface AuditRow {
  number: number
  id: string
  at: Date
  actor: string
  action: string
  target: string
  before: string | null
  after: string | null
  reason: string | null
  hash: Buffer
  previous: Buffer
}

/**
 * Writes a change down in the transaction that makes it: whoever writes waits for the one before, so that the chain has
 * one order. Call it last: the log is held until the commit.
 */
export async function recordAudit (tx: Db, entry: AuditEntry, now: Date): Promise<void> {
  const [head] = await tx.query<{ number: string, hash: Buffer }>('select number, hash from audit_head for update')
  const row = {
    number: Number(head!.number) + 1,
    id: uuid7(),
    at: now,
    actor: entry.actor,
    action: entry.action,
    target: entry.target,
    before: entry.before == null ? null : JSON.stringify(entry.before),
    after: entry.after == null ? null : JSON.stringify(entry.after),
    reason: entry.reason ?? null,
    previous: head!.hash
  }
  const hash = hashRow(row)
  await tx.query(`insert into audit_log (number, id, at, actor, action, target, before, after, reason, previous, hash)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
  [row.number, row.id, now.toISOString(), row.actor, row.action, row.target, row.before, row.after, row.reason, row.previous, hash])
  await tx.query('update audit_head set number = $1, hash = $2', [row.number, hash])
}

/**
 * Waits until nobody writes to the log, and holds it until the commit. For work on one snapshot, which must do so before
 * its first statement: whoever wrote later would be a collision (LOCK itself takes no snapshot).
 */
export async function holdAudit (tx: Db): Promise<void> {
  await tx.query('lock table audit_head in exclusive mode')
}

/** SHA-256 over the hash of the row before and, as a JSON array, all that this one says. */
export function hashRow ({ number, id, at, actor, action, target, before, after, reason, previous }: Omit<AuditRow, 'hash'>): Buffer {
  return createHash('sha256').update(previous)
    .update(JSON.stringify([number, id, at.toISOString(), actor, action, target, before, after, reason])).digest()
}

const COLUMNS = 'number, id, at, actor, action, target, before::text as before, after::text as after, reason, hash, previous'
/** PostgreSQL's bigint comes as text. */
type Read = Omit<AuditRow, 'number'> & { number: string }

/** Rows of the log, newest first, from before `number` on. */
export async function readAudit (db: Db, limit: number, before?: number): Promise<AuditRow[]> {
  const rows = await db.query<Read>(`select ${COLUMNS} from audit_log where $2::bigint is null or number < $2 order by number desc limit $1`, [limit, before ?? null])
  return rows.map(row => ({ ...row, number: Number(row.number) }))
}

/** Rows read at once when the chain is checked. */
const ROWS_PER_READ = 1_000
/** Faults that are noted at most: a log that was made anew has one in each row. */
const FAULTS_MAX = 1_000
const NOTHING = '0'.repeat(64)

/**
 * Checks the chain from its first row to its head: every row unchanged, none missing, none elsewhere, the last ones too.
 * @param kept a head of earlier, hex, that must still be in the log.
 * @returns how many rows there are, the head (hex) and what is wrong, a sentence each.
 */
export async function verifyAudit (db: Db, kept?: string): Promise<{ count: number, head: string, faults: string[] }> {
  const faults: string[] = []
  const tell = (fault: string) => { if (faults.length < FAULTS_MAX) faults.push(fault) }
  let count = 0
  let next = 1
  let previous = NOTHING
  let foundKept = kept === undefined || kept === NOTHING
  for (;;) {
    const rows = await db.query<Read & { whole: boolean }>(`select ${COLUMNS}, at = date_trunc('milliseconds', at) as whole
      from audit_log where number >= $1 order by number limit ${ROWS_PER_READ}`, [next])
    if (rows.length === 0) break
    for (const { whole, ...read } of rows) {
      const row = { ...read, number: Number(read.number) }
      if (row.number > next) tell(row.number === next + 1 ? `Row ${next} is missing.` : `Rows ${next} to ${row.number - 1} are missing.`)
      else if (row.previous.toString('hex') !== previous) tell(`Row ${row.number} does not follow the row before it: one of the two is not as it was written.`)
      if (!whole || !hashRow(row).equals(row.hash)) tell(`Row ${row.number} of ${row.at.toISOString()} was changed.`)
      previous = row.hash.toString('hex')
      foundKept ||= previous === kept
      next = row.number + 1
      count++
    }
  }
  const [head] = await db.query<{ number: string, hash: Buffer }>('select number, hash from audit_head')
  const last = Number(head?.number ?? -1)
  if (head === undefined) tell('The head of the log is missing.')
  else if (last >= next) tell(next === last ? `Row ${last}, the last, is missing.` : `Rows ${next} to ${last}, the last, are missing.`)
  else if (last !== next - 1 || head.hash.toString('hex') !== previous) tell('The head of the log is not that of its last row.')
  if (!foundKept) tell(`The head ${kept} is not in the log: rows were taken away, or written anew.`)
  return { count, head: previous, faults }
}

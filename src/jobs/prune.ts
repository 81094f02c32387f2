import { DAY_MS, dayOf } from '../core/time.ts'
import type { Database } from '../db/client.ts'
import { untieComments } from '../db/comments.ts'
import { pruneDeliveries } from '../db/deliveries.ts'
import { pruneModerated, prunePreviews } from '../db/moderation.ts'
import { pruneNews } from '../db/outbox.ts'
import { dropPartitions, ensurePartitions } from '../db/partitions.ts'
import { pruneProofs } from '../db/proofs.ts'
import { retentionStart } from '../db/reports.ts'

/** Partitions are made this many days ahead, so that a job that lags stops nobody from reporting. */
const DAYS_AHEAD = 3
/** A comment is tied to its report this long, ms, unless a moderator decides before. */
const TIE_KEPT_MS = 2 * DAY_MS

/**
 * Makes the days that reports may name, with some ahead, and drops what is past its time: raw reports after the
 * retention, salts after their second day, what ties comments to reports, old news and how they were delivered, old
 * previews. Safe to run at any time, and again.
 */
export async function prune (database: Database, retentionDays: number, now: Date): Promise<void> {
  const ahead = now.getTime() + DAYS_AHEAD * DAY_MS
  await ensurePartitions(database, 'salts', now.getTime() - DAY_MS, ahead)
  await ensurePartitions(database, 'reports', now.getTime() - retentionDays * DAY_MS, ahead)
  await dropPartitions(database, 'salts', dayOf(now.getTime() - DAY_MS))
  await dropPartitions(database, 'reports', retentionStart(retentionDays, now))
  await pruneProofs(database)
  await pruneNews(database)
  await pruneDeliveries(database)
  await untieComments(database, new Date(now.getTime() - TIE_KEPT_MS))
  await pruneModerated(database, retentionStart(retentionDays, now))
  await prunePreviews(database, now)
}

import type { SourceFormat } from '../core/vocabulary.ts'
import type { Db } from './client.ts'

/** How far the work on the tables has come. */
export interface Figures {
  /** The start of the oldest minute that is to be recounted; null: none is. */
  stalest: Date | null
  /** Up to where everything is judged; null before the first start. */
  judgedUntil: Date | null
  /** News that the webhook which is furthest behind has no delivery of yet. */
  unqueuedCount: number
  /** Deliveries that have not ended. */
  pendingCount: number
  /** Seconds since the oldest news that some webhook still waits for; 0: none does. */
  undeliveredAgeS: number
  /** Sources that are switched on, by format: how many, how many of them could not be read the last time, and when the one that was longest not read was read; null: none ever. */
  sources: { format: SourceFormat, enabledCount: number, staleCount: number, oldestReadAt: Date | null }[]
}

/**
 * Reads all figures, without touching reports or windows; ages are in the database's time. Three statements, since each
 * asks one kind of table where they are distributed: what lies by service, what each node has, what the first has alone.
 */
export async function readFigures (db: Db): Promise<Figures> {
  const [stale] = await db.query<{ stalest: Date | null }>('select min(minute) as stalest from stale_minutes')
  const sources = await db.query<{ format: SourceFormat, enabled: number, stale: number, oldest: Date | null }>(`select format,
      count(*)::integer as enabled, count(*) filter (where failures > 0)::integer as stale, min(read_at) as oldest
    from sources left join source_pages using (url, format) where enabled and retired_at is null group by format`)
  const [row] = await db.query<{ judged_until: Date | null, unqueued: string, pending: string, undelivered_age_s: number }>(`select judged_until,
      unqueued, pending, coalesce(extract(epoch from now() - least(oldest_pending, oldest_unqueued)), 0)::double precision as undelivered_age_s
    from (select max(judged_until) as judged_until from judging) b,
      (select coalesce(max(number - outbox_number), 0) as unqueued from webhooks, outbox_head where enabled and retired_at is null) c,
      (select min(written_at) as oldest_unqueued from outbox
        where number > (select min(outbox_number) from webhooks where enabled and retired_at is null)) d,
      (select count(*) as pending, min(created_at) as oldest_pending from deliveries where state = 'pending') e`)
  const { judged_until: judgedUntil, unqueued, pending, undelivered_age_s: undeliveredAgeS } = row!
  return {
    stalest: stale!.stalest,
    judgedUntil,
    unqueuedCount: Number(unqueued),
    pendingCount: Number(pending),
    undeliveredAgeS,
    sources: sources.map(({ format, enabled, stale, oldest }) => ({ format, enabledCount: enabled, staleCount: stale, oldestReadAt: oldest }))
  }
}

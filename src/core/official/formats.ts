import type { SourceFormat } from '../vocabulary.ts'
import { readApple } from './apple.ts'
import { readFeed } from './feed.ts'
import { readGoogleCloud } from './google-cloud.ts'
import type { Adapter } from './page.ts'
import { readSlack } from './slack.ts'
import { readStatuspage } from './statuspage.ts'

export { PageError, type Adapter, type Incident, type PageReading, type Word } from './page.ts'

export interface Format {
  adapter: Adapter
  /** Whether its times of publication may be back-dated, so that a word is never taken as said before we last saw the page without it. */
  backdates: boolean
  /** What is asked for with `Accept`. */
  accept: string
}

/**
 * How each format is read. Apple gives when it began where it does not give when it said so; the others' times of saying
 * so are taken as they are published.
 */
export const FORMATS: Readonly<Record<SourceFormat, Format>> = {
  statuspage: { adapter: readStatuspage, backdates: false, accept: 'application/json' },
  apple: { adapter: readApple, backdates: true, accept: 'application/json, text/javascript, application/javascript' },
  'google-cloud': { adapter: readGoogleCloud, backdates: false, accept: 'application/json' },
  slack: { adapter: readSlack, backdates: false, accept: 'application/json' },
  feed: { adapter: readFeed, backdates: false, accept: 'application/atom+xml, application/rss+xml, application/xml;q=0.9, text/xml;q=0.9' }
}

/**
 * When a word was said, as far as we can know, all in ms: as published, or when first seen, whichever is earlier; where
 * the format back-dates, never before `lastWithoutAt`, when the page was last seen without it (null: never). So it is
 * never later than `seenAt`.
 */
export function saidAt (publishedAt: number, seenAt: number, lastWithoutAt: number | null, backdates: boolean): number {
  const earliest = backdates && lastWithoutAt !== null ? Math.max(publishedAt, lastWithoutAt) : publishedAt
  return Math.min(earliest, seenAt)
}

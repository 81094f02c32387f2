// Reads vendors' own pages, each once in a minute or so, and writes down what is new there. What it means for our outages
// is official.ts; how each format is read is core/official.
import { createHash } from 'node:crypto'
import { FORMATS, PageError, type PageReading } from '../core/official/formats.ts'
import { OFFICIAL_KEPT_MS } from '../core/official/standing.ts'
import { newWords } from '../core/official/words.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS, type Clock } from '../core/time.ts'
import { transact, type Database } from '../db/client.ts'
import { insertWords, readKnownWords, readPagesToWatch, recordReading } from '../db/official.ts'
import { readCatalog } from '../db/services.ts'
import { OutgoingError, type Call } from './outgoing.ts'

/** A page is read this often, domain ms, and on a fast clock once in a real second. */
const READ_EVERY_MS = MINUTE_MS
const READ_EVERY_REAL_MS = 1_000
/** One that fails is read again after this long, then after twice as long each time, up to the second, domain ms. */
const RETRY_MS = 15_000
const RETRY_MAX_MS = HOUR_MS / 4
/** Each wait is up to this part shorter, so that not all pages are read at once. */
const JITTER = 0.1
/** Pages that are read at the same time. */
const PAGES_AT_ONCE = 4
const ERROR_MAX = 300
/** What a source may say in a day: words are never removed, and a page that makes up new ones at every reading would fill the disk. */
const WORDS_PER_DAY_MAX = 10_000

/** What reading pages works with; `random` gives numbers in [0, 1). */
export interface SourcesOptions { database: Database, clock: Clock, call: Call, random: () => number }
type Page = Awaited<ReturnType<typeof readPagesToWatch>>[number]

/** Reads the pages that are due whenever it is called; `signal` ends what is under way. A broken page harms no other. */
export function watchSources ({ database, clock, call, random }: SourcesOptions): (signal?: AbortSignal) => Promise<void> {
  const dueAt = new Map<string, number>()

  async function read (page: Page, signal: AbortSignal | undefined): Promise<void> {
    let unexpected: unknown
    const failed = await readPage(database, page, { clock, call, signal }).then(() => undefined, (error: unknown) => {
      if (error instanceof OutgoingError || error instanceof PageError) return error.message
      unexpected = error
      return 'What it says could not be taken in.'
    })
    if (failed !== undefined && signal?.aborted !== true) await recordReading(database, page, { error: failed.slice(0, ERROR_MAX) })
    const waitMs = failed === undefined
      ? Math.max(READ_EVERY_MS, READ_EVERY_REAL_MS * clock.speed)
      : Math.min(RETRY_MS * 2 ** page.failures, RETRY_MAX_MS)
    dueAt.set(keyOf(page), clock.now().getTime() + waitMs * (1 - JITTER * random()))
    if (unexpected !== undefined) throw unexpected
  }

  return async signal => {
    const pages = await readPagesToWatch(database)
    const known = new Set(pages.map(keyOf))
    for (const key of dueAt.keys()) if (!known.has(key)) dueAt.delete(key)
    // A page that was never read is due whatever its address was waiting for before.
    const due = pages.filter(page => (page.readAt === null && page.failures === 0) || (dueAt.get(keyOf(page)) ?? -Infinity) <= clock.now().getTime())
    const unexpected: unknown[] = []
    for (let next = due.splice(0, PAGES_AT_ONCE); next.length > 0; next = due.splice(0, PAGES_AT_ONCE)) {
      const ends = await Promise.allSettled(next.map(page => read(page, signal)))
      unexpected.push(...ends.flatMap(end => end.status === 'rejected' ? [end.reason] : []))
    }
    // Said once every page has had its turn.
    if (unexpected.length > 0) throw unexpected[0]
  }
}

function keyOf ({ format, url }: Page): string {
  return `${format} ${url}`
}

/** @throws OutgoingError, PageError when the page cannot be read */
async function readPage (
  database: Database, page: Page, { clock, call, signal }: { clock: Clock, call: Call, signal: AbortSignal | undefined }
): Promise<void> {
  const { url, format } = page
  const { adapter, accept, backdates } = FORMATS[format]
  const answer = await call({
    method: 'GET',
    url,
    headers: {
      accept,
      'user-agent': 'Groundswell',
      ...(page.etag === null ? {} : { 'if-none-match': page.etag }),
      ...(page.lastModified === null ? {} : { 'if-modified-since': page.lastModified })
    }
  }, {}, signal)
  const seenAt = clock.now()
  const { etag = null, 'last-modified': lastModified = null } = answer.headers
  if (answer.status === 304) return recordReading(database, page, { readAt: seenAt, etag: page.etag, lastModified: page.lastModified })
  if (answer.status !== 200) throw new PageError('an answer with status 200', String(answer.status))
  const reading = absolute(adapter(answer.body), answer.url)
  await store(database, page, reading, { seenAt, etag, lastModified, backdates })
}

/** The same with absolute links: some vendors name an incident's page from their own address on. */
function absolute (reading: PageReading, url: string): PageReading {
  const link = (path: string | null) => path !== null && URL.canParse(path, url) ? new URL(path, url).href : null
  return { ...reading, incidents: reading.incidents.map(incident => ({ ...incident, url: link(incident.url) })) }
}

async function store (
  database: Database, page: Page, reading: PageReading, { seenAt, backdates, ...tags }: { seenAt: Date, backdates: boolean, etag: string | null, lastModified: string | null }
): Promise<void> {
  const services = new Map([...(await readCatalog(database)).services.values()].map(service => [service.id, service]))
  await transact(database, async tx => {
    for (const { id, serviceId, names } of page.sources) {
      const known = await readKnownWords(tx, serviceId, id, new Date(seenAt.getTime() - OFFICIAL_KEPT_MS))
      const time = { seenAt: seenAt.getTime(), lastReadAt: page.readAt?.getTime() ?? null, backdates }
      const { components } = services.get(serviceId)!
      const added = newWords(reading, known, { names, components }, time, digestOf)
      const saidToday = known.filter(word => word.seenAt > time.seenAt - DAY_MS).length + added.length
      if (saidToday > WORDS_PER_DAY_MAX) throw new PageError(`at most ${WORDS_PER_DAY_MAX} new words in a day`, String(saidToday))
      await insertWords(tx, serviceId, id, added)
    }
    await recordReading(tx, page, { readAt: seenAt, ...tags, updatedAt: reading.updatedAt === null ? null : new Date(reading.updatedAt) })
  })
}

function digestOf (text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 22)
}

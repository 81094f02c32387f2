// Tells open streams what is new about outages: reads the outbox once for all of them, and brings up to date whoever resumes.
import { readNews, findNewsRange, type News } from '../db/outbox.ts'
import type { Db } from '../db/client.ts'
import type { Stream } from './streams.ts'

/** News in one reading, of some kB each: what waits in memory for each client that catches up. */
const PAGE_MAX = 20

/** After which number a stream begins, and what its client is told when that is not where it left off; `newest` was then. */
export interface Begin { after: number, newest: number, reset?: { reason: string, oldest: number | null } }

/** The news for all streams of one instance. */
export interface Newsroom {
  /** Where to go on for a client that has seen the news up to `seen` (NaN: we do not know what it means; undefined: it is new). */
  begin: (seen: number | undefined) => Promise<Begin>
  /** Tells a stream what came since its begin, of one service or of all, then what comes; resolves once it is up to date. */
  follow: (stream: Stream, serviceId: number | undefined, begin: Begin) => Promise<void>
  /** Reads what is new, and tells everybody. Never runs twice at once: called meanwhile it reads once more. */
  pump: () => Promise<void>
  /** Up to which number a stream has been told all that is for it; undefined while it catches up. */
  toldUntil: (stream: Stream) => number | undefined
}

export function openNewsroom (db: Db): Newsroom {
  const following = new Map<Stream, { serviceId: number | undefined, after: number }>()
  // Everybody who follows has been told up to here; undefined: nobody follows.
  let position: number | undefined
  let reading = false
  let again = false

  function tell (page: readonly News[]): void {
    const first = page[0]!.number
    const last = page.at(-1)!.number
    // One text for all who are told the same.
    const texts = new Map<number | undefined, Buffer | undefined>()
    for (const [stream, { serviceId, after }] of following) {
      if (after >= last) continue
      if (after >= first) {
        const text = write(page, serviceId, after)
        if (text !== undefined) stream.send(text)
        continue
      }
      if (!texts.has(serviceId)) texts.set(serviceId, write(page, serviceId, after))
      const text = texts.get(serviceId)
      if (text !== undefined) stream.send(text)
    }
    position = last
  }

  async function readOn (): Promise<void> {
    while (following.size > 0) {
      again = false
      const page = await readNews(db, position!, PAGE_MAX)
      if (page.length > 0) tell(page)
      if (page.length < PAGE_MAX && !again) break
    }
    if (following.size === 0) position = undefined
  }

  return {
    async begin (seen) {
      const { oldest, newest } = await findNewsRange(db)
      if (seen === undefined) return { after: newest, newest }
      if (seen >= oldest - 1 && seen <= newest) return { after: seen, newest }
      return { after: newest, newest, reset: resetOf(seen, oldest, newest) }
    },
    async follow (stream, serviceId, { after, newest }) {
      while (!stream.isOver()) {
        // Numbers commit in order: what is read from now on has all up to here.
        const sure = Math.max(newest, position ?? 0, after)
        const page = sure > after ? await readNews(db, after, PAGE_MAX, serviceId) : []
        if (page.length > 0) {
          const range = await findNewsRange(db)
          // Forgotten while it caught up: what was read may lack its begin.
          if (range.oldest > after + 1) {
            stream.send(writeReset(range.newest, resetOf(after, range.oldest, range.newest)))
            after = newest = range.newest
            continue
          }
          stream.send(write(page, undefined, after)!)
          newest = range.newest
        }
        after = page.length === PAGE_MAX ? page.at(-1)!.number : Math.max(sure, page.at(-1)?.number ?? 0)
        if (page.length < PAGE_MAX && after >= (position ?? 0)) break
        await stream.drained()
      }
      if (stream.isOver()) return
      // No wait since the comparison: what is told from now on is what comes after.
      position ??= after
      following.set(stream, { serviceId, after })
      stream.onOver(() => following.delete(stream))
    },
    async pump () {
      again = true
      if (reading) return
      reading = true
      try {
        await readOn()
      } finally {
        reading = false
      }
    },
    toldUntil (stream) {
      const own = following.get(stream)
      return own === undefined ? undefined : Math.max(own.after, position!)
    }
  }
}

/** What a client is told when it cannot go on where it left off. */
export function writeReset (after: number, reset: NonNullable<Begin['reset']>): Buffer {
  return Buffer.from(`id: ${after}\nevent: reset\ndata: ${JSON.stringify(reset)}\n\n`)
}

function resetOf (seen: number, oldest: number, newest: number): NonNullable<Begin['reset']> {
  const why = seen < oldest ? 'What came after the event that you saw last is no longer kept' : 'The event that you saw last is not known here'
  return { reason: `${why}; GET /v1/outages tells how things stand, and what is new follows.`, oldest: oldest > newest ? null : oldest }
}

/** The news that come after a number, of one service or of all; undefined when there are none. Their JSON has no line ends. */
function write (page: readonly News[], serviceId: number | undefined, after: number): Buffer | undefined {
  const own = page.filter(news => news.number > after && (serviceId === undefined || news.serviceId === serviceId))
  if (own.length === 0) return undefined
  return Buffer.from(own.map(({ number, type, data }) => `id: ${number}\nevent: ${type}\ndata: ${data}\n\n`).join(''))
}

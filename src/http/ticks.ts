import type { Db } from '../db/client.ts'
import type { Service } from '../db/services.ts'
import type { Clock } from '../core/time.ts'
import { readNewestPoints } from './curves.ts'
import type { Stream } from './streams.ts'

interface Group { slug: string, streams: Set<Stream>, told: Map<string, string> }

/** The newest points of the curves of services that somebody listens to. */
export interface Ticks {
  /** Tells a stream its service's points: those that were told last at once, if there are any, then each that differs. */
  follow: (stream: Stream, service: Service) => void
  /** Reads all such services in one round, and tells what differs. Never runs twice at once: called meanwhile it reads once more. */
  round: () => Promise<void>
}

export function openTicks (db: Db, clock: Clock): Ticks {
  const groups = new Map<number, Group>()
  let reading = false
  let again = false

  async function read (): Promise<void> {
    const points = await readNewestPoints(db, [...groups.keys()], clock.speed, clock.now())
    for (const [id, newest] of points) {
      const group = groups.get(id)
      if (group === undefined) continue
      const texts = new Map(newest.map(point => [point.start, write(group.slug, point)]))
      const changed = [...texts].filter(([start, text]) => group.told.get(start) !== text).map(([, text]) => text)
      group.told = texts
      if (changed.length === 0) continue
      const text = Buffer.from(changed.join(''))
      for (const stream of group.streams) stream.send(text)
    }
  }

  return {
    follow (stream, service) {
      if (stream.isOver()) return
      const { id, slug } = service
      const group = groups.get(id) ?? { slug, streams: new Set(), told: new Map() }
      groups.set(id, group)
      group.streams.add(stream)
      stream.onOver(() => {
        group.streams.delete(stream)
        // A group that was emptied and made anew is another.
        if (group.streams.size === 0 && groups.get(id) === group) groups.delete(id)
      })
      if (group.told.size > 0) stream.send(Buffer.from([...group.told.values()].join('')))
    },
    async round () {
      again = true
      if (reading) return
      reading = true
      try {
        while (again && groups.size > 0) {
          again = false
          await read()
        }
      } finally {
        reading = false
      }
    }
  }
}

function write (service: string, point: object): string {
  return `event: curve\ndata: ${JSON.stringify({ service, point })}\n\n`
}

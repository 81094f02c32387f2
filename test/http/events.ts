// A client of event streams over a real socket, as WHATWG HTML 9.2 reads them: for tests.
import { get, type IncomingHttpHeaders } from 'node:http'

/** One event as a client takes it; `id` is the last one that was set, here or before. */
export interface Event { event: string, id: string, data: any }

export interface EventClient {
  status: number
  headers: IncomingHttpHeaders
  events: Event[]
  /** The comments, and whatever came that was no event. */
  comments: string[]
  retryMs: number | undefined
  /** What to resume from. */
  lastId: () => string
  /** The body of what is no stream, once it has ended. */
  body: () => any
  /** Waits until there is what `has` asks for, or the stream has ended; whether there is. */
  until: (has: (client: EventClient) => boolean) => Promise<boolean>
  /** Waits for the end: true when it was complete, false when it was cut. */
  ended: Promise<boolean>
  cut: () => void
}

/** Connects and waits for the head of the answer. */
export function listen (url: string, headers: Record<string, string> = {}): Promise<EventClient> {
  return new Promise((resolve, reject) => {
    const request = get(url, { headers, agent: false }, response => {
      let text = ''
      let body = ''
      let id = ''
      let over = false
      const waiting = new Set<() => void>()
      const wake = () => { for (const look of [...waiting]) look() }
      const take = (block: string) => {
        let event = ''
        const data: string[] = []
        for (const line of block.split('\n')) {
          const [, name = '', value = ''] = /^([^:]*):? ?(.*)$/.exec(line)!
          if (name === 'id') id = value
          else if (name === 'event') event = value
          else if (name === 'data') data.push(value)
          else if (name === 'retry') client.retryMs = Number(value)
          else client.comments.push(line)
        }
        if (data.length > 0) client.events.push({ event, id, data: JSON.parse(data.join('\n')) })
      }
      const client: EventClient = {
        status: response.statusCode!,
        headers: response.headers,
        events: [],
        comments: [],
        retryMs: undefined,
        lastId: () => id,
        body: () => JSON.parse(body),
        until: has => new Promise(resolve => {
          const look = () => {
            if (!has(client) && !over) return
            waiting.delete(look)
            resolve(has(client))
          }
          waiting.add(look)
          look()
        }),
        ended: new Promise(resolve => {
          response.once('close', () => {
            over = true
            resolve(response.complete)
            wake()
          })
        }),
        cut: () => { request.destroy() }
      }
      response.setEncoding('utf8').on('error', () => {}).on('data', (chunk: string) => {
        if (client.status !== 200) body += chunk
        text += chunk
        const blocks = text.split('\n\n')
        text = blocks.pop()!
        for (const block of blocks) take(block)
        wake()
      })
      if (client.status === 200) resolve(client)
      else client.ended.then(() => resolve(client), reject)
    })
    // After the head an error shows as the end of the stream.
    request.on('error', reject)
  })
}

// A receiver of webhooks on 127.0.0.1: other people's code, which may fail, stall and lie.
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { Test } from 'tap'
import { listen } from './listen.ts'

/** What it was sent; `path` tells receivers apart that share one. */
export interface Received { path: string, headers: IncomingHttpHeaders, body: string, id: string, news: { type: string, timestamp: string, data: any } }

/** A running receiver. */
export interface Receiver {
  url: string
  calls: Received[]
  /** Resolves when it has been called so many times in all. */
  called: (times: number) => Promise<void>
}

/** Opens a receiver; closed, with all that still waits for it, when `t` ends. @param answer by default 204. */
export async function openReceiver (
  t: Pick<Test, 'teardown'>, answer: (response: ServerResponse, received: Received, times: number) => void = response => response.writeHead(204).end()
): Promise<Receiver> {
  const calls: Received[] = []
  const waiting: { times: number, done: () => void }[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', text => { body += text }).on('end', () => {
      const received = { path: request.url ?? '', headers: request.headers, body, id: String(request.headers['webhook-id']), news: JSON.parse(body) }
      calls.push(received)
      for (const { times, done } of waiting) if (calls.length >= times) done()
      answer(response, received, calls.length)
    })
  })
  const port = await listen(t, server)
  return {
    url: `http://127.0.0.1:${port}/hook`,
    calls,
    called: times => calls.length >= times ? Promise.resolve() : new Promise(resolve => waiting.push({ times, done: resolve }))
  }
}

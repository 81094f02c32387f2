import { z } from 'zod'
import { Fault } from '../core/faults.ts'
import { sendText, type Routes } from './schemas.ts'

const Alive = z.object({ status: z.literal('ok') })
const Ready = z.object({ status: z.literal('ready') })
/** Prometheus' text format; a client that names no version takes any. */
const TEXT_FORMAT = 'text/plain;version=0.0.4'

/**
 * `GET /healthz`: the process lives; `GET /readyz`: it can take a report now; `GET /metrics`: how it fares, in figures.
 * @param unreadiness every reason why it cannot, each a sentence; none when it can.
 */
export const operations: Routes<{ unreadiness: () => Promise<string[]>, metrics: () => Promise<string> }> = async (app, { unreadiness, metrics }) => {
  app.get('/healthz', { schema: { summary: 'The process lives', response: { 200: Alive } } }, async (_request, reply) => {
    reply.header('cache-control', 'no-store')
    return { status: 'ok' as const }
  })
  app.get('/readyz', { schema: { summary: 'It can take a report now', response: { 200: Ready } } }, async (_request, reply) => {
    const reasons = await unreadiness()
    if (reasons.length > 0) throw new Fault('unavailable', reasons.join(' '))
    reply.header('cache-control', 'no-store')
    return { status: 'ready' as const }
  })
  app.get('/metrics', {
    config: { produces: [TEXT_FORMAT, 'text/plain'] },
    schema: { summary: 'How the service fares, for Prometheus', response: { 200: z.string() } }
  }, async (_request, reply) => {
    const text = await metrics()
    reply.header('cache-control', 'no-store').type(`${TEXT_FORMAT}; charset=utf-8`)
    return sendText(reply, text)
  })
}

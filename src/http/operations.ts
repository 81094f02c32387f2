import { z } from 'zod'
import { Fault } from '../core/faults.ts'
import type { Routes } from './schemas.ts'

const Alive = z.object({ status: z.literal('ok') })
const Ready = z.object({ status: z.literal('ready') })

/**
 * `GET /healthz`: the process lives; `GET /readyz`: it can take a report now.
 * @param unreadiness why it cannot, in a sentence; undefined when it can.
 */
export const operations: Routes<{ unreadiness: () => Promise<string | undefined> }> = async (app, { unreadiness }) => {
  app.get('/healthz', { schema: { summary: 'The process lives', response: { 200: Alive } } }, async (_request, reply) => {
    reply.header('cache-control', 'no-store')
    return { status: 'ok' as const }
  })
  app.get('/readyz', { schema: { summary: 'It can take a report now', response: { 200: Ready } } }, async (_request, reply) => {
    const why = await unreadiness()
    if (why !== undefined) throw new Fault('unavailable', why)
    reply.header('cache-control', 'no-store')
    return { status: 'ready' as const }
  })
}

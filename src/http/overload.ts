// Refuses reports while more arrive than can be stored, before anything of them is read: whoever is refused should cost
// little of what those who are not need. The bounds are the writer's.
import type { FastifyInstance } from 'fastify'
import type { Writer } from '../ingest/writer.ts'

/** Refuses what would be refused anyway, before its body is parsed; add it before other hooks. Everything else goes on. */
export function refuseOverload (app: FastifyInstance, { refusal }: Pick<Writer, 'refusal'>): void {
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.method === 'POST' && request.routeOptions.url === '/v1/reports') done(refusal())
    else done()
  })
}

// Refuses reports while more arrive than can be stored, before anything of them is read: whoever is refused should cost
// little of what those who are not need. The bounds are the writer's.
import type { FastifyInstance } from 'fastify'
import type { Writer } from '../ingest/writer.ts'

/**
 * Refuses what would be refused anyway, before its body is parsed, for all routes of `app`: after the limit of each address,
 * so that who asks too often hears so, and dressed so that other sites' pages can read it. Everything else goes on.
 */
export function refuseOverload (app: FastifyInstance, { refusal }: Pick<Writer, 'refusal'>): void {
  app.addHook('preParsing', (_request, _reply, payload, done) => { done(refusal(), payload) })
}

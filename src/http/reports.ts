// One anonymous report. The batch call is batches.ts.
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { Fault } from '../core/faults.ts'
import type { NewReport, ReportInput } from '../core/reports.ts'
import { MINUTE_MS, type Clock } from '../core/time.ts'
import { DISPOSITIONS, IMPACTS, VERDICTS } from '../core/vocabulary.ts'
import type { Db } from '../db/client.ts'
import type { Catalog } from '../db/services.ts'
import { checkReport, type Intake } from '../ingest/intake.ts'
import type { Proofs } from '../ingest/proofs.ts'
import type { Writer } from '../ingest/writer.ts'
import { addressOf, checkToken, isFromSomewhere } from './guards.ts'
import { at, At, Instant, sendText, Slug, type Routes } from './schemas.ts'
import { Summary, type Summaries } from './services.ts'

const COMMENT_MAX = 280
export const REPORTER_MAX = 64
const PROOF_MAX = 4_096

/** Text of at most so many characters, whatever their number of bytes. */
export const Text = (max: number) => z.string()
  .refine(text => text.length <= max || (text.length <= 2 * max && [...text].length <= max), `Expected at most ${max} characters`)
  .meta({ maxLength: max })

/** Text that a person wrote, without control characters but line breaks and tabs. */
const Words = (max: number) => Text(max)
  // eslint-disable-next-line no-control-regex
  .refine(text => !/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.test(text), 'Expected no control characters')
  .refine(text => text.isWellFormed(), 'Expected well-formed Unicode')

export const ReportBody = z.strictObject({
  service: Slug,
  verdict: z.enum(VERDICTS),
  region: z.string().max(10).optional().describe('ISO 3166: CA or CA-ON; ZZ, unknown, by default'),
  device_class: Slug.optional(),
  symptom: Slug.optional(),
  impact: z.enum(IMPACTS).optional().describe('Can the person carry on?'),
  comment: Words(COMMENT_MAX).optional().describe('Never public before a moderator approves it'),
  observed_at: Instant.optional().describe('From 24 h ago to now; up to 120 s ahead is taken as now'),
  reporter: Text(REPORTER_MAX).optional().describe('A nonce that the client makes for itself, to be told apart from others behind the same address; never stored'),
  proof: z.string().max(PROOF_MAX).optional().describe('The solution of a challenge, where one was asked for')
}).meta({
  id: 'ReportBody',
  sent: [{ service: 'imessage', verdict: 'down', region: 'CA-ON', device_class: 'ipad-wifi', symptom: 'sending', impact: 'blocked', observed_at: '2012-11-18T19:12:00Z' }]
})

/** A checked body as the intake takes it. */
export function inputOf<Body extends z.infer<typeof ReportBody>> (body: Body): ReportInput & { reporter: Body['reporter'] } {
  const { service, verdict, region, device_class: deviceClass, symptom, impact, comment, observed_at: observedAt, reporter } = body
  return { service, verdict, region, deviceClass, symptom, impact, comment, observedAt, reporter }
}

export const Report = z.object({
  id: z.uuid(),
  received_at: At,
  window: z.object({ start: At, end: At }).describe('The minute in which it counts'),
  disposition: z.enum(DISPOSITIONS).exclude(['excluded']),
  service: Summary
}).meta({ id: 'Report' })

let lastMinute = -1
let lastWindow = ''
/** A minute's window as JSON; most reports are of the same minute as the one before. */
function windowOf (minute: number): string {
  if (minute !== lastMinute) {
    lastMinute = minute
    lastWindow = `{"start":"${at(new Date(minute))}","end":"${at(new Date(minute + MINUTE_MS))}"}`
  }
  return lastWindow
}

/** `POST /v1/reports`: 201 after the commit, 200 when the same report was there before. */
export const reports: Routes<{
  db: Db, catalog: () => Catalog, proofs: Proofs, intake: Intake, writer: Writer, summaries: Summaries, clock: Clock, now: () => Date
}> = async (app, { db, catalog, proofs, intake, writer, summaries, clock, now }) => {
  /** Where it was switched on, a report without a token needs a proof. @throws Fault `proof-required`, with a challenge */
  async function askProof (request: FastifyRequest, service: string, proof: string | undefined): Promise<void> {
    if (request.headers.authorization !== undefined) {
      await checkToken(db, request, 'import', now())
      return
    }
    const wrong = proof === undefined ? 'Reports on this service need a proof of work just now: solve `challenge`, and send the report again with `proof`.' : await proofs.take(proof, service)
    if (wrong !== undefined) throw new Fault('proof-required', wrong, { extra: { challenge: await proofs.challenge(service) } })
  }

  app.removeContentTypeParser('text/plain')
  app.post('/reports', {
    bodyLimit: 16_384,
    config: { check: (body: z.infer<typeof ReportBody>) => checkReport(inputOf(body), catalog(), clock.now()) },
    schema: { summary: 'Say that a service works or fails for you', body: ReportBody, response: { 200: Report, 201: Report } }
  }, async (request, reply) => {
    const { service: slug, proof } = request.body
    // Spent before the commit: should that fail, the next try needs another.
    if (catalog().services.get(slug)?.proofRequired === true) {
      checkReport(inputOf(request.body), catalog(), clock.now())
      await askProof(request, slug, proof)
    }
    // Nobody hears the answer, and who says it again would be somebody else.
    if (!isFromSomewhere(request)) throw new Fault('malformed', 'The connection ended before the report was taken.')
    const receivedAt = clock.now()
    const sender = { address: addressOf(request), userAgent: request.headers['user-agent'] }
    const admitted = intake(inputOf(request.body), sender)
    const report: NewReport = admitted instanceof Promise ? await admitted : admitted
    const outcome = await writer.write(report)
    const held = summaries.heldJson(request.body.service)
    const summary = held instanceof Promise ? await held : held
    reply.code(outcome === 'new' ? 201 : 200).header('cache-control', 'no-store').type('application/json; charset=utf-8')
    const disposition = outcome === 'new' ? DISPOSITIONS[report.disposition]! : outcome
    // Put together by hand around the summary's JSON, which thousands of answers share.
    return sendText(reply, `{"id":"${report.id}","received_at":"${at(receivedAt)}","window":${windowOf(report.minute)},` +
      `"disposition":"${disposition}","service":${summary}}`)
  })
}

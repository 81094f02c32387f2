// What the service is held against: the same Fastify and the same zod schema, without everything else. Run by ingest.mjs:
// `nothing` validates and answers; `insert` also commits each report by a statement of its own, on a pool of ten.
import { randomUUID } from 'node:crypto'
import Fastify from 'fastify'
import pg from 'pg'
import { ReportBody } from '../dist/http/reports.js'

const [kind, answer, connection] = process.argv.slice(2)
const { id: _, ...rest } = JSON.parse(answer)
// The answer is put together as cheaply as ours, so that it does not slow the rival down.
const tail = `",${JSON.stringify(rest).slice(1)}`

const INSERT = `with r as (insert into reports (service_id, interval_at, id, minute, region, device_class, verdict, symptom, impact,
  network, disposition, late) values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12) on conflict do nothing returning id),
  s as (insert into stale_minutes (service_id, minute) values ($1,$4)) select id from r`
const pool = kind === 'insert' ? new pg.Pool({ ...JSON.parse(connection), max: 10 }) : undefined
const SERVICE_IDS = { imessage: 1, github: 2 }
const VERDICTS = { working: 0, degraded: 1, down: 2 }
const network = Buffer.alloc(16, 7)

const app = Fastify({ trustProxy: ['127.0.0.0/8'] })
app.setValidatorCompiler(({ schema }) => data => {
  const checked = schema.safeParse(data)
  return checked.success ? { value: checked.data } : { error: checked.error }
})
app.post('/v1/reports', { schema: { body: ReportBody } }, (request, reply) => {
  const id = randomUUID()
  const send = () => { reply.code(201).type('application/json; charset=utf-8').send(`{"id":"${id}${tail}`) }
  if (pool === undefined) return send()
  const { service, verdict, region, device_class: deviceClass, symptom } = request.body
  const now = Date.now()
  const interval = new Date(now - now % 900_000).toISOString()
  const minute = new Date(now - now % 60_000).toISOString()
  const values = [SERVICE_IDS[service], interval, id, minute, region, deviceClass, VERDICTS[verdict], symptom, 2, network, 0, false]
  pool.query({ name: 'insert', text: INSERT, values }).then(send, error => { reply.send(error) })
})
await app.listen({ port: 0, host: '127.0.0.1' })
process.stdout.write(`${app.server.address().port}\n`)

// Webhooks: who is told of outages by a call of ours, and what became of each call. A secret is told once.
// How they are told stands in jobs/deliver.
import { randomBytes } from 'node:crypto'
import { v7 as uuid7 } from 'uuid'
import { z } from 'zod'
import { Fault, type FieldError } from '../core/faults.ts'
import { DELIVERY_STATES, NEWS_TYPES } from '../core/vocabulary.ts'
import { isSecret, ROTATION_MS } from '../core/webhooks.ts'
import { recordAudit } from '../db/audit.ts'
import { transact, type Database } from '../db/client.ts'
import { holdDelivery, readAttempts, readDeliveries, requeueDelivery, type Attempt, type Delivery } from '../db/deliveries.ts'
import type { Catalog } from '../db/services.ts'
import {
  countWebhooks, disableWebhook, enableWebhook, findWebhook, insertWebhook, readWebhooks, retireWebhook, rotateSecret, updateWebhook, WEBHOOKS_MAX,
  type Webhook
} from '../db/webhooks.ts'
import { checkMatch, PublicAddress } from './admin.ts'
import { at, At, atOrNull, pageOf, PageQuery, pageRows, readCursor, readPlace, Slug, type Routes } from './schemas.ts'

const SECRET_BYTES = 32
const SERVICES_MAX = 200

const Secret = z.string().max(100).refine(isSecret, 'Expected whsec_ and 24 to 64 bytes in base64')
const Events = z.array(z.enum(NEWS_TYPES)).min(1).max(NEWS_TYPES.length).transform(events => [...new Set(events)])
const Services = z.array(Slug).min(1).max(SERVICES_MAX).transform(services => [...new Set(services)]).nullable().describe('Null: of all services')

const Path = z.strictObject({ id: z.uuid() })

export const WebhookItem = z.object({
  id: z.uuid(),
  url: z.string(),
  events: z.array(z.enum(NEWS_TYPES)),
  services: z.array(z.string()).nullable(),
  enabled: z.boolean(),
  disabled_reason: z.string().nullable().describe('Why the service itself switched it off'),
  created_at: At
}).meta({ id: 'Webhook' })
export const NewWebhook = WebhookItem.extend({ secret: z.string().describe('The only time that it is told') }).meta({ id: 'NewWebhook' })

export const DeliveryItem = z.object({
  id: z.uuid().describe('The receiver knows it as webhook-id, msg_ before it'),
  type: z.enum(NEWS_TYPES),
  outage: z.uuid(),
  state: z.enum(DELIVERY_STATES),
  attempts: z.int(),
  next_at: At.nullable(),
  created_at: At,
  ended_at: At.nullable(),
  log: z.array(z.object({
    attempt: z.int(), at: At, status: z.int().nullable().describe('Null: there was no answer'), error: z.string().nullable(), took_ms: z.int()
  })).describe('The newest 20 attempts')
}).meta({ id: 'Delivery' })

/** What the calls need. `allowPrivate`: whether private addresses may be called; `now`: real time, as deliveries have it. */
interface WebhookOptions { db: Database, catalog: () => Catalog, allowPrivate: boolean, now: () => Date }

/** `/v1/admin/webhooks`. */
export const webhooks: Routes<WebhookOptions> = async (app, { db, catalog, allowPrivate, now }) => {
  const Url = PublicAddress(allowPrivate).describe('A name that leads to a private address is refused when it is called')
  const Body = z.strictObject({
    url: Url,
    events: Events.default([...NEWS_TYPES]),
    services: Services.default(null),
    secret: Secret.optional().describe('Made by the service when there is none')
  }).meta({ id: 'WebhookBody' })
  // No default: a member that is not there changes nothing.
  const Patch = z.strictObject({ url: Url, events: Events, services: Services, enabled: z.boolean() }).partial().meta({ id: 'WebhookPatch' })
  const check = ({ services }: z.infer<typeof Patch>) => { checkServices(services, catalog()) }
  const config = { scope: 'webhooks' } as const
  const existing = (webhook: Webhook | undefined) => {
    if (webhook === undefined) throw new Fault('not-found', 'No webhook has this id; GET /v1/admin/webhooks lists them.')
    return webhook
  }

  app.get('/webhooks', {
    config, schema: { summary: 'Webhooks, newest first, without their secrets', querystring: z.strictObject(PageQuery), response: { 200: pageOf(WebhookItem) } }
  }, async ({ query: { limit, cursor } }) => {
    const rows = await readWebhooks(db, limit + 1, readPlace(cursor))
    return pageRows(rows, limit, row => [row.createdAt.toISOString(), row.id], describe)
  })

  app.get('/webhooks/:id', { config, schema: { summary: 'One webhook', params: Path, response: { 200: WebhookItem } } },
    async ({ params }) => describe(existing(await findWebhook(db, params.id))))

  app.post('/webhooks', {
    config: { ...config, check },
    schema: {
      summary: 'Tell somebody of outages from now on',
      description: 'Each news is sent by the rules of Standard Webhooks, at least once, those of one outage in order. The answer is the only one with the secret.',
      body: Body,
      response: { 201: NewWebhook }
    }
  }, async ({ body, actor }, reply) => {
    check(body)
    const { url, events, services, secret = makeSecret() } = body
    const told = await transact(db, async tx => {
      const described = describe(await insertWebhook(tx, { id: uuid7(), url, events, services, secret, createdAt: now() }))
      await recordAudit(tx, { actor, action: 'webhook.create', target: `webhook/${described.id}`, after: described }, now())
      // Behind the log's lock, which whoever adds another waits for: so none is overlooked.
      if (await countWebhooks(tx) > WEBHOOKS_MAX) throw new Fault('conflict', `There are ${WEBHOOKS_MAX} webhooks; retire some first.`)
      return described
    })
    return reply.code(201).send({ ...told, secret })
  })

  app.patch('/webhooks/:id', {
    config: { ...config, check },
    schema: {
      summary: 'Change a webhook',
      description: 'A merge patch (RFC 7396). `enabled: false` ends what is on its way; `enabled: true` tells of what comes from then on.',
      params: Path,
      body: Patch,
      response: { 200: WebhookItem }
    }
  }, async request => {
    const { params: { id }, body, actor } = request
    check(body)
    return transact(db, async tx => {
      const before = existing(await findWebhook(tx, id, 'for update'))
      checkMatch(request, describe(before))
      const { url, events, services, enabled = before.enabled } = body
      await updateWebhook(tx, id, { ...(url === undefined ? {} : { url }), ...(events === undefined ? {} : { events }), ...(services === undefined ? {} : { services }) })
      if (enabled && !before.enabled) await enableWebhook(tx, id)
      if (!enabled && before.enabled) await disableWebhook(tx, id, null, now())
      const after = describe(existing(await findWebhook(tx, id)))
      if (JSON.stringify(describe(before)) !== JSON.stringify(after)) {
        await recordAudit(tx, { actor, action: 'webhook.update', target: `webhook/${id}`, before: describe(before), after }, now())
      }
      return after
    })
  })

  app.delete('/webhooks/:id', {
    config, schema: { summary: 'Retire a webhook', description: 'What is on its way ends, and the secret is forgotten.', params: Path }
  }, async ({ params: { id }, actor }, reply) => {
    await transact(db, async tx => {
      const before = existing(await findWebhook(tx, id, 'for update'))
      await retireWebhook(tx, id, now())
      await recordAudit(tx, { actor, action: 'webhook.retire', target: `webhook/${id}`, before: describe(before) }, now())
    })
    return reply.code(204).send()
  })

  app.post('/webhooks/:id/rotate', {
    config,
    schema: {
      summary: 'Give a webhook another secret',
      description: 'For 24 h each call carries two signatures, by the new secret and by the one before.',
      params: Path,
      body: z.strictObject({ secret: Secret.optional() }).nullish(),
      response: { 200: NewWebhook }
    }
  }, async ({ params: { id }, body, actor }) => {
    const secret = body?.secret ?? makeSecret()
    return transact(db, async tx => {
      const told = describe(existing(await findWebhook(tx, id, 'for update')))
      await rotateSecret(tx, id, secret, new Date(now().getTime() + ROTATION_MS))
      await recordAudit(tx, { actor, action: 'webhook.rotate', target: `webhook/${id}`, before: told, after: told }, now())
      return { ...told, secret }
    })
  })

  app.get('/webhooks/:id/deliveries', {
    config,
    schema: {
      summary: 'What a webhook was told, newest first, and how each attempt went',
      description: 'Kept for seven days after it ended.',
      params: Path,
      querystring: z.strictObject({ ...PageQuery, state: z.enum(DELIVERY_STATES).optional() }),
      response: { 200: pageOf(DeliveryItem) }
    }
  }, async ({ params: { id }, query: { limit, cursor, state } }) => {
    const before = readCursor(cursor, z.tuple([z.int()]))?.[0]
    existing(await findWebhook(db, id))
    const rows = await readDeliveries(db, id, state, limit + 1, before)
    const attempts = await readAttempts(db, id, rows.slice(0, limit).map(({ number }) => number))
    return pageRows(rows, limit, ({ number }) => [number], row => describeDelivery(row, attempts))
  })

  app.post('/webhooks/:id/deliveries/:delivery/redeliver', {
    config,
    schema: {
      summary: 'Send a delivery again, now',
      description: 'With the id that it had, whatever became of it, and from the first of its attempts on.',
      params: Path.extend({ delivery: z.uuid() }),
      response: { 202: DeliveryItem }
    }
  }, async ({ params: { id, delivery: messageId }, actor }, reply) => {
    const queued = await transact(db, async tx => {
      const webhook = existing(await findWebhook(tx, id, 'for update'))
      const before = await holdDelivery(tx, id, messageId)
      if (before === undefined) throw new Fault('not-found', 'This webhook has no delivery of this id, or no longer; GET its deliveries lists them.')
      if (!webhook.enabled) throw new Fault('conflict', 'The webhook is switched off; PATCH it with { "enabled": true } first.')
      const attempts = await readAttempts(tx, id, [before.number])
      const after = describeDelivery(await requeueDelivery(tx, before, now()), attempts)
      await recordAudit(tx, { actor, action: 'webhook.redeliver', target: `webhook/${id}`, before: describeDelivery(before, attempts), after }, now())
      return after
    })
    return reply.code(202).send(queued)
  })
}

function makeSecret (): string {
  return `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`
}

/** @throws Fault `invalid`, naming the services that nobody knows */
function checkServices (services: readonly string[] | null | undefined, catalog: Catalog): void {
  const errors: FieldError[] = []
  for (const [index, slug] of (services ?? []).entries()) {
    if (!catalog.services.has(slug)) errors.push({ pointer: `/services/${index}`, detail: `No service is called "${slug}".` })
  }
  if (errors.length > 0) throw new Fault('invalid', errors[0]!.detail, { errors })
}

function describe ({ id, url, events, services, enabled, disabledReason, createdAt }: Webhook): z.infer<typeof WebhookItem> {
  return { id, url, events, services, enabled, disabled_reason: disabledReason, created_at: at(createdAt) }
}

function describeDelivery (
  { number, messageId, type, outageId, state, attempts, nextAt, createdAt, endedAt }: Delivery, log: readonly Attempt[]
): z.infer<typeof DeliveryItem> {
  return {
    id: messageId,
    type,
    outage: outageId,
    state,
    attempts,
    next_at: atOrNull(nextAt),
    created_at: at(createdAt),
    ended_at: atOrNull(endedAt),
    log: log.filter(attempt => attempt.number === number)
      .map(({ attempt, at: instant, status, error, tookMs }) => ({ attempt, at: at(instant), status, error, took_ms: tookMs }))
  }
}

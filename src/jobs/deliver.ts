// Webhooks are told the news: the outbox's are queued for each, then sent, at least once, those of one outage in order.
// What an answer means stands in core/webhooks; how other people's servers are spoken to in outgoing.
import { setMaxListeners } from 'node:events'
import { Webhook } from 'standardwebhooks'
import { VERSION } from '../core/vocabulary.ts'
import { judgeAnswer, LADDER_MS, readRetryAfter, wantsNews, writePayload, type Answer } from '../core/webhooks.ts'
import { transact, type Database } from '../db/client.ts'
import { claimDelivery, hasTaken, insertDeliveries, readDue, readSlugs, recordAttempt, releaseDelivery, type Claimed } from '../db/deliveries.ts'
import { readNews } from '../db/outbox.ts'
import { bringUpTo, disableWebhook, findWebhook, holdBehind, WEBHOOKS_MAX } from '../db/webhooks.ts'
import { OutgoingError, type Call } from './outgoing.ts'

/** Deliveries sent to one webhook at once. With WEBHOOKS_MAX this bounds all: each has its own, so that none waits for another. */
export const LANES_PER_WEBHOOK = 2
/** News queued for one webhook in one transaction. */
const NEWS_PER_ROUND = 100
/** Within Standard Webhooks' 15 to 30 s; of an answer only the status counts, and no redirect is followed. */
export const DELIVERY_LIMITS = { timeoutMs: 15_000, bodyMax: 64 * 1_024, redirectsMax: 0 }
/** A delivery is its sender's this long, ms: the time-out, and what writing it down may take. */
export const LEASE_MS = 30_000
/** Characters of an error that are kept. */
const ERROR_MAX = 200

/** What may come of an attempt; `failed`: it was the last. */
export const ATTEMPT_RESULTS = ['delivered', 'failed', 'retried'] as const
type AttemptResult = typeof ATTEMPT_RESULTS[number]

/** What delivering works with; `now` is real time, whatever the domain's clock says, and `chance` from 0 to 1. */
interface DeliverOptions {
  database: Database
  call: Call
  now: () => Date
  chance: () => number
  /** Told of every attempt that was written down, to be counted. */
  onAttempt?: (result: AttemptResult) => void
  onError: (error: unknown) => void
}

/** Tells webhooks the news. */
export interface Deliverer {
  /** Queues what is new and begins to send what is due; does not wait for receivers. True when there is more to do at once. */
  tick: () => Promise<boolean>
  /** Resolves when nothing is on its way. */
  settle: () => Promise<void>
  /** Cuts off what is on its way: it is sent again by whoever comes next. */
  stop: () => Promise<void>
}

/**
 * Safe on many instances at once, without a leader: a news is queued under its webhook's row lock, and sent by whoever
 * holds its lease. Only an instance that dies, or is stopped, between sending and writing down lets one be sent twice,
 * with the same id.
 */
export function openDeliverer ({ database, call, now, chance, onAttempt = () => {}, onError }: DeliverOptions): Deliverer {
  const stopping = new AbortController()
  setMaxListeners(WEBHOOKS_MAX * LANES_PER_WEBHOOK, stopping.signal)
  /** The sends that run, by webhook. */
  const lanes = new Map<string, Set<Promise<void>>>()

  async function send (delivery: Claimed): Promise<void> {
    const at = now()
    const began = performance.now()
    let answer: Answer | undefined
    let error: string | null = null
    try {
      const { url, body } = delivery
      const { status, headers } = await call({ method: 'POST', url, headers: signedHeaders(delivery, at), body }, DELIVERY_LIMITS, stopping.signal)
      answer = { status, retryAfterS: readRetryAfter(headers['retry-after'], at) }
      if (status >= 300 && status < 400) error = 'It redirects, and redirects are not followed.'
    } catch (failure) {
      if (stopping.signal.aborted) return await releaseDelivery(database, delivery)
      if (!(failure instanceof OutgoingError)) onError(failure)
      error = failure instanceof OutgoingError ? failure.message.slice(0, ERROR_MAX) : 'The call failed.'
    }
    const attempt = { at, status: answer?.status ?? null, error, tookMs: Math.round(performance.now() - began) }
    const ended = now()
    const outcome = judgeAnswer(answer, delivery.rung + 1, chance(), ended)
    const noted = await transact(database, async tx => {
      // The webhook before its deliveries, as an admin's change holds them: neither waits for the other for ever.
      await findWebhook(tx, delivery.webhookId, outcome.state === 'failed' ? 'for update' : 'for key share')
      if (!await recordAttempt(tx, delivery, attempt, outcome, ended)) return false
      if (outcome.state !== 'failed') return true
      const reason = outcome.why === 'gone'
        ? 'The receiver answered 410: it wants no more.'
        : await hasTaken(tx, delivery.webhookId, new Date(ended.getTime() - LADDER_MS)) ? undefined : 'It took nothing for more than three days.'
      if (reason !== undefined) await disableWebhook(tx, delivery.webhookId, reason, ended)
      return true
    })
    if (noted) onAttempt(outcome.state === 'pending' ? 'retried' : outcome.state)
  }

  async function sendAll (webhookId: string): Promise<void> {
    while (!stopping.signal.aborted) {
      const at = now()
      const delivery = await claimDelivery(database, webhookId, new Date(at.getTime() + LEASE_MS), at)
      if (delivery === undefined) return
      await send(delivery)
    }
  }

  function openLane (webhookId: string): void {
    const running = lanes.get(webhookId) ?? new Set()
    if (running.size >= LANES_PER_WEBHOOK) return
    const lane = sendAll(webhookId).catch(onError).finally(() => {
      running.delete(lane)
      if (running.size === 0) lanes.delete(webhookId)
    })
    lanes.set(webhookId, running.add(lane))
  }

  const settle = async () => {
    while (lanes.size > 0) await Promise.all([...lanes.values()].flatMap(running => [...running]))
  }

  return {
    settle,
    async tick () {
      let queuedCount = 0
      while (queuedCount < WEBHOOKS_MAX && await queueNews(database, now())) queuedCount++
      for (const { webhookId, count } of await readDue(database, LANES_PER_WEBHOOK, now())) {
        if (stopping.signal.aborted) break
        for (let i = 0; i < count; i++) openLane(webhookId)
      }
      return queuedCount === WEBHOOKS_MAX
    },
    async stop () {
      stopping.abort()
      await settle()
    }
  }
}

/** Queues the next news for one webhook that is behind; false when none is. */
async function queueNews (database: Database, now: Date): Promise<boolean> {
  return transact(database, async tx => {
    const behind = await holdBehind(tx)
    if (behind === undefined) return false
    const { webhook, newest } = behind
    const news = await readNews(tx, webhook.outboxNumber, NEWS_PER_ROUND)
    const slugs = await readSlugs(tx, [...new Set(news.map(({ serviceId }) => serviceId))])
    const wanted = news.filter(({ type, serviceId }) => wantsNews(webhook, { type, service: slugs.get(serviceId) ?? '' }))
    await insertDeliveries(tx, wanted.map(({ number, id, type, at, serviceId, outageId, data }) => ({
      webhookId: webhook.id, number, serviceId, outageId, type, messageId: id, body: writePayload({ type, at, data })
    })), now)
    await bringUpTo(tx, webhook.id, news.at(-1)?.number ?? newest)
    return true
  })
}

/** Standard Webhooks' headers; signed by the secret that was replaced as well, while receivers change over. */
function signedHeaders ({ messageId, body, secret, previousSecret, previousUntil }: Claimed, at: Date): Record<string, string> {
  const id = `msg_${messageId}`
  const secrets = [secret, ...(previousSecret !== null && previousUntil !== null && previousUntil > at ? [previousSecret] : [])]
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
    'webhook-signature': secrets.map(each => new Webhook(each).sign(id, at, body)).join(' '),
    'content-type': 'application/json',
    'user-agent': `Groundswell/${VERSION}`
  }
}

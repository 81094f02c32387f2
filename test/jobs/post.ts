// An outbox with webhooks and those who deliver: for tests of what receivers get. The receivers stand in test/receiver.ts.
import type { Test } from 'tap'
import { v7 as uuid7 } from 'uuid'
import { NEWS_TYPES, type NewsType } from '../../src/core/vocabulary.ts'
import { openDatabase, transact, type Database } from '../../src/db/client.ts'
import { readAttempts, readDeliveries } from '../../src/db/deliveries.ts'
import { seedCatalog } from '../../src/db/services.ts'
import { insertWebhook } from '../../src/db/webhooks.ts'
import { openDeliverer, type Deliverer } from '../../src/jobs/deliver.ts'
import { openOutgoing, type Call } from '../../src/jobs/outgoing.ts'
import { createDatabase } from '../database.ts'
import type { Receiver } from '../receiver.ts'

/** Of every webhook that is added. */
export const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
export const A = '00000000-0000-7000-8000-00000000000a'
export const B = '00000000-0000-7000-8000-00000000000b'
/** Reaches receivers on 127.0.0.1. */
export const reach = openOutgoing({ allowPrivate: true })

/** Webhooks on a database of their own, and a clock that the test moves. */
export interface Post {
  database: Database
  /** Real time, which the test moves. */
  now: Date
  errors: unknown[]
  /** Another instance on the same database. */
  open: (call?: Call) => Deliverer
  /** Writes news into the outbox, as those who change outages do. */
  tell: (...news: { outage: string, type?: NewsType, serviceId?: number }[]) => Promise<void>
  /** Ticks until nothing is left to do at this moment. */
  pass: (deliverer: Deliverer) => Promise<void>
  add: (url: string, more?: { events?: NewsType[], services?: string[] }) => Promise<string>
  /** How all deliveries to a webhook stand, oldest first. */
  stand: (webhookId: string) => Promise<{ number: number, outageId: string, state: string, attempts: number, nextAt: Date | null, log: (number | string | null)[] }[]>
}

/** Opens a post office; closed when `t` ends. */
export async function openPost (t: Pick<Test, 'teardown'>): Promise<Post> {
  const { service: connection } = await createDatabase(t)
  const database = openDatabase(connection, { onError: () => {} })
  t.teardown(() => database.close())
  await seedCatalog(database, new Date())
  const errors: unknown[] = []
  const post: Post = {
    database,
    now: new Date(),
    errors,
    open (call = reach) {
      const deliverer = openDeliverer({ database, call, now: () => post.now, chance: () => 0, onError: error => errors.push(error) })
      t.teardown(() => deliverer.stop())
      return deliverer
    },
    tell: (...news) => transact(database, async tx => {
      for (const { outage, type = 'outage.updated', serviceId = 1 } of news) {
        const [head] = await tx.query<{ number: string }>('update outbox_head set number = number + 1 returning number')
        await tx.query('insert into outbox (number, id, at, type, service_id, outage_id, data) values ($1, $2, $3, $4, $5, $6, $7)',
          [head!.number, uuid7(), '2012-11-18T12:00:00Z', type, serviceId, outage, `{"id":"${outage}",  "number":${head!.number}}`])
      }
    }),
    async pass (deliverer) {
      while (await deliverer.tick());
      await deliverer.settle()
    },
    async add (url, { events = [...NEWS_TYPES], services } = {}) {
      const { id } = await insertWebhook(database, { id: uuid7(), url, events, services: services ?? null, secret: SECRET, createdAt: post.now })
      return id
    },
    async stand (webhookId) {
      const rows = (await readDeliveries(database, webhookId, undefined, 200)).reverse()
      const attempts = await readAttempts(database, webhookId, rows.map(({ number }) => number))
      return rows.map(({ number, outageId, state, attempts: count, nextAt }) => ({
        number, outageId, state, attempts: count, nextAt, log: attempts.filter(attempt => attempt.number === number).map(({ status, error }) => status ?? error)
      }))
    }
  }
  return post
}

/** Lets time pass. */
export const later = (post: Post, ms: number) => { post.now = new Date(post.now.getTime() + ms) }
/** The numbers of the news that a receiver got, of one outage or of all, as they came. */
export const numbersOf = ({ calls }: Receiver, outage?: string) =>
  calls.filter(({ news }) => outage === undefined || news.data.id === outage).map(({ news }) => news.data.number as number)

// An app that listens on a port, with an outage of two services, and more apps on its database: for tests of event streams.
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import type { AppOptions } from '../../src/app.ts'
import type { NewsType } from '../../src/core/vocabulary.ts'
import { transact } from '../../src/db/client.ts'
import { announce } from '../../src/db/outbox.ts'
import { addressOf, openTestApp, type TestApp } from '../app.ts'
import { createDatabase } from '../database.ts'

type Live = AppOptions['live']
interface Listening { app: TestApp, address: string }

/** Opens an app in which people report that iMessage and GitHub fail until both have an outage. */
export async function openFailing (t: Pick<Test, 'teardown'>, live: Live) {
  const database = await createDatabase(t)
  const open = async (options: Partial<AppOptions> & { now?: Date }): Promise<Listening> => {
    const app = await openTestApp(t, { database, ...options })
    await app.http.listen({ port: 0, host: '127.0.0.1' })
    return { app, address: `http://127.0.0.1:${(app.http.server.address() as AddressInfo).port}` }
  }
  const { app, address } = await open({ live })
  await app.passMinute()
  let people = 0
  for (let minute = 0; minute < 5; minute++) {
    for (const service of ['imessage', 'github']) {
      await Promise.all(Array.from({ length: 12 }, () => app.report({ service, verdict: 'down' }, addressOf(people++))))
    }
    await app.passMinute()
  }
  await app.passMinute()
  const outages = new Map<string, { id: string, service_id: number }>()
  for (const row of await app.asOwner<{ id: string, service_id: number, slug: string }>('select o.id, service_id, slug from outages o join services s on s.id = service_id')) outages.set(row.slug, row)

  return {
    database,
    app,
    address,
    /** Another app on the same database, at the same time. */
    openBeside: (live: Live) => open({ live, now: app.now }),
    /** Announces changes of a service's outage, in one transaction. */
    async say (service: string, ...types: NewsType[]): Promise<void> {
      const { id: outageId, service_id: serviceId } = outages.get(service)!
      await transact(app.database, tx => announce(tx, types.map(type => ({ type, serviceId, outageId, at: app.now }))))
    }
  }
}

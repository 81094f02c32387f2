import pg from 'pg'
import type { Connection } from './client.ts'

const CONNECT_TIMEOUT_MS = 2_000
/** The first try to connect again follows after this; each further one after twice as long, up to the most. */
const RETRY_MS = 100
const RETRY_MAX_MS = 10_000

/** A connection that listens; `stop` lets go of it for good. */
export interface Listening { stop: () => Promise<void> }

/**
 * Listens on a channel with a connection of its own, and connects again whenever that is lost. `wake` is called at every
 * notification and each time that listening has begun: what was notified in between nobody heard, so whoever is woken
 * reads what is new instead of believing that there is one thing.
 */
export function listenTo (
  connection: Connection, channel: string, { wake, onLost }: { wake: () => void, onLost: (error: Error) => void }
): Listening {
  let stopped = false
  let client: pg.Client | undefined
  let timer: NodeJS.Timeout | undefined
  let waitMs = RETRY_MS

  async function connect (): Promise<void> {
    const own = new pg.Client({ ...connection, connectionTimeoutMillis: CONNECT_TIMEOUT_MS, keepAlive: true, application_name: 'groundswell' })
    client = own
    let lost = false
    const lose = (error: Error) => {
      if (lost || stopped) return
      lost = true
      onLost(error)
      own.end().catch(() => {})
      timer = setTimeout(() => { connect().catch(lose) }, waitMs)
      waitMs = Math.min(2 * waitMs, RETRY_MAX_MS)
    }
    own.on('error', lose)
    own.on('end', () => lose(new Error('The connection that listens ended.')))
    own.on('notification', wake)
    try {
      await own.connect()
      await own.query(`listen ${pg.escapeIdentifier(channel)}`)
      waitMs = RETRY_MS
      wake()
    } catch (error) {
      lose(error as Error)
    }
  }

  connect().catch(onLost)
  return {
    async stop () {
      stopped = true
      clearTimeout(timer)
      await client?.end().catch(() => {})
    }
  }
}

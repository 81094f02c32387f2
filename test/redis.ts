// A throw-away Redis for a test, where this machine has one; its tests say so when they are skipped.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Test } from 'tap'

/** Why its tests are skipped; false when they are not. */
export const NO_REDIS = spawnSync('redis-server', ['--version']).status === 0 ? false : 'there is no redis-server on this machine'

/** A running Redis. */
export interface TestRedis {
  url: string
  /** Asks it, on a connection of the test's own. */
  client: Redis
  stop: () => Promise<void>
  /** Starts it again, with nothing in it. */
  start: () => Promise<void>
  /** Lets it hang, and go on. */
  signal: (name: 'SIGSTOP' | 'SIGCONT') => void
}

/** Starts a Redis on a free port of this machine; it is killed when `t` ends. */
export async function startRedis (t: Pick<Test, 'teardown'>): Promise<TestRedis> {
  const port = await findPort()
  const url = `redis://127.0.0.1:${port}`
  const client = new Redis(url, { retryStrategy: () => 50, maxRetriesPerRequest: null })
  client.on('error', () => {})
  let child: ChildProcess | undefined
  const start = async () => {
    child = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'], { stdio: 'ignore' })
    await client.ping()
  }
  const stop = async () => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
  t.teardown(async () => {
    client.disconnect()
    await stop()
  })
  await start()
  return { url, client, start, stop, signal: name => { child?.kill(name) } }
}

async function findPort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await delay(1)
  return port
}

/** Everything that stands in it, keys and values. */
export async function dumpRedis ({ client }: TestRedis): Promise<string> {
  const parts: string[] = []
  for (const key of (await client.keys('*')).sort()) {
    const kind = await client.type(key)
    parts.push(key, JSON.stringify(kind === 'hash' ? await client.hgetall(key) : await client.get(key)))
  }
  return parts.join('\n')
}

// What the benches share: servers as processes of their own, what they used, and medians. What is measured stands in each.
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { cpus, loadavg } from 'node:os'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pg from 'pg'

/** Node's own flags for each server: those of `npm start`, unless NODE_FLAGS says others. */
export const NODE_FLAGS = (process.env.NODE_FLAGS ?? '--max-semi-space-size=128 --single-threaded-gc').split(' ').filter(flag => flag !== '')

export const here = name => fileURLToPath(new URL(name, import.meta.url))

/** Starts a server, which is ready once `portOf` finds the port in one of its lines. */
export async function start (args, environment, portOf) {
  const child = spawn(process.execPath, [...NODE_FLAGS, ...args], { env: { PATH: process.env.PATH, ...environment }, stdio: ['ignore', 'pipe', 'inherit'] })
  const port = await new Promise((resolve, reject) => {
    createInterface(child.stdout).on('line', line => {
      const found = portOf(line)
      if (found !== undefined) resolve(found)
    })
    child.once('exit', code => reject(new Error(`${args.join(' ').slice(0, 100)} ended with ${code}`)))
  })
  const isAlive = () => child.exitCode === null && child.signalCode === null
  return {
    port,
    pid: child.pid,
    isAlive,
    async stop () {
      if (!isAlive()) return
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
  }
}

/** Our service, as it ships: durable, on its embedded database in `dataDir`. */
export async function startOurs (dataDir, environment = {}) {
  // DIST measures another build of the service: what it was before a change.
  const server = await start([`${process.env.DIST ?? here('../dist')}/main.js`], { DATA_DIR: dataDir, PORT: '0', ...environment }, line => {
    const { msg, address } = JSON.parse(line)
    return msg === 'ready' ? Number(new URL(address).port) : undefined
  })
  return { ...server, connection: { host: dataDir, port: 5432, user: 'groundswell', database: 'groundswell' } }
}

/** Runs a load, whose first two messages begin and end what is measured; its figures, and the processor time of `pid`, s. */
export async function load (args, pid) {
  const child = fork(args[0], args.slice(1).map(String), { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  const cpu = []
  child.on('message', () => { cpu.push(readCpu(pid)) })
  let text = ''
  child.stdout.on('data', chunk => { text += chunk })
  await once(child, 'close')
  const [from, to] = await Promise.all(cpu)
  return { ...JSON.parse(text), cpuS: to - from }
}

/** Asks once, on a connection of its own. */
export async function ask (connection, text, values) {
  const client = new pg.Client(connection)
  await client.connect()
  return client.query(text, values).then(({ rows }) => rows).finally(() => client.end())
}

/** Processor time that a process has used so far, s; NaN where there is no /proc. */
export async function readCpu (pid) {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** The most memory that a process has held so far, MiB; NaN where there is no /proc. */
export async function readPeakMiB (pid) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1]) / 1024
}

/** The machine, its load now, and the database. */
export async function describeMachine (connection) {
  const [{ version, fsync, commit }] = await ask(connection,
    "select current_setting('server_version') as version, current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit")
  return `${cpus()[0].model}, ${cpus().length} cores, load ${loadavg()[0].toFixed(1)}; Node ${process.version}; PostgreSQL ${version}, fsync ${fsync}, synchronous_commit ${commit}`
}

export const median = values => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
export const show = (values, digits) => `${median(values).toFixed(digits)} (${values.map(value => value.toFixed(digits)).join(' ')})`

// What `npm test` runs: tap, beside a throw-away PostgreSQL that all test files share, and one line of totals at the end.
// Arguments go to tap: `npm test -- test/core`. With TEST_DATABASE_URL set, that server is used and none is started.
import { spawn } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as delay } from 'node:timers/promises'
import { canConnect } from '../dist/db/client.js'
import { startEmbedded } from '../dist/embedded/postgres.js'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const TAP = join(ROOT, 'node_modules/tap/dist/esm/run.mjs')
const LOCK = join(ROOT, '.tap/running')
const TURN_WITHIN_MS = 600_000
/** Of one failure so many lines are told once more, and so many of all. */
const FAILURE_LINES = 30
const FAILURES_LINES_MAX = 200

/** tap clears `.tap` when it starts, so two runs in one checkout take turns. */
async function takeTurn () {
  await mkdir(join(ROOT, '.tap'), { recursive: true })
  for (let waitedMs = 0; waitedMs < TURN_WITHIN_MS; waitedMs += 200) {
    try {
      return await writeFile(LOCK, String(process.pid), { flag: 'wx' })
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    const holder = Number(await readFile(LOCK, 'utf8').catch(() => '0'))
    if (waitedMs === 0) console.error(`Another test run (process ${holder}) is using this checkout: waiting for it.`)
    if (holder !== 0 && !isAlive(holder)) await rm(LOCK, { force: true })
    await delay(200)
  }
  throw new Error(`Another test run did not end within ${TURN_WITHIN_MS / 60_000} minutes; if none is running, remove ${LOCK}.`)
}

function isAlive (pid) {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error.code === 'EPERM'
  }
}

/** A cluster in `folder`; the environment that leads the test files to it. */
async function startCluster (folder) {
  const { connection, stop } = await startEmbedded({
    dataDir: join(folder, 'database'), isReady: canConnect, log: (message, detail) => { if (message !== 'created the embedded database') console.error(message, detail) }, throwAway: true
  })
  const { user, database, host, port } = connection
  // The person's own PG… variables must not lead a test elsewhere.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^PG[A-Z]+$/.test(name)))
  return { stop, env: { ...env, TEST_DATABASE_URL: `postgresql://${user}@/${database}?host=${encodeURIComponent(host)}&port=${port}` } }
}

let tap

/** Runs tap to its end: its exit code and its TAP. It prints that unless it has a terminal or was told otherwise. */
async function runTap (env, file) {
  const args = process.argv.slice(2)
  const isPlain = !process.stdout.isTTY && !args.some(arg => /^(-R|--reporter)/.test(arg))
  tap = spawn(process.execPath, [TAP, ...(isPlain ? [] : [`--output-file=${file}`]), ...args], {
    cwd: ROOT, env, stdio: ['inherit', isPlain ? 'pipe' : 'inherit', 'inherit']
  })
  const printed = []
  tap.stdout?.on('data', chunk => {
    printed.push(chunk)
    process.stdout.write(chunk)
  })
  const code = await new Promise((resolve, reject) => {
    tap.once('error', reject)
    tap.once('close', (code, signal) => { resolve(signal === null ? code : 1) })
  })
  return { code, text: isPlain ? Buffer.concat(printed).toString() : await readFile(file, 'utf8').catch(() => '') }
}

/** Every test that failed, with what it says of itself: at the end, where a long log is looked at first. */
function listFailures (text) {
  const lines = text.split('\n')
  const failures = []
  for (const [at, line] of lines.entries()) {
    const [, indent] = /^( *)not ok \d+(?!.* # (?:SKIP|TODO))/i.exec(line) ?? []
    if (indent === undefined) continue
    const detail = lines.slice(at + 1, at + 1 + FAILURE_LINES)
    const end = detail[0]?.trim() === '---' ? detail.findIndex(each => each.trim() === '...') + 1 || FAILURE_LINES : 0
    failures.push(line, ...detail.slice(0, end))
  }
  return failures.slice(0, FAILURES_LINES_MAX)
}

/**
 * Counts the tests: what stands directly in a file, with everything nested in it as one. A file that failed without
 * a failing test in it (it did not load, or ended early) counts as one that failed.
 */
function countTests (text) {
  const count = { passed: 0, failed: 0 }
  let inDetails = false
  let fileFailed = false
  let failedBefore = 0
  const endFile = () => {
    if (fileFailed && count.failed === failedBefore) count.failed++
    fileFailed = false
    failedBefore = count.failed
  }
  for (const line of text.split('\n')) {
    if (/^\s+(---|\.\.\.)$/.test(line)) inDetails = line.endsWith('---')
    if (inDetails) continue
    const [, indent, not, rest] = /^( {4})?(not )?ok \d+(.*)$/.exec(line) ?? []
    if (rest === undefined) {
      if (line === '}') endFile()   // of a file whose lines stood between braces
    } else if (indent === undefined) {
      fileFailed = not !== undefined
      if (!rest.endsWith('{')) endFile()
    } else if (!/ # (SKIP|TODO)/i.test(rest)) {
      count[not === undefined ? 'passed' : 'failed']++
    }
  }
  return count
}

let code = 1
let count = { passed: 0, failed: 0 }
let folder
let cluster
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => { tap?.kill(signal) })
try {
  await takeTurn()
  folder = await mkdtemp(join(tmpdir(), 'groundswell-test-'))
  await chmod(folder, 0o711)   // as root, PostgreSQL runs as somebody else
  cluster = process.env.TEST_DATABASE_URL ? { env: process.env, stop: async () => {} } : await startCluster(folder)
  const result = await runTap(cluster.env, join(folder, 'results.tap'))
  code = result.code
  count = countTests(result.text)
  const failures = listFailures(result.text)
  if (failures.length > 0) console.log(`\nWhat failed:\n${failures.join('\n')}\n`)
} catch (error) {
  console.error(error.name === 'EmbeddedError' ? error.message : error)
} finally {
  await cluster?.stop()
  if (folder !== undefined) await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  if (await readFile(LOCK, 'utf8').catch(() => '') === String(process.pid)) await rm(LOCK, { force: true })
}
if (code !== 0 && count.failed === 0) count.failed = 1
console.log(`${count.passed} passed, ${count.failed} failed`)
process.exitCode = code

// The command line as a user meets it: the built program, in processes of their own.
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { createDatabase, makeStateFolder } from './database.ts'
import { spawnProgram } from './program.ts'

interface Outcome { code: number, out: string, err: string }

async function run (args: string[], env: Record<string, string>, input = ''): Promise<Outcome> {
  const child = spawnProgram(args, env, 'pipe')
  child.stdin!.on('error', () => {})   // who reads nothing may end before it is written
  child.stdin!.end(input)
  const [out, err, [code]] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'close')])
  return { code: code ?? -1, out, err }
}

/** Starts the service on a free port; resolves to its address when it is ready. */
async function serve (t: Test, env: Record<string, string>): Promise<{ address: string, stop: () => Promise<number | null> }> {
  const child = spawnProgram([], { PORT: '0', ...env }, ['ignore', 'pipe', 'pipe'])
  t.teardown(() => { child.kill('SIGKILL') })
  for await (const line of createInterface({ input: child.stdout! })) {
    const { msg, address } = JSON.parse(line)
    if (msg === 'ready') {
      child.stdout!.resume()
      return {
        address,
        async stop () {
          child.kill('SIGTERM')
          const [code] = await once(child, 'exit')
          return code
        }
      }
    }
  }
  throw new Error('The service ended before it was ready.')
}

const reports = Array.from({ length: 30 }, (_, i) => JSON.stringify({
  service: 'imessage', verdict: 'down', reporter: `r${i}`, observed_at: new Date(Date.now() - (i + 1) * 3_600_000).toISOString()
})).join('\n')

t.test('import takes a file, a packed one and standard input, doubles nothing, and names what is wrong', async t => {
  const { url } = await createDatabase(t)
  const env = { DATABASE_URL: url }
  const folder = await mkdtemp(join(tmpdir(), 'groundswell-import-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'plain.ndjson'), reports)
  await writeFile(join(folder, 'packed.ndjson.gz'), gzipSync(reports))

  const nothing = await run(['import', join(folder, 'plain.ndjson'), join(folder, 'nowhere')], env)
  t.match(nothing, { code: 1, err: /nowhere cannot be read \(ENOENT\)/ })
  t.match(await run(['import', join(folder, 'plain.ndjson'), folder], env), { code: 1, err: /is a folder: name the files/ })
  const first = await run(['import', join(folder, 'plain.ndjson')], env)
  t.match(first, { code: 0, out: '' })
  t.match(first.err, /plain\.ndjson: 30 read, 30 counted, 0 were there already, 0 refused/)
  t.match((await run(['import', join(folder, 'packed.ndjson.gz')], env)).err, /30 read, 0 counted, 30 were there already/)
  const bad = await run(['import', '-'], env, `{"service":"nobody","verdict":"down","reporter":"x"}\n${reports.split('\n')[0]}\n{"verdict":`)
  t.equal(bad.code, 1)
  t.match(bad.err, /-: report 1: .*\/service: No service is called "nobody"/)
  t.match(bad.err, /-: report 3: The line is not JSON/)
  t.match(bad.err, /3 read, 0 counted, 1 were there already, 2 refused/)
  t.match(await run(['import', join(folder, 'missing.ndjson')], env), { code: 1, err: /missing\.ndjson/ })
})

t.test('a token is shown once, opens the batch call, and is worthless once revoked', async t => {
  const dataDir = await makeStateFolder(t)
  const { address, stop } = await serve(t, { DATA_DIR: dataDir })
  const env = { DATA_DIR: dataDir }
  const made = await run(['token', 'create', '--name', 'relay', '--scope', 'import'], env)
  t.equal(made.code, 0, made.err)
  const token = made.out.trim()
  t.match(token, /^gsw_[a-z0-9]+_[A-Za-z0-9_-]{43}$/)

  const send = () => fetch(`${address}/v1/reports/batch`, {
    method: 'POST', body: reports, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' }
  })
  t.match(await (await send()).json(), { received: 30, counted: 30, refused: 0 })
  const listed = await run(['token', 'list'], env)
  const [, id = '', secret = ''] = token.split('_')
  t.match(listed.out, new RegExp(`${id}  import .*relay`))
  t.notMatch(listed.out, secret)
  t.equal((await run(['token', 'revoke', id], env)).code, 0)
  t.equal((await send()).status, 401)
  t.match(await run(['token', 'revoke', id], env), { code: 1, err: /No token/ })

  const second = await run([], { ...env, PORT: '0' })
  t.equal(second.code, 1)
  t.match(second.err, /DATA_DIR/, 'a second service on the same folder is refused, and told what to do')
  t.equal(await stop(), 0, 'SIGTERM ends it well')
  t.match(await run(['migrate'], env), { code: 0, err: /up to date/ }, 'a command starts the database itself when no service runs')
  t.match(await run(['migrate', '--distribute'], env), { code: 1, err: /create extension citus/ }, 'which is no cluster')
})

t.test('every command explains itself, and a wrong call says what would be right', async t => {
  for (const command of [[], ['serve'], ['migrate'], ['import'], ['replay'], ['token'], ['token', 'create']]) {
    const { code, out } = await run([...command, '--help'], {})
    t.equal(code, 0)
    t.match(out, /Usage: groundswell/)
  }
  t.match(await run(['token', 'create', '--name', 'x', '--scope', 'everything'], {}), { code: 1, err: /Expected one of moderate/ })
  t.match(await run(['token', 'create', '--name', 'x', '--scope', 'import', '--expires', 'soon'], {}), { code: 1, err: /12h or 90d/ })
  t.match(await run(['sing'], {}), { code: 1, err: /--help/ })
  t.match(await run([], { PORT: 'x' }), { code: 1, err: /PORT: / })
  t.match(await run([], { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none' }), { code: 1, err: /./ })
})

// The demonstration, at a faster pace and only until the service speaks up; and that it leaves nothing behind.
import { once } from 'node:events'
import { chmod, readdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { writePage } from '../../src/apple-page.ts'
import { MINUTE_MS } from '../../src/core/time.ts'
import { runDemo, type DemoOptions } from '../../src/demo.ts'
import { ALSO_FAILING, EVENING, FAILING } from '../../src/evening.ts'
import type { Told } from '../../src/narrator.ts'
import { makeStateFolder } from '../database.ts'
import { listen } from '../listen.ts'
import { spawnProgram } from '../program.ts'

/** A folder for temporary files that only this test uses: what is left behind is seen. */
async function makeTemporary (t: Pick<Test, 'teardown'>): Promise<string> {
  const folder = await makeStateFolder(t)
  await chmod(folder, 0o711)   // as root, PostgreSQL runs as somebody else
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = folder
  t.teardown(() => {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  })
  return folder
}

function optionsOf (more: Partial<DemoOptions> & Pick<DemoOptions, 'say'>): DemoOptions {
  return { host: '127.0.0.1', port: 0, logger: pino({ level: 'silent' }), signal: new AbortController().signal, days: 7, ...more }
}

t.test('the service learns from quiet days, suspects the evening\'s outage hours before the page admits it, and says that they disagree', async t => {
  const folder = await makeTemporary(t)
  const lines: string[] = []
  const heard: Told[] = []
  let gaps: unknown
  let page: Promise<object> | undefined
  const tally = await runDemo(optionsOf({
    speed: 150,
    say: line => {
      lines.push(line)
      const base = /(http:\/\/127\.0\.0\.1:\d+)\/docs/.exec(line)?.[1]
      if (base !== undefined) gaps = readGaps(base)
      const url = /^ {2}"Apple's page" +(http:\/\/127\.0\.0\.1:\d+\/.+)$/.exec(line)?.[1]
      if (url !== undefined) page = fetch(url).then(response => response.json() as Promise<object>)
    },
    until: told => {
      heard.push(told)
      return told.outage.service === FAILING && told.entry.type === 'disputed'
    }
  }))
  const suspected = heard.find(({ outage }) => outage.service === FAILING)
  t.equal(suspected?.entry.type, 'suspected')
  t.equal(heard.at(-1)?.entry.at, suspected?.entry.at, 'disputed from the beginning: the page was read, and is green')
  const detectedAt = Date.parse(suspected!.outage.detected_at)
  t.ok(detectedAt > EVENING.failsAt && detectedAt < EVENING.failsAt + 40 * MINUTE_MS, suspected!.outage.detected_at)
  t.ok(suspected!.entry.reading!.networks! >= 7)
  t.strictSame(heard.filter(({ outage }) => outage.service !== FAILING && outage.service !== ALSO_FAILING), [], 'nothing else is flagged')
  t.ok(lines.some(line => /^(18|19):\d\d {3}iMessage suspected: \d+ reports where .+ normal; Apple's page still green$/.test(line)))
  t.match(lines.at(-1), /^(18|19):\d\d {3}iMessage disputed: Apple's page says that it works; people report that it does not\.$/)
  t.strictSame(await page, writePage(EVENING.startsAt), 'whoever reads along sees the page that the service reads')
  t.ok(lines.some(line => /^7 quiet days of 8 services loaded .*: \d{5} reports/.test(line)))
  t.ok(lines.some(line => line.startsWith('18:48 * iMessage and FaceTime begin to fail')), 'what is narrated is marked')
  t.ok(tally.counted > 50, `${tally.counted} reports through the front door`)
  t.equal(tally.refused, 0)
  t.strictSame(await gaps, [], 'every minute is watched, though the clock runs fast')
  t.strictSame(await readdir(folder), [], 'nothing is left behind')
})

/** The minutes of the evening so far in which nobody watched. */
async function readGaps (base: string): Promise<string[]> {
  const response = await fetch(`${base}/v1/services/${FAILING}/curve?window=1m&from=${new Date(EVENING.startsAt).toISOString()}`)
  const { points } = await response.json() as { points: { start: string, gap: boolean, complete: boolean }[] }
  return points.filter(({ gap, complete }) => gap && complete).map(({ start }) => start)
}

t.test('a port that is taken is said, and nothing is left behind', async t => {
  const folder = await makeTemporary(t)
  const port = await listen(t, createServer())
  await t.rejects(runDemo(optionsOf({ port, say: () => {} })), { code: 'EADDRINUSE' })
  t.strictSame(await readdir(folder), [])
})

t.test('Ctrl-C ends it in the midst, with exit code 0 and nothing left behind', async t => {
  const folder = await makeTemporary(t)
  const child = spawnProgram(['demo'], { TMPDIR: folder, PORT: '0', LOG_LEVEL: 'warn' }, ['ignore', 'pipe', 'pipe'])
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  let failed = ''
  let interrupted = false
  child.stderr!.on('data', chunk => { failed += chunk })
  child.stdout!.on('data', chunk => {
    said += chunk
    // Once: a second Ctrl-C would end it at once.
    if (/quiet days/.test(said) && !interrupted) interrupted = child.kill('SIGINT')
  })
  const [code] = await once(child, 'close')
  t.equal(code, 0)
  t.match(said, /nothing is left behind\.\n$/)
  t.equal(failed, '')
  t.strictSame(await readdir(folder), [])
})

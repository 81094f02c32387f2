// `groundswell demo`: the evening of 18 November 2012, sixty times faster, through a real service's real doors.
// Here it is staged, played and told. Who reports what stands in evening.ts; what it means, the service alone decides.
import { mkdtemp, rm } from 'node:fs/promises'
import { isIP } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { Command } from 'commander'
import type { Logger } from 'pino'
import { openApp } from './app.ts'
import { ON_PAGE, servePage } from './apple-page.ts'
import { readConfig } from './config.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS, type Clock } from './core/time.ts'
import { provideEmbedded } from './database.ts'
import { EVENING, HISTORY_DAYS, quietWeeks, SERVICES, simulateEvening, type SimulatedReport } from './evening.ts'
import { createToken } from './http/tokens.ts'
import { openLog } from './log.ts'
import { Narrator, timeOf, type Tally, type Told } from './narrator.ts'
import { findAddress } from './serve.ts'

const SPEED = 60
/** The same story each time. */
const SEED = 20_121_118
/** Raw reports are kept as long as the history is, and a little. */
const RETENTION_DAYS = HISTORY_DAYS + 2
/** One call of history brings this many days: some fifteen thousand reports. */
const CALL_DAYS = 7
/** Reports on their way at once at most. */
const SENDING_MAX = 128
const CHUNK_BYTES = 64 * 1024
/** Real time between two looks at what is due, ms. */
const PLAY_MS = 25
const LOOK_MS = 250
/** The history must be judged before this much of the evening has passed; on a slow machine the clock waits for it. */
const WARM_WITHIN_MS = 25 * MINUTE_MS
const TOKEN_MS = HOUR_MS
/** A report whose answer takes longer counts as refused, ms. */
const ANSWER_MS = 10_000
const LIMITS = { max: 1_000_000, windowS: 60 }

/** How to run a demonstration. */
export interface DemoOptions {
  host: string
  port: number
  logger: Logger
  /** Lines for people. */
  say: (line: string) => void
  /** What is under way, replaced by the next; an empty text ends it. */
  progress?: (text: string) => void
  /** Ends it, at any moment. */
  signal: AbortSignal
  /** Domain seconds in a real one, at most 200: history settles in five real seconds, and must be judged in time. */
  speed?: number
  /** Days of quiet history. */
  days?: number
  /** Asked after whatever the service says; true ends the story there. */
  until?: (told: Told) => boolean
  /** Keep serving when the story is over, until `signal`. */
  stay?: boolean
}

/** Domain time that runs `speed` times as fast as real time, or stands still. */
interface StageClock extends Clock { run: () => void, hold: () => void }

function openClock (startsAt: number, speed: number): StageClock {
  let at = startsAt
  let since: number | undefined
  const read = () => since === undefined ? at : at + (performance.now() - since) * speed
  return {
    speed,
    now: () => new Date(read()),
    run () {
      at = read()
      since = performance.now()
    },
    hold () {
      at = read()
      since = undefined
    }
  }
}

/** A running service on a throw-away database, which reads the page at `page`; `close` leaves nothing behind. */
interface Stage { base: string, page: string, token: string, clock: StageClock, close: () => Promise<void> }

/** Adds the command. */
export function registerDemo (program: Command): void {
  program.command('demo').description('the evening of 18 November 2012, sixty times faster')
    .addHelpText('after', `
A service of its own on a throw-away database (DATABASE_URL is left alone), listening on HOST and PORT. Four quiet
weeks come in through the batch call; then iMessage and FaceTime begin to fail for simulated people, who say so one by
one through POST /v1/reports. In place of Apple's page the service reads one that the demonstration itself serves on
127.0.0.1, in Apple's format. What the service makes of both is printed as it happens.
It takes about seven minutes. On a terminal it goes on serving afterwards, until Ctrl-C; elsewhere it ends with exit 0.`)
    .action(async () => {
      const { host, port, logLevel } = readConfig()
      const stopping = new AbortController()
      // A second Ctrl-C finds no handler, and ends at once what does not end by itself.
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => { stopping.abort() })
      const isTTY = process.stdout.isTTY === true
      await runDemo({
        host,
        port,
        logger: openLog(logLevel === 'info' ? 'warn' : logLevel, 2),
        say: line => process.stdout.write(isTTY ? `\r\u001b[K${line}\n` : `${line}\n`),
        ...(isTTY ? { progress: text => { process.stdout.write(`\r\u001b[K${text}`) } } : {}),
        signal: stopping.signal,
        stay: isTTY
      })
    })
}

/**
 * Plays the evening and tells it; resolves when it is over, or ended by `signal` or `until`, and everything is removed.
 * @returns what the evening's reports became.
 */
export async function runDemo (options: DemoOptions): Promise<Tally> {
  const { say, signal, progress = () => {}, speed = SPEED, days = HISTORY_DAYS } = options
  const tally: Tally = { counted: 0, duplicate: 0, quarantined: 0, refused: 0 }
  say(`The evening of 18 November 2012, ${speed} times faster. People and reports are simulated; the service is real.`)
  let stage: Stage | undefined
  try {
    stage = await setStage(options, speed)
    await loadHistory(stage, days, say, progress, signal)
    await perform(stage, options, tally)
    if (options.stay === true) {
      stage.clock.hold()
      say('The clock stands still now, so that you can look around. Ctrl-C ends it and removes everything.')
      await new Promise<void>(resolve => {
        if (signal.aborted) resolve()
        else signal.addEventListener('abort', () => { resolve() }, { once: true })
      })
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    progress('')
    await stage?.close()
  }
  if (signal.aborted) say('Stopped; nothing is left behind.')
  return tally
}

async function setStage ({ host, port, logger }: DemoOptions, speed: number): Promise<Stage> {
  const undo: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step()
  }
  try {
    const folder = await mkdtemp(join(tmpdir(), 'groundswell-demo-'))
    undo.push(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
    const { connection, owner, stop } = await provideEmbedded(folder, logger, { throwAway: true })
    undo.push(stop)
    const clock = openClock(EVENING.startsAt, speed)
    const page = await servePage(() => clock.now().getTime())
    undo.push(page.close)
    const app = await openApp({
      connection,
      owner,
      clock,
      logger,
      retentionDays: RETENTION_DAYS,
      // The demonstration is its own proxy: from here, and only from here, it speaks for many addresses.
      trustProxy: ['127.0.0.0/8', '::1/128', ...(isIP(host) === 0 ? [] : [host])],
      limits: { reports: LIMITS, reads: LIMITS, admin: LIMITS },
      // The page that it reads is on this machine.
      allowPrivateTargets: true
    })
    undo.push(() => app.close())
    const base = await app.http.listen({ host: await findAddress(host), port })
    const now = new Date()
    const { token } = await createToken(app.database, { name: 'demo', scopes: ['import', 'catalog'], expiresAt: new Date(now.getTime() + TOKEN_MS) }, 'demo', now)
    await switchOn(base, token, page.url)
    return { base, page: page.url, token, clock, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Lets the service read a page in place of Apple's own, as an editor would: the catalog's sources are there, and off. */
async function switchOn (base: string, token: string, url: string): Promise<void> {
  const call = async (path: string, change?: object): Promise<unknown> => {
    const response = await fetch(`${base}/v1/admin/sources${path}`, {
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'if-match': '*' },
      ...(change === undefined ? {} : { method: 'PATCH', body: JSON.stringify(change) })
    })
    if (response.status !== 200) throw new Error(`The page was not taken: ${(await response.text()).slice(0, 500)}`)
    return response.json()
  }
  for (const service of ON_PAGE) {
    const { items } = await call(`?service=${service}`) as { items: { id: string, format: string }[] }
    await call(`/${items.find(({ format }) => format === 'apple')!.id}`, { url, enabled: true })
  }
}

/** Brings the quiet weeks in, some days a call, while the clock stands still. */
async function loadHistory (
  { base, token }: Stage, days: number, say: (line: string) => void, progress: (text: string) => void, signal: AbortSignal
): Promise<void> {
  const began = performance.now()
  const history = quietWeeks(SEED, days)
  let counted = 0
  let next = history.next()
  while (next.done !== true) {
    const until = next.value.at + CALL_DAYS * DAY_MS
    const lines = function * (): Generator<Buffer> {
      let text = ''
      for (; next.done !== true && next.value.at < until; next = history.next()) {
        text += historyLine(next.value)
        if (text.length < CHUNK_BYTES) continue
        yield Buffer.from(text)
        text = ''
      }
      if (text !== '') yield Buffer.from(text)
    }
    const response = await fetch(`${base}/v1/reports/batch`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' },
      body: Readable.toWeb(Readable.from(lines())) as ReadableStream<Uint8Array>,
      duplex: 'half',
      signal
    })
    const answer = await response.json() as { counted: number, refused: number, problems: unknown[] }
    if (response.status !== 200 || answer.refused > 0) throw new Error(`The history was not taken: ${JSON.stringify(answer).slice(0, 500)}`)
    counted += answer.counted
    progress(`Loading quiet weeks: ${counted} reports so far`)
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  say(`${days} quiet days of ${SERVICES.length} services loaded through POST /v1/reports/batch: ${counted} reports in ${seconds} s.`)
}

function historyLine ({ at, service, verdict, region, deviceClass, symptom, address }: SimulatedReport): string {
  const report = { service, verdict, region, device_class: deviceClass, symptom, observed_at: new Date(at).toISOString(), reporter: address }
  return `${JSON.stringify(report)}\n`
}

/** Lets the clock run, sends what is due, and tells what the service says, to the end of the story. */
async function perform (stage: Stage, options: DemoOptions, tally: Tally): Promise<void> {
  const over = new AbortController()
  const signal = AbortSignal.any([options.signal, over.signal])
  const narrator = new Narrator(stage.base, stage.page, options.say)
  const tell = async () => {
    await warmUp(stage, options, narrator, signal)
    narrator.introduce()
    while (!await narrator.look(stage.clock.now().getTime(), options.until)) await delay(LOOK_MS, undefined, { signal })
  }
  options.say(`The service judges them now, while the evening begins: it is ${timeOf(EVENING.startsAt)} in New York.`)
  stage.clock.run()
  const telling = tell().finally(() => { over.abort() })
  const playing = play(stage, tally, signal).catch((error: unknown) => {
    over.abort()
    throw error
  })
  for (const end of await Promise.allSettled([telling, playing])) {
    if (end.status === 'rejected' && (end.reason as Error).name !== 'AbortError') throw end.reason
  }
  options.signal.throwIfAborted()
  if (options.until === undefined) await narrator.summarize(tally)
}

/** Waits until the service has learnt from its history; the clock waits too, when that takes long. */
async function warmUp ({ clock }: Stage, { say, progress = () => {} }: DemoOptions, narrator: Narrator, signal: AbortSignal): Promise<void> {
  let held = false
  for (;;) {
    const judged = await narrator.countJudged(SERVICES)
    if (judged === SERVICES.length) break
    progress(`${timeOf(clock.now().getTime())} judging the history: ${judged} of ${SERVICES.length} services`)
    if (!held && clock.now().getTime() >= EVENING.startsAt + WARM_WITHIN_MS) {
      clock.hold()
      held = true
    }
    await delay(LOOK_MS, undefined, { signal })
  }
  if (held) clock.run()
  const found = await narrator.countRetrospective()
  say(`They are judged: the service knows what is normal at each hour. False alarms in them: ${found}.`)
}

/** Sends every report through the front door when its time has come; what is on its way at the end arrives. */
async function play ({ base, clock }: Stage, tally: Tally, signal: AbortSignal): Promise<void> {
  const reports = simulateEvening(SEED)
  const sending = new Set<Promise<void>>()
  try {
    for (let next = 0; next < reports.length;) {
      const now = clock.now().getTime()
      while (next < reports.length && reports[next]!.at <= now && sending.size < SENDING_MAX) {
        const sent = send(base, reports[next++]!).then(outcome => { tally[outcome]++ }).finally(() => sending.delete(sent))
        sending.add(sent)
      }
      await delay(PLAY_MS, undefined, { signal })
    }
  } finally {
    await Promise.all(sending)
  }
}

async function send (base: string, report: SimulatedReport): Promise<keyof Tally> {
  const { service, verdict, region, deviceClass, symptom, impact, address, userAgent } = report
  try {
    const response = await fetch(`${base}/v1/reports`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-forwarded-for': address, 'user-agent': userAgent },
      body: JSON.stringify({ service, verdict, region, device_class: deviceClass, symptom, impact }),
      signal: AbortSignal.timeout(ANSWER_MS)
    })
    const answer = await response.json() as { disposition?: keyof Tally }
    return answer.disposition ?? 'refused'
  } catch {
    return 'refused'
  }
}

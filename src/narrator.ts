// What the demonstration prints of its evening: the service's own words as its API gives them, and, marked as such,
// what is narrated. Nothing is staged here; that is demo.ts.
import { setTimeout as delay } from 'node:timers/promises'
import type { z } from 'zod'
import { MINUTE_MS } from './core/time.ts'
import { ALSO_FAILING, EVENING, FAILING, ZONE } from './evening.ts'
import type { Curve } from './http/curves.ts'
import type { Outage } from './http/outages.ts'
import type { Summary } from './http/services.ts'

type OutageBody = z.infer<typeof Outage>
type SummaryBody = z.infer<typeof Summary>

/** One entry of an outage's timeline, as it was told. */
export interface Told { outage: OutageBody, entry: OutageBody['timeline'][number] }

/** What became of the evening's reports: as the service answered, `refused` when it did not take one. */
export type Tally = Record<'counted' | 'duplicate' | 'quarantined' | 'refused', number>

/** Beside what happens, the figures are told this often, ms. */
const PULSE_MS = 30 * MINUTE_MS
/** The story goes on for this long after the last word, so that the curve shows its end, ms. */
const EPILOGUE_MS = 10 * MINUTE_MS
/** An answer takes no longer, ms. */
const ANSWER_MS = 10_000
/** What cannot be answered just now is asked again so often, after so long, ms. */
const ASKED_MAX = 5
const ASK_AGAIN_MS = 1_000
const BARS = '▁▂▃▄▅▆▇█'

const NARRATED: readonly { at: number, text: string }[] = [
  { at: EVENING.failsAt, text: 'iMessage and FaceTime begin to fail, for a few people at first.' },
  { at: EVENING.worksAt, text: 'iMessage and FaceTime work for everybody again.' }
]
const FAIL: readonly string[] = [FAILING, ALSO_FAILING]

const clockFace = new Intl.DateTimeFormat('en-GB', { timeZone: ZONE, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })

/** An instant (ms) on the story's clock: `19:12`. */
export function timeOf (at: number): string {
  return clockFace.format(at)
}

/** Reads what the service says and tells what is new. */
export class Narrator {
  readonly #base: string
  readonly #page: string
  readonly #say: (line: string) => void
  readonly #told = new Set<string>()
  readonly #narrated = [...NARRATED]
  #nextPulse: number = EVENING.failsAt

  /** @param base where the service listens. @param page what stands in for Apple's page. */
  constructor (base: string, page: string, say: (line: string) => void) {
    this.#base = base
    this.#page = page
    this.#say = say
  }

  /** Where to look, and whose words are whose. */
  introduce (): void {
    const curve = `${this.#base}/v1/services/${FAILING}/curve?from=${isoOf(EVENING.startsAt)}&to=${isoOf(EVENING.endsAt)}`
    for (const line of [
      '',
      'Look at it while it happens:',
      `  the API, to try out   ${this.#base}/docs`,
      `  outages               ${this.#base}/v1/outages?service=${FAILING}`,
      `  the evening's curve   ${curve}`,
      `  as a picture          curl -H 'Accept: image/svg+xml' '${curve}' > evening.svg`,
      `  "Apple's page"        ${this.#page}`,
      '',
      'Times are US Eastern, 18 November 2012. "Apple\'s page" is the demonstration\'s own, in Apple\'s format: nobody asks Apple.',
      'The service reads it about once a minute, and speaks for itself; lines marked * are narrated: they say what the',
      'simulated people live through.',
      ''
    ]) this.#say(line)
  }

  /** How many of the services are known well enough to say that they work. */
  async countJudged (services: readonly string[]): Promise<number> {
    const { items } = await this.#ask<{ items: SummaryBody[] }>('/v1/services?limit=200')
    return items.filter(({ slug, state }) => services.includes(slug) && state !== 'unknown').length
  }

  /** How many outages the service has found in imported history. */
  async countRetrospective (): Promise<number> {
    return (await this.#readOutages()).filter(({ retrospective }) => retrospective).length
  }

  /** Tells what is new at `now` (ms); true when the story is over, or `until` says so. */
  async look (now: number, until: (told: Told) => boolean = () => false): Promise<boolean> {
    for (let due = this.#narrated[0]; due !== undefined && due.at <= now; due = this.#narrated[0]) {
      this.#say(`${timeOf(due.at)} * ${due.text}`)
      this.#narrated.shift()
    }
    const outages = (await this.#readOutages()).filter(({ retrospective }) => !retrospective).reverse()
    for (const told of await this.#readNews(outages)) {
      this.#say(await this.#describe(told))
      if (until(told)) return true
    }
    if (now >= this.#nextPulse) {
      this.#nextPulse = (Math.floor(now / PULSE_MS) + 1) * PULSE_MS
      this.#say(await this.#describePulse(now))
    }
    return now >= EVENING.endsAt || (now >= EVENING.worksAt + EPILOGUE_MS && now >= endOf(outages) + EPILOGUE_MS)
  }

  async #readOutages (): Promise<OutageBody[]> {
    return (await this.#ask<{ items: OutageBody[] }>('/v1/outages?limit=200')).items
  }

  async #readNews (outages: readonly { id: string }[]): Promise<Told[]> {
    const news: Told[] = []
    for (const { id } of outages) {
      const outage = await this.#ask<OutageBody>(`/v1/outages/${id}`)
      for (const entry of outage.timeline) {
        if (!this.#told.has(entry.id)) news.push({ outage, entry })
        this.#told.add(entry.id)
      }
    }
    return news.sort((a, b) => Date.parse(a.entry.at) - Date.parse(b.entry.at))
  }

  async #describe ({ outage, entry }: Told): Promise<string> {
    const { name, official } = await this.#ask<SummaryBody>(`/v1/services/${outage.service}`)
    const start = `${timeOf(Date.parse(entry.at))}   ${name} ${entry.type}`
    if (entry.reading !== null && (entry.type === 'suspected' || entry.type === 'confirmed')) {
      const page = FAIL.includes(outage.service) ? describePage(official, outage) : 'nothing fails there in this story: a false alarm'
      return `${start}: ${againstNormal(entry.reading.down, entry.reading.expected)}; ${page}`
    }
    if (entry.type === 'acknowledged' && outage.lead_time_s !== null) return `${start}: Apple's page admits it, ${describeLead(outage.lead_time_s)} Groundswell`
    // The service names a page by its host, and here that is the demonstration's.
    return `${start}: ${entry.text.replaceAll(new URL(this.#page).host, 'Apple\'s page')}`
  }

  async #describePulse (now: number): Promise<string> {
    const { name, window } = await this.#ask<SummaryBody>(`/v1/services/${FAILING}`)
    const figures = window.expected_down === null ? '' : `: ${againstNormal(window.down + window.degraded / 2, window.expected_down)}, in 15 minutes`
    return `${timeOf(now)}   ${name} ${await this.#drawBars(now)}${figures}`
  }

  /** The evening so far, a bar for each quarter of an hour that is over. */
  async #drawBars (now: number): Promise<string> {
    const points = (await this.#readCurve(EVENING.startsAt, now, '15m')).filter(({ complete }) => complete)
    const weights = points.map(({ down, degraded }) => down + degraded / 2)
    const most = Math.max(8, ...weights)
    return weights.map(weight => BARS[Math.min(BARS.length - 1, Math.floor(weight / most * BARS.length))]).join('')
  }

  async #readCurve (from: number, to: number, window: string): Promise<z.infer<typeof Curve>['points']> {
    return (await this.#ask<z.infer<typeof Curve>>(`/v1/services/${FAILING}/curve?from=${isoOf(from)}&to=${isoOf(to)}&window=${window}`)).points
  }

  /** What was said, and when; whom it hit; and what everybody else's services did meanwhile. */
  async summarize (tally: Tally): Promise<void> {
    const all = (await this.#readOutages()).filter(({ retrospective }) => !retrospective)
    const ours = all.filter(({ service }) => service === FAILING).sort((a, b) => Date.parse(a.detected_at) - Date.parse(b.detected_at))
    this.#say('')
    for (const line of ours.length === 0 ? ['The service flagged nothing of it.'] : await this.#tellOutages(ours)) this.#say(line)
    for (const outage of all.filter(({ service }) => service === ALSO_FAILING)) this.#say(await this.#tellBeside(outage, ours))
    const others = all.filter(({ service }) => !FAIL.includes(service))
    this.#say(`Other services flagged this evening: ${others.length === 0 ? 'none' : others.map(({ service, state }) => `${service} (${state})`).join(', ')}.`)
    const { counted, duplicate, quarantined, refused } = tally
    this.#say(`Reports through POST /v1/reports: ${counted} counted, ${duplicate} sent twice and counted once, ` +
      `${quarantined} kept aside because their network had spoken enough, ${refused} refused.`)
  }

  async #tellOutages (outages: readonly OutageBody[]): Promise<string[]> {
    const [first] = outages as [OutageBody]
    const moments = [
      ...outages.flatMap(outage => momentsOf(outage, outage === first ? '' : ' again')),
      ...await this.#readGreen(outages)
    ].sort((a, b) => a.at - b.at)
    return [
      'iMessage on 18 November 2012:',
      ...moments.map(({ at, text }) => `  ${timeOf(at)}  ${text}`),
      '',
      'Whom it hit, and what they could use instead:',
      ...await this.#tellDevices(first),
      ''
    ]
  }

  /** When the vendor's page turned green again, and who reported that it fails all the same. */
  async #readGreen (outages: readonly OutageBody[]): Promise<Moment[]> {
    const { official } = await this.#ask<SummaryBody>(`/v1/services/${FAILING}`)
    const acknowledged = outages.some(({ acknowledgement }) => acknowledgement !== null)
    if (!acknowledged || official.status !== 'up' || official.said_at === null) return []
    const greenAt = Date.parse(official.said_at)
    const endedAt = Math.min(endOf(outages), EVENING.endsAt)
    const after = greenAt < endedAt ? await this.#readCurve(greenAt, endedAt, '5m') : []
    const failing = after.reduce((sum, { down, degraded }) => sum + down + degraded, 0)
    return [{ at: greenAt, text: `Apple's page was green again; ${countWords(failing)} reports of failure came after that` }]
  }

  async #tellBeside (outage: OutageBody, ours: readonly OutageBody[]): Promise<string> {
    const { name } = await this.#ask<SummaryBody>(`/v1/services/${outage.service}`)
    const ends = outage.resolved_at === null ? outage.state : `taken as over at ${timeOf(Date.parse(outage.resolved_at))}`
    const lead = outage.lead_time_s === null ? 'never admitted' : `admitted ${describeLead(outage.lead_time_s)} that`
    const related = ours.some(({ id }) => outage.related.includes(id)) ? ' The service says that the two are related.' : ''
    return `${name}: suspected at ${timeOf(Date.parse(outage.detected_at))}, ${lead}, ${ends}.${related}`
  }

  async #tellDevices ({ device_impact: impact }: OutageBody): Promise<string[]> {
    const { fallbacks } = await this.#ask<SummaryBody>(`/v1/services/${FAILING}`)
    const { items } = await this.#ask<{ items: { slug: string, name: string }[] }>('/v1/device-classes?limit=200')
    return impact.map(({ device_class: slug, down, expected_down: expected }) => {
      const known = fallbacks.find(({ device_class: other }) => other === slug)
      const fallback = known === undefined ? 'not known' : known.fallback ?? 'nothing'
      const name = items.find(item => item.slug === slug)?.name ?? slug
      return `  ${name.padEnd(20)} ${fallback.padEnd(10)} ${expected === null ? `${countWords(down)} reports` : againstNormal(down, expected)}`
    })
  }

  async #ask<Body> (path: string): Promise<Body> {
    let response = await fetch(this.#base + path, { signal: AbortSignal.timeout(ANSWER_MS) })
    // On a machine that is busy with other things.
    for (let tries = 1; response.status === 503 && tries < ASKED_MAX; tries++) {
      await delay(ASK_AGAIN_MS)
      response = await fetch(this.#base + path, { signal: AbortSignal.timeout(ANSWER_MS) })
    }
    if (response.status !== 200) throw new Error(`GET ${path} answered ${response.status}: ${(await response.text()).slice(0, 500)}`)
    return await response.json() as Body
  }
}

function describePage ({ status }: SummaryBody['official'], { acknowledgement }: OutageBody): string {
  if (status === 'unknown') return 'what Apple\'s page says is not known'
  if (status !== 'up') return 'Apple\'s page has admitted it'
  return acknowledgement === null ? 'Apple\'s page still green' : 'Apple\'s page green again'
}

/** `2 h 29 min after`, or before, by a lead time in seconds. */
function describeLead (leadS: number): string {
  return `${spanOf(Math.abs(leadS) * 1000)} ${leadS >= 0 ? 'after' : 'before'}`
}

/** When the last of some outages ended, ms; Infinity while one is open, or when there is none. */
function endOf (outages: readonly OutageBody[]): number {
  const ends = outages.map(({ resolved_at: resolvedAt, dismissed_at: dismissedAt }) => resolvedAt ?? dismissedAt)
  return ends.length === 0 ? Infinity : Math.max(...ends.map(end => end === null ? Infinity : Date.parse(end)))
}

/** `14 reports where 1 is normal`; a degraded report is half a one. */
function againstNormal (down: number, expected: number): string {
  const usual = Math.round(expected)
  const normal = usual === 0 ? 'less than 1 is' : usual === 1 ? '1 is' : `${countWords(usual)} are`
  return `${countWords(down)} ${Math.round(down) === 1 ? 'report' : 'reports'} where ${normal} normal`
}

function countWords (count: number): string {
  return Math.round(count).toLocaleString('en-US')
}

/** An instant (ms) and what happened at it. */
interface Moment { at: number, text: string }

/** What was said of an outage, and when. */
function momentsOf (outage: OutageBody, again: string): Moment[] {
  const { from, to } = outage.onset_interval
  const { acknowledgement, lead_time_s: leadS } = outage
  const moments = [
    { at: outage.detected_at, text: `we suspected it${again}; it began between ${timeOf(Date.parse(from))} and ${timeOf(Date.parse(to))}, by our estimate` },
    { at: outage.confirmed_at, text: `we confirmed it${again}; at its worst ${countWords(outage.severity)} times the usual` },
    ...(acknowledgement === null || leadS === null ? [] : [{ at: acknowledgement.published_at, text: `Apple's page admitted it, ${describeLead(leadS)} we suspected it${again}` }]),
    { at: outage.resolved_at, text: 'we took it as over' },
    { at: outage.dismissed_at, text: 'we dismissed it' }
  ]
  return moments.flatMap(({ at, text }) => at === null ? [] : [{ at: Date.parse(at), text }])
}

function spanOf (ms: number): string {
  const minutes = Math.round(ms / MINUTE_MS)
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

function isoOf (at: number): string {
  return new Date(at).toISOString().replace('.000Z', 'Z')
}

// The back-test: windows out of files through the very same detector, without a database; transitions as JSON lines.
// Not here: what an outage is (core) and how a curve is drawn (http/pictures).
import { createReadStream } from 'node:fs'
import { mkdir, stat, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { join } from 'node:path'
import { pipeline, Readable, type Writable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import type { Command } from 'commander'
import { CsvError, parse as parseCsv } from 'csv-parse'
import { z } from 'zod'
import { Fault } from './core/faults.ts'
import { coarsenRegion } from './core/regions.ts'
import { readLines } from './ingest/lines.ts'
import { ReplayedService, type ReplayRow, type Said } from './replayed.ts'

/** Bytes of one line or CSV record. */
const LINE_BYTES_MAX = 64 * 1024
/** Services in one replay: each holds its detector's memory and at most 2,000 points of a curve. */
const SERVICES_MAX = 1_000
/** Lines between two looks of the progress bar. */
const PROGRESS_LINES = 20_000

const Slug = z.string().regex(/^[a-z0-9-]{1,64}$/, 'must be a slug, [a-z0-9-]{1,64}')
const Instant = z.iso.datetime({ offset: true, error: 'must be an RFC 3339 time' }).transform(text => Date.parse(text))
const Count = z.int().min(0).max(1e9)
const WindowRow = z.strictObject({
  service: Slug,
  start: Instant,
  expected_per_hour: z.number().min(0.001).max(1e6).optional(),
  width_s: z.int().min(1).max(3600).refine(width => 3600 % width === 0, 'must be a divisor of an hour').optional(),
  region: z.string().refine(code => coarsenRegion(code) !== undefined, 'must be an ISO 3166 country or subdivision, or ZZ').default('ZZ'),
  device_class: Slug.default('unknown'),
  working: Count.default(0),
  degraded: Count.default(0),
  down: Count,
  networks: z.unknown().optional()
})
const GapRow = z.strictObject({ service: Slug, start: Instant, end: Instant, gap: z.literal(true) })
const ScopeName = z.union([
  z.string(), z.strictObject({ region: z.string(), device_class: z.string() }).transform(scope => `${scope.region}|${scope.device_class}`)
])
const WithheldRow = z.strictObject({ service: Slug, start: Instant, withheld: z.array(ScopeName).max(400) })

/** A file to replay: its name for people, its bytes (NDJSON or CSV, perhaps gzipped) and how many, if known. */
export interface Source { name: string, bytes: AsyncIterable<Uint8Array>, sizeBytes?: number | undefined }

/** Where a replay says what it found; `pictures`: a curve of each service is wanted, at the end. */
export interface Destination {
  /** One JSON line a transition. */
  out: Writable
  /** The table for people. */
  err: Writable
  pictures?: ((service: string, svg: string) => Promise<void>) | undefined
  /** Share of the file read, 0 to 1, now and then. */
  progress?: ((source: string, share: number) => void) | undefined
}

/**
 * Judges all windows of the sources, one source after the other, in bounded memory. Deterministic: the same bytes give
 * the same lines.
 * @throws Fault `invalid` naming the file and line that cannot be judged; what was said before stays said.
 */
export async function replay (sources: Iterable<Source> | AsyncIterable<Source>, destination: Destination): Promise<void> {
  const services = new Map<string, ReplayedService>()
  const say = async (said: readonly Said[]): Promise<void> => {
    for (const line of said) await write(destination.out, JSON.stringify(line) + '\n')
  }
  for await (const source of sources) {
    const counted = countBytes(source.bytes)
    let lines = 0
    for await (const { line, value } of readRows(source.name, counted.bytes)) {
      try {
        const row = parseRow(value)
        await say(serviceOf(services, row.service, destination.pictures !== undefined).accept(row))
      } catch (error) {
        if (error instanceof Fault) throw refusal(source.name, line, error.message, error)
        throw error
      }
      if (++lines % PROGRESS_LINES === 0 && source.sizeBytes) destination.progress?.(source.name, Math.min(1, counted.read() / source.sizeBytes))
    }
    destination.progress?.(source.name, 1)
  }
  for (const service of services.values()) await say(service.finish())
  const bySlug = [...services.values()].sort((a, b) => a.slug < b.slug ? -1 : 1)
  await write(destination.err, tableOf(bySlug))
  for (const service of bySlug) await destination.pictures?.(service.slug, service.draw())
}

function serviceOf (services: Map<string, ReplayedService>, slug: string, drawn: boolean): ReplayedService {
  const known = services.get(slug)
  if (known !== undefined) return known
  if (services.size >= SERVICES_MAX) throw new Fault('invalid', `more than ${SERVICES_MAX} services in one replay`)
  const service = new ReplayedService(slug, drawn)
  services.set(slug, service)
  return service
}

function parseRow (value: unknown): ReplayRow {
  const has = (member: string): boolean => typeof value === 'object' && value !== null && member in value
  const parsed = (has('gap') ? GapRow : has('withheld') ? WithheldRow : WindowRow).safeParse(value)
  if (parsed.success) return parsed.data
  throw new Fault('invalid', parsed.error.issues.map(issue => {
    if (issue.code === 'unrecognized_keys') return `unknown member ${issue.keys.map(key => `"${key}"`).join(', ')}`
    return issue.path.length === 0 ? issue.message : `${issue.path.join('.')}: ${issue.message}`
  }).join('; '))
}

function refusal (name: string, line: number, why: string, cause: unknown): Fault {
  return new Fault('invalid', `${name}, line ${line}: ${why}`, { cause })
}

/** The rows of one file with their line numbers; NDJSON when the first character that is no blank is `{`, else CSV. */
async function * readRows (name: string, raw: AsyncIterable<Uint8Array>): AsyncGenerator<{ line: number, value: unknown }> {
  try {
    const outer = await peek(raw, 2)
    const zipped = outer.head[0] === 0x1f && outer.head[1] === 0x8b
    const inner = await peek(zipped ? gunzip(outer.bytes) : outer.bytes, 256)
    const text = inner.head.toString('utf8').replace(/^\ufeff/, '').trimStart()
    yield * text === '' || text.startsWith('{') ? readJson(name, inner.bytes) : readCsv(name, inner.bytes)
  } catch (error) {
    if (error instanceof Fault || !(error instanceof Error) || !('code' in error)) throw error
    throw new Fault('invalid', `${name}: ${error.message}`, { cause: error })
  }
}

async function * readJson (name: string, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<{ line: number, value: unknown }> {
  let number = 0
  for await (const lines of readLines(bytes, LINE_BYTES_MAX)) {
    for (const { line } of lines) {
      number += 1
      if (line === undefined) throw refusal(name, number, `longer than ${LINE_BYTES_MAX} bytes`, undefined)
      if (line.trim() === '') continue
      yield { line: number, value: parseJson(name, number, line) }
    }
  }
}

function parseJson (name: string, number: number, line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (error) {
    throw refusal(name, number, 'not JSON', error)
  }
}

const NUMBERS = new Set(['expected_per_hour', 'width_s', 'working', 'degraded', 'down'])

async function * readCsv (name: string, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<{ line: number, value: unknown }> {
  const parser = parseCsv({ columns: true, bom: true, info: true, trim: true, skip_empty_lines: true, max_record_size: LINE_BYTES_MAX })
  pipeline(Readable.from(bytes, { objectMode: false }), parser, () => { /* the loop below sees every error */ })
  try {
    for await (const { record, info } of parser as AsyncIterable<{ record: Record<string, string>, info: { lines: number } }>) {
      yield { line: info.lines, value: fromCsv(record) }
    }
  } catch (error) {
    if (error instanceof CsvError) throw new Fault('invalid', `${name}: ${error.message}`, { cause: error })
    throw error
  }
}

/** A CSV record as the row it stands for: an empty field is an absent member; `withheld` lists scopes between blanks. */
function fromCsv (record: Record<string, string>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([, text]) => text !== '').map(([member, text]) => {
    if (NUMBERS.has(member)) return [member, Number(text)]
    if (member === 'gap' && text === 'true') return [member, true]
    return [member, member === 'withheld' ? text.split(/\s+/) : text]
  }))
}

/** The first bytes of a stream, at least `count` unless it is shorter, and the whole stream again. */
async function peek (stream: AsyncIterable<Uint8Array>, count: number): Promise<{ head: Buffer, bytes: AsyncIterable<Uint8Array> }> {
  const iterator = stream[Symbol.asyncIterator]()
  const parts: Uint8Array[] = []
  let length = 0
  while (length < count) {
    const { done, value } = await iterator.next()
    if (done === true) break
    parts.push(value)
    length += value.length
  }
  const head = Buffer.concat(parts)
  async function * whole (): AsyncGenerator<Uint8Array> {
    yield head
    yield * { [Symbol.asyncIterator]: () => iterator }
  }
  return { head, bytes: whole() }
}

function gunzip (bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  return pipeline(Readable.from(bytes, { objectMode: false }), createGunzip(), () => { /* whoever reads it sees every error */ })
}

function countBytes (stream: AsyncIterable<Uint8Array>): { bytes: AsyncIterable<Uint8Array>, read: () => number } {
  let count = 0
  async function * counted (): AsyncGenerator<Uint8Array> {
    for await (const chunk of stream) {
      count += chunk.length
      yield chunk
    }
  }
  return { bytes: counted(), read: () => count }
}

async function write (to: Writable, text: string): Promise<void> {
  if (!to.write(text)) await once(to, 'drain')
}

/** The table for people: one row a service, columns as wide as their widest cell. */
function tableOf (services: readonly ReplayedService[]): string {
  const heads = ['service', 'windows', 'outages', 'confirmed', 'first suspected', 'peak', 'longest']
  const rows = [heads, ...services.map(service => service.row())]
  const widths = heads.map((_, column) => Math.max(...rows.map(row => row[column]!.length)))
  const left = new Set([0, 4])
  return rows.map(row => row.map((cell, column) =>
    left.has(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)).join('  ').trimEnd() + '\n').join('')
}

async function * openFiles (files: readonly string[]): AsyncGenerator<Source> {
  for (const file of files) {
    if (file === '-') yield { name: 'standard input', bytes: process.stdin }
    else yield { name: file, bytes: createReadStream(file), sizeBytes: await stat(file).then(({ size }) => size, () => undefined) }
  }
}

function progressBar (err: NodeJS.WriteStream): Destination['progress'] {
  if (!err.isTTY) return undefined
  return (source, share) => {
    const full = Math.round(share * 30)
    err.write(share === 1 ? '\r\x1b[K' : `\r${'█'.repeat(full)}${'░'.repeat(30 - full)} ${Math.round(share * 100)} % ${source}`)
  }
}

/** Adds `groundswell replay FILE…`. A line that cannot be judged is named on stderr, and the exit code is 1. */
export function registerReplay (program: Command): void {
  program.command('replay')
    .description('a back-test: windows of counts through the very same detector, without a database')
    .argument('<files...>', 'NDJSON or CSV, gzipped or not, or - for standard input')
    .option('--svg <dir>', 'draw the curve of each service into this folder')
    .addHelpText('after', `
A row is { service, start, width_s?, region?, device_class?, working?, degraded?, down }, ascending for each service,
the first with expected_per_hour? (2) of down before anything is learnt;
a gap { service, start, end, gap: true }; a withheld alarm { service, start, withheld: [scope] }.
Prints one line of JSON for each transition, and a table on stderr.`)
    .action(async (files: string[], { svg }: { svg?: string }) => {
      // Whoever reads us may have seen enough: `replay … | head` is no error.
      process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
      try {
        if (svg !== undefined) await mkdir(svg, { recursive: true })
        await replay(openFiles(files), {
          out: process.stdout,
          err: process.stderr,
          pictures: svg === undefined ? undefined : (service, text) => writeFile(join(svg, `${service}.svg`), text),
          progress: progressBar(process.stderr)
        })
      } catch (error) {
        if (!(error instanceof Fault)) throw error
        process.stderr.write(`replay: ${error.message}\n`)
        process.exitCode = 1
      }
    })
}

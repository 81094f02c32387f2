// `groundswell import`: files of reports into the database, as the batch call takes them.
import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { access, constants, stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import type { Logger } from 'pino'
import { bulkStore, IMPORT_KEY_BYTES, prepareDatabase } from './app.ts'
import type { Config } from './config.ts'
import type { Clock } from './core/time.ts'
import { joinDatabase } from './database.ts'
import { openDatabase } from './db/client.ts'
import { importAgeMaxMs } from './db/reports.ts'
import { ensureImportKey } from './db/salts.ts'
import { readCatalog } from './db/services.ts'
import { itemsOfLines } from './http/batches.ts'
import { emptyCounts, takeBulk, type BulkCounts } from './ingest/bulk.ts'
import { openImportIntake } from './ingest/intake.ts'

const CLOCK: Clock = { now: () => new Date(), speed: 1 }
const PROGRESS_MS = 250

/**
 * Imports files of NDJSON (`.gz`, or `-` for standard input), a line a report; bad lines are named on stderr.
 * @returns the process's exit code: 1 when a line was refused.
 * @throws Error before anything is imported, when a file cannot be read.
 */
export async function importFiles (files: readonly string[], config: Config, log: Logger): Promise<number> {
  const sizes = await Promise.all(files.map(sizeOf))
  const { connection, owner, stop } = await joinDatabase(config, log)
  try {
    await prepareDatabase({ connection, owner }, config.retentionDays, CLOCK.now())
    const database = openDatabase(connection, { onError: err => log.warn({ err }, 'a database connection was lost'), max: 3, answerTimeoutMs: 0 })
    try {
      const catalog = await readCatalog(database)
      const intake = openImportIntake({
        catalog: () => catalog,
        importKey: await ensureImportKey(database, randomBytes(IMPORT_KEY_BYTES)),
        ageMaxMs: importAgeMaxMs(config.retentionDays),
        clock: CLOCK
      })
      let refused = 0
      for (const [i, file] of files.entries()) {
        const counts = emptyCounts()
        const progress = showProgress(file, counts, sizes[i])
        try {
          await takeBulk(itemsOfLines(progress.watch(openFile(file))), intake, bulkStore(database, CLOCK), counts)
        } finally {
          progress.end()
          tell(file, counts)
        }
        refused += counts.refused
      }
      return refused === 0 ? 0 : 1
    } finally {
      await database.close()
    }
  } finally {
    await stop()
  }
}

function openFile (file: string): Readable {
  const source: Readable = file === '-' ? process.stdin : createReadStream(file)
  if (!file.endsWith('.gz')) return source
  const unpacked = createGunzip()
  source.on('error', error => unpacked.destroy(error))
  return source.pipe(unpacked)
}

/** How many bytes of lines there are to read, where that is known. */
async function sizeOf (file: string): Promise<number | undefined> {
  if (file === '-') return undefined
  const found = await access(file, constants.R_OK).then(() => stat(file)).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`${file} cannot be read (${error.code}).`)
  })
  if (found.isDirectory()) throw new Error(`${file} is a folder: name the files of reports in it.`)
  return file.endsWith('.gz') ? undefined : found.size
}

function tell (file: string, { faults, received, counted, duplicate, refused }: BulkCounts): void {
  for (const { index, fault } of faults) {
    const fields = fault.errors.map(({ pointer, detail }) => `${pointer}: ${detail}`).join(' ')
    process.stderr.write(`${file}: report ${index + 1}: ${fault.message} ${fields}\n`)
  }
  process.stderr.write(`${file}: ${received} read, ${counted} counted, ${duplicate} were there already, ${refused} refused\n`)
}

/** A line that keeps count on a terminal, and nothing elsewhere. */
function showProgress (file: string, counts: BulkCounts, size: number | undefined) {
  let bytes = 0
  const show = () => {
    const share = size === undefined || size === 0 ? '' : ` ${Math.round(100 * bytes / size)} %`
    process.stderr.write(`\r\u001b[K${file}:${share} ${counts.received} reports`)
  }
  const timer = process.stderr.isTTY ? setInterval(show, PROGRESS_MS) : undefined
  return {
    async * watch (source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
      for await (const chunk of source) {
        bytes += chunk.length
        yield chunk
      }
    },
    end () {
      clearInterval(timer)
      if (timer !== undefined) process.stderr.write('\r\u001b[K')
    }
  }
}

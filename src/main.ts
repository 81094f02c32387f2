#!/usr/bin/env node
import { Command } from 'commander'
import type { Logger } from 'pino'
import { prepareDatabase } from './app.ts'
import { registerAudit } from './audit.ts'
import { readConfig, type Config } from './config.ts'
import { joinDatabase, provideDatabase } from './database.ts'
import { openDatabase, type Database } from './db/client.ts'
import { distribute } from './db/distribute.ts'
import { migrate } from './db/migrate.ts'
import { admitService } from './db/roles.ts'
import { registerDemo } from './demo.ts'
import { importFiles } from './import.ts'
import { openLog } from './log.ts'
import { registerReplay } from './replay.ts'
import { serveHere } from './serve.ts'
import { registerToken } from './token.ts'
import { isWorker, serveAsWorker, serveWithWorkers } from './workers.ts'

const program = new Command('groundswell')
  .description('Is it working for you? Reports become outage curves, and outages are flagged before the vendor admits them.')
  .showHelpAfterError('(add --help for what there is)')

program.command('serve', { isDefault: true }).description('the service (default)').allowExcessArguments()
  .action(async (_options: object, command: Command) => {
    const [unknown] = command.args
    if (unknown !== undefined) command.error(`error: there is no command "${unknown}"; --help lists them`)
    await serve()
  })

program.command('migrate').description('bring the database up to date; serve does it too')
  .option('--distribute', 'then distribute its tables over a Citus cluster (docs/scale.md)')
  .action(async (options: { distribute?: true }) => {
    const config = readConfig()
    const { connection, owner, stop } = await joinDatabase(config, quietLog(config))
    try {
      const applied = await migrate(owner, new Date())
      await admitService(owner, connection, config.retentionDays)
      process.stderr.write(applied.length === 0 ? 'The database is up to date.\n' : `Applied ${applied.join(', ')}.\n`)
      if (options.distribute !== true) return
      const moved = await distribute(owner)
      // Once more, since what is granted on a table reaches the nodes that it has then.
      await admitService(owner, connection, config.retentionDays)
      process.stderr.write(moved.length === 0 ? 'All tables are distributed.\n' : `Distributed ${moved.join(', ')}.\n`)
    } finally {
      await stop()
    }
  })

program.command('import').description('reports from files into the database, as the batch call takes them')
  .argument('<file...>', 'NDJSON, a report a line (.gz, or - for standard input)')
  .action(async (files: string[]) => {
    const config = readConfig()
    process.exitCode = await importFiles(files, config, quietLog(config))
  })

registerReplay(program)
registerDemo(program)
registerToken(program, withDatabase)
registerAudit(program, withDatabase)

try {
  await program.parseAsync()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

async function serve (): Promise<void> {
  const config = readConfig()
  if (isWorker) await serveAsWorker(config)
  else if (config.workers > 1) await serveWithWorkers(config)
  else await serveAlone(config)
}

async function serveAlone (config: Config): Promise<void> {
  const log = openLog(config.logLevel, 1)
  const { address } = await serveHere(config, await provideDatabase(config, log), log)
  log.info({ address, docs: `${address}/docs` }, 'ready')
}

async function withDatabase (work: (database: Database) => Promise<void>): Promise<void> {
  const config = readConfig()
  const log = quietLog(config)
  const { connection, owner, stop } = await joinDatabase(config, log)
  try {
    await prepareDatabase({ connection, owner }, config.retentionDays, new Date())
    const database = openDatabase(connection, { onError: err => log.warn({ err }, 'a database connection was lost'), max: 2, answerTimeoutMs: 0 })
    await work(database).finally(() => database.close())
  } finally {
    await stop()
  }
}

/** Commands print what they were asked for; their log goes to stderr, and only what is wrong. */
function quietLog ({ logLevel }: Config): Logger {
  return openLog(logLevel === 'info' ? 'warn' : logLevel, 2)
}

// `groundswell audit`: the log of what moderators changed, checked for what was changed of it.
import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import { verifyAudit } from './db/audit.ts'
import type { Database } from './db/client.ts'

/** Faults told at most. */
const TOLD_MAX = 20

/** Adds the command. @param withDatabase opens the configured database for the time that the work takes. */
export function registerAudit (program: Command, withDatabase: (work: (database: Database) => Promise<void>) => Promise<void>): void {
  const audit = program.command('audit').description('the log of what was changed through the admin calls and commands')

  audit.command('verify').description('check that no row was changed, removed or put elsewhere')
    .option('--head <hash>', 'a head that was printed earlier and kept elsewhere: it must still be in the log', parseHash)
    .action(({ head }: { head?: string }) => withDatabase(async database => {
      const { count, head: found, faults } = await verifyAudit(database, head)
      if (faults.length === 0) {
        process.stdout.write(`${found}\n`)
        process.stderr.write(`The log is whole: ${count} rows. Keep the head above elsewhere, and pass it as --head next time.\n`)
        return
      }
      for (const fault of faults.slice(0, TOLD_MAX)) process.stderr.write(`${fault}\n`)
      if (faults.length > TOLD_MAX) process.stderr.write(`… and ${faults.length - TOLD_MAX} more.\n`)
      throw new Error(`The audit log is not whole: ${faults.length} faults in ${count} rows.`)
    }))
}

function parseHash (text: string): string {
  if (!/^[0-9a-f]{64}$/i.test(text)) throw new InvalidArgumentError('Expected 64 hex digits.')
  return text.toLowerCase()
}

// `groundswell token`: bearer tokens for relays and moderators. A secret is shown once and stored as its hash.
import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import { DAY_MS, HOUR_MS } from './core/time.ts'
import { TOKEN_SCOPES, type TokenScope } from './core/vocabulary.ts'
import type { Database } from './db/client.ts'
import { readTokens } from './db/tokens.ts'
import { createToken, revokeToken } from './http/tokens.ts'

/** Whoever uses the command line, in the audit log. */
const ACTOR = 'command'
/** Tokens listed at most. */
const LISTED_MAX = 1_000
const DEFAULT_EXPIRY = '90d'

/** Adds the command. @param withDatabase opens the configured database for the time that the work takes. */
export function registerToken (program: Command, withDatabase: (work: (database: Database) => Promise<void>) => Promise<void>): void {
  const token = program.command('token').description('bearer tokens for relays and moderators')

  token.command('create').description('make a token; its secret is shown once')
    .requiredOption('--name <name>', 'whose it is, or what for', parseName)
    .requiredOption('--scope <scope...>', `what it opens: ${TOKEN_SCOPES.join(', ')}`, collectScopes)
    .option('--expires <time>', `how long it lasts: 12h, 90d, or never (default: ${DEFAULT_EXPIRY})`, parseExpiry)
    .action(({ name, scope, expires = parseExpiry(DEFAULT_EXPIRY) }: { name: string, scope: TokenScope[], expires?: number }) => withDatabase(async database => {
      const now = new Date()
      const expiresAt = expires === Infinity ? null : new Date(now.getTime() + expires)
      const { token } = await createToken(database, { name, scopes: scope, expiresAt }, ACTOR, now)
      process.stdout.write(`${token}\n`)
      process.stderr.write(`Keep it: it is not shown again. It ${expiresAt === null ? 'never expires' : `expires ${expiresAt.toISOString()}`}.\n`)
    }))

  token.command('list').description('all tokens, newest first, without their secrets').action(() => withDatabase(async database => {
    for (const { id, name, scopes, createdAt, expiresAt, lastUsedAt, revokedAt } of await readTokens(database, LISTED_MAX)) {
      const day = (at: Date | null) => at?.toISOString().slice(0, 10) ?? 'never'
      const end = revokedAt !== null ? `revoked ${day(revokedAt)}` : `expires ${day(expiresAt)}`
      process.stdout.write(`${id}  ${scopes.join(',')}  created ${day(createdAt)}  last used ${day(lastUsedAt)}  ${end}  ${name}\n`)
    }
  }))

  token.command('revoke').description('revoke a token, at once').argument('<id>', 'the id: the middle part of the token').action((id: string) => withDatabase(async database => {
    if (!await revokeToken(database, id, ACTOR, new Date())) throw new Error(`No token that is still good has the id "${id}"; "groundswell token list" lists them.`)
    process.stderr.write(`Token ${id} is revoked.\n`)
  }))
}

function parseName (text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('Expected a name.')
  return text
}

function collectScopes (scope: string, known: TokenScope[] | undefined): TokenScope[] {
  const found = TOKEN_SCOPES.find(name => name === scope)
  if (found === undefined) throw new InvalidArgumentError(`Expected one of ${TOKEN_SCOPES.join(', ')}.`)
  return [...new Set([...known ?? [], found])]
}

/** Milliseconds of `12h`, `90d` or `never`. */
function parseExpiry (text: string): number {
  if (text === 'never') return Infinity
  const match = /^([1-9]\d{0,4})([hd])$/.exec(text)
  if (match === null) throw new InvalidArgumentError('Expected a time such as 12h or 90d, or never.')
  return Number(match[1]) * (match[2] === 'h' ? HOUR_MS : DAY_MS)
}

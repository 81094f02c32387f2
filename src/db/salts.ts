import type { Db } from './client.ts'

/** The salt of a UTC day (ISO date); `fresh` becomes it when the day has none yet. All instances get the same. */
export async function ensureSalt (db: Db, day: string, fresh: Buffer): Promise<Buffer> {
  const find = async () => (await db.query<{ salt: Buffer }>('select salt from salts where day = $1', [day]))[0]?.salt
  const known = await find()
  if (known !== undefined) return known
  await db.query('insert into salts (day, salt) values ($1, $2) on conflict do nothing', [day, fresh])
  return (await find())!
}

/** The key of imported reports' ids; `fresh` becomes it on the first call ever. */
export async function ensureImportKey (db: Db, fresh: Buffer): Promise<Buffer> {
  await db.query('insert into installation (import_key) values ($1) on conflict do nothing', [fresh])
  const [row] = await db.query<{ import_key: Buffer }>('select import_key from installation')
  return row!.import_key
}

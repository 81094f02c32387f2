// How a list goes on that is newest first by an instant and an id.
import { and, eq, lt, or, type SQL } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'

/** Where a page ends: the instant and id of its last row. */
export interface Place { at: Date, id: string }

/** The rows that come after a place; undefined, which means all, when there is none. */
export function isAfter (at: PgColumn, id: PgColumn, place: Place | undefined): SQL | undefined {
  return place === undefined ? undefined : or(lt(at, place.at), and(eq(at, place.at), lt(id, place.id)))
}

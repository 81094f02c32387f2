// Ids and networks of the form that hashing gives them, from names that a test can read.
import { createHash } from 'node:crypto'
import { uuid8 } from '../../src/core/reports.ts'

/** 32 hex digits, as a network has. */
export const hexOf = (name: string) => createHash('md5').update(name).digest('hex')

/** A UUIDv8, as a report's id is. */
export const idOf = (name: string) => uuid8(hexOf(name))

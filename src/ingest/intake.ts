// From what a client sent to what is stored. Here the address is seen, turned into an id and a network, and forgotten.
import { isIPv4 } from 'node:net'
import ipaddr from 'ipaddr.js'
import { scrub } from '../core/comments.ts'
import { Fault, type FieldError } from '../core/faults.ts'
import { coarsenRegion } from '../core/regions.ts'
import {
  coarseClient, INTERVAL_MS, OBSERVED_AGE_MAX_MS, observedMinute, uuid8, type NewReport, type ReportInput
} from '../core/reports.ts'
import { floorTo, type Clock } from '../core/time.ts'
import { DISPOSITIONS, IMPACTS, QUARANTINE_REASONS, UNKNOWN_DEVICE_CLASS, UNKNOWN_REGION, VERDICTS } from '../core/vocabulary.ts'
import type { Catalog, Named, Service } from '../db/services.ts'
import type { Blocks } from './blocks.ts'
import type { Countries } from './countries.ts'
import { openKeyedHash, type KeyedHash } from './hashes.ts'
import type { Salts } from './salts.ts'
import type { Voices } from './voices.ts'

const COUNTED = DISPOSITIONS.indexOf('counted')
const QUARANTINED = DISPOSITIONS.indexOf('quarantined')
const [OF_VOICES, OF_BLOCK] = [QUARANTINE_REASONS.indexOf('voices'), QUARANTINE_REASONS.indexOf('block')]

/** Where a report came from; it lives no longer than the call. */
export interface Sender { address: string, userAgent: string | undefined }

/** Turns an anonymous report into a row. @throws Fault `invalid`, naming every field that is wrong; `overloaded` */
export type Intake = (input: ReportInput, sender: Sender) => NewReport | Promise<NewReport>

export function openIntake ({ catalog, countries, blocks, salts, voices, clock }: {
  catalog: () => Catalog, countries: Countries, blocks: () => Blocks, salts: Salts, voices: Voices, clock: Clock
}): Intake {
  return (input, sender) => {
    const country = input.region === undefined ? countries(sender.address) : undefined
    const placed = country === undefined ? input : { ...input, region: country }
    const report = describeReport(placed, catalog(), OBSERVED_AGE_MAX_MS, clock.now())
    const hash = salts.hashOf(report.minute)
    const ready = voices.ready(report.serviceId, report.intervalAt)
    const finish = (hash: KeyedHash) => giveDisposition(identify(report, input, sender, hash), sender.address, blocks(), voices)
    if (typeof hash === 'function' && ready === true) return finish(hash)
    return Promise.all([hash, ready]).then(([hash]) => finish(hash))
  }
}

/** A relay's report: it carries the relay's pseudonym for the reporter. */
export type ImportInput = ReportInput & { reporter: string }

/** Turns a relay's report into a row: the relay answers for its networks, and the id outlives the day. @throws Fault `invalid` */
export type ImportIntake = (input: ImportInput) => NewReport

export function openImportIntake ({ catalog, importKey, ageMaxMs, clock }: {
  catalog: () => Catalog, importKey: Buffer, ageMaxMs: number, clock: Clock
}): ImportIntake {
  const hash = openKeyedHash(importKey)
  return input => {
    const report = describeReport(input, catalog(), ageMaxMs, clock.now())
    report.id = uuid8(hash(['import', ...idParts(report, input), input.reporter]))
    return report
  }
}

/** What a report names, and every field in which it names something that is not known or not possible. */
function readNames (input: ReportInput, catalog: Catalog, ageMaxMs: number, now: Date) {
  const errors: FieldError[] = []
  const refuse = (pointer: string, detail: string) => errors.push({ pointer, detail })
  const service = catalog.services.get(input.service)
  if (service === undefined) refuse('/service', `No service is called "${input.service}"; GET /v1/services lists them.`)
  else if (service.retiredAt !== null) refuse('/service', `"${input.service}" is retired and takes no reports; GET /v1/services lists those that do.`)
  const region = input.region === undefined ? UNKNOWN_REGION : coarsenRegion(input.region)
  if (region === undefined) refuse('/region', `"${input.region}" is no ISO 3166 code of a country or subdivision, such as CA or CA-ON; GET /v1/regions lists them.`)
  if (input.deviceClass !== undefined && !isTaken(catalog.deviceClasses, input.deviceClass)) {
    refuse('/device_class', `No device class is called "${input.deviceClass}"; GET /v1/device-classes lists them.`)
  }
  if (input.symptom !== undefined && !isTaken(catalog.symptoms, input.symptom)) {
    refuse('/symptom', `No symptom is called "${input.symptom}"; GET /v1/symptoms lists them.`)
  }
  let minute = 0
  try {
    minute = observedMinute(input.observedAt, ageMaxMs, now)
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    errors.push(...error.errors)
  }
  return { service, region, minute, errors }
}

function isTaken (words: ReadonlyMap<string, Named>, slug: string): boolean {
  return words.get(slug)?.retiredAt === null
}

/** Checks a report as `openIntake` does, and does no more. @throws Fault `invalid`, naming every field that is wrong */
export function checkReport (input: ReportInput, catalog: Catalog, now: Date): void {
  const { errors } = readNames(input, catalog, OBSERVED_AGE_MAX_MS, now)
  if (errors.length > 0) throw unknownNames(errors)
}

function unknownNames (errors: readonly FieldError[]): Fault {
  return new Fault('invalid', 'The report names things that are not known or not possible; `errors` says which.', { errors })
}

/** Everything of the row that has nothing to do with who sent it. */
function describeReport (input: ReportInput, catalog: Catalog, ageMaxMs: number, now: Date): NewReport {
  const { service, region, minute, errors } = readNames(input, catalog, ageMaxMs, now)
  if (service === undefined || region === undefined || errors.length > 0) throw unknownNames(errors)
  return {
    serviceId: service.id,
    intervalAt: floorTo(minute, INTERVAL_MS),
    id: '',
    minute,
    region,
    deviceClass: input.deviceClass ?? UNKNOWN_DEVICE_CLASS,
    verdict: VERDICTS.indexOf(input.verdict),
    symptom: input.symptom ?? null,
    impact: input.impact === undefined ? null : IMPACTS.indexOf(input.impact),
    network: null,
    disposition: COUNTED,
    reason: null,
    comment: input.comment === undefined || input.comment.trim() === '' ? null : scrub(input.comment),
    history: isHistory(service, minute)
  }
}

function isHistory ({ liveSince }: Service, minute: number): boolean {
  return liveSince === null || minute < liveSince.getTime()
}

function identify (report: NewReport, input: ReportInput, { address, userAgent }: Sender, hash: KeyedHash): NewReport & { network: string } {
  const { whole, network } = readAddress(address)
  const id = uuid8(hash(['report', ...idParts(report, input), whole, coarseClient(userAgent), input.reporter ?? '']))
  return { ...report, id, network: hash(['network', String(report.serviceId), network]) }
}

/** What is blocked takes no voice of its network: one may be blocked for what others behind it did. */
function giveDisposition (
  report: NewReport & { network: string }, address: string, blocks: Blocks, voices: Voices
): NewReport | Promise<NewReport> {
  if (blocks.has(address, report.network)) return { ...report, disposition: QUARANTINED, reason: OF_BLOCK }
  const finish = (admitted: boolean) => admitted ? report : { ...report, disposition: QUARANTINED, reason: OF_VOICES }
  const admitted = voices.admit(report)
  return typeof admitted === 'boolean' ? finish(admitted) : admitted.then(finish)
}

function idParts (report: NewReport, input: ReportInput): string[] {
  return [String(report.serviceId), String(report.intervalAt), input.verdict]
}

/**
 * An address in one spelling, and the network it belongs to: its /24 or, for IPv6, its /48.
 * What a trusted proxy sends that is no address is all one network.
 */
export function readAddress (address: string): { whole: string, network: string } {
  // What nearly every address is needs no parsing: four decimal numbers without leading zeros.
  if (isIPv4(address)) return { whole: address, network: `ipv4 ${address.slice(0, address.lastIndexOf('.'))}` }
  if (!ipaddr.isValid(address)) return { whole: 'unknown', network: 'unknown' }
  const parsed = ipaddr.process(address)
  const bytes = parsed.toByteArray()
  return { whole: parsed.toString(), network: `${parsed.kind()} ${bytes.slice(0, parsed.kind() === 'ipv4' ? 3 : 6).join('.')}` }
}

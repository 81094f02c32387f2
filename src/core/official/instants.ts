/** Hours from UTC of the zones that vendors name: UTC and those of the United States, which RFC 822 §5.1 lists in part. */
const ZONE_HOURS: Readonly<Record<string, number>> = {
  UTC: 0, GMT: 0, UT: 0, Z: 0, EST: -5, EDT: -4, CST: -6, CDT: -5, MST: -7, MDT: -6, PST: -8, PDT: -7, AKST: -9, AKDT: -8, HST: -10
}
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
/** Later than this, ms, no vendor has said anything: 2100-01-01. */
const LAST_AT = Date.UTC(2100, 0)

/** RFC 3339 §5.6, with a space for the T, without seconds or without the zone's colon as well. */
const ISO = /^(?<year>\d{4})-(?<month>\d\d)-(?<day>\d\d)[Tt ](?<hour>\d\d):(?<minute>\d\d)(?::(?<second>\d\d)(?:\.(?<fraction>\d{1,9}))?)? ?(?<zone>[Zz]|[+-]\d\d:?\d\d)$/
/** RFC 822 §5, as RSS 2.0 writes it: `Fri, 23 Aug 2019 04:18:35 PDT`. */
const RFC_822 = /^(?:[A-Za-z]{3,9}, *)?(?<day>\d\d?) (?<month>[A-Za-z]{3}) (?<year>\d{4}) (?<hour>\d\d?):(?<minute>\d\d)(?::(?<second>\d\d))? (?<zone>[A-Za-z]{1,4}|[+-]\d{4})$/
/** Apple's: `10/20/2025 00:11 PDT`. */
const APPLE = /^(?<month>\d\d?)\/(?<day>\d\d?)\/(?<year>\d{4}) (?<hour>\d\d?):(?<minute>\d\d)(?::(?<second>\d\d))? (?<zone>[A-Za-z]{1,4}|[+-]\d{4})$/

/**
 * The instant that a text names, ms since the epoch: RFC 3339, RFC 822 or Apple's form. Null when it is none of them, no
 * day of the calendar, before 1970 or after 2100, or in no zone that we know: without a zone it is not an instant.
 */
export function readInstant (value: unknown): number | null {
  if (typeof value !== 'string' || value.length > 64) return null
  const text = value.trim().replace(/\s+/g, ' ')
  const parts = (ISO.exec(text) ?? RFC_822.exec(text) ?? APPLE.exec(text))?.groups
  if (parts === undefined) return null
  const { year, month, day, hour, minute, second = '0', fraction = '0', zone } = parts as Record<string, string>
  const offsetMs = offsetOf(zone!)
  const monthIndex = /^\d/.test(month!) ? Number(month) - 1 : MONTHS.indexOf(month!.toLowerCase())
  if (offsetMs === null || monthIndex < 0 || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return null
  const date = Date.UTC(Number(year), monthIndex, Number(day))
  if (new Date(date).getUTCDate() !== Number(day) || new Date(date).getUTCMonth() !== monthIndex) return null
  const ms = Math.floor(Number(`0.${fraction}`) * 1_000)
  return within(date + ((Number(hour) * 60 + Number(minute)) * 60 + Number(second)) * 1_000 + ms - offsetMs)
}

/** The instant that a number of ms since the epoch names; null when it is no such number or not in 1970 to 2100. */
export function readEpoch (value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? within(Math.trunc(value)) : null
}

function within (at: number): number | null {
  return at >= 0 && at <= LAST_AT ? at : null
}

function offsetOf (zone: string): number | null {
  const digits = /^([+-])(\d\d):?(\d\d)$/.exec(zone)
  if (digits === null) {
    const name = zone.toUpperCase()
    return Object.hasOwn(ZONE_HOURS, name) ? ZONE_HOURS[name]! * 3_600_000 : null
  }
  const minutes = Number(digits[2]) * 60 + Number(digits[3])
  return minutes <= 14 * 60 ? (digits[1] === '-' ? -1 : 1) * minutes * 60_000 : null
}

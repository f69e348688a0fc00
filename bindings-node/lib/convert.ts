/** Records with the keys of their interfaces to records with the library's own keys, and back. */

import native = require('../native.cjs')
import { invalid, SampanError } from './errors.js'
import { shapes, type RecordName } from './shapes.js'

type Fields = Record<string, unknown>
/** A key as it is given → the key that is wanted, and the record behind it. */
type Keys = ReadonlyMap<string, readonly [string, RecordName | undefined]>
type Table = ReadonlyMap<RecordName, Keys>

const inward = table((library, ours) => [ours, library])
const outward = table((library, ours) => [library, ours])

function table(pair: (library: string, ours: string) => [string, string]): Table {
  const keys = (shape: object) =>
    Object.entries(shape).map(([library, [ours, behind]]: [string, [string, RecordName?]]) => {
      const [from, to] = pair(library, ours)
      return [from, [to, behind]] as const
    })
  return new Map(Object.entries(shapes).map(([name, shape]) => [name as RecordName, new Map(keys(shape))]))
}

/** A record for the native side. What is absent stays absent; a key that is not known is refused. */
export function toFields(record: RecordName, options: object): Fields {
  for (const [key, value] of Object.entries(options)) plain(key, value)
  return convert(record, options, { table: inward, wanted: isGiven, unknown: refuse }) as Fields
}

/** Refuses what no text, number, list or record is made of, and would pass as nothing, or not at all. */
function plain(key: string, value: unknown): void {
  if (typeof value === 'number' ? !Number.isFinite(value) : ['bigint', 'function', 'symbol'].includes(typeof value)) {
    throw invalid(key, `it can't be ${typeof value === 'number' ? value : `a ${typeof value}`}`)
  }
  if (typeof value === 'object' && value !== null) for (const item of Object.values(value)) plain(key, item)
}

const isGiven = (value: unknown) => value !== undefined && value !== null

/** Words that `lib/options.ts` converts before they come here. */
const CONVERTED: Partial<Record<RecordName, string[]>> = {
  LogOptions: ['stdout', 'stderr'],
  RunOptions: ['volumes', 'tmpfs', 'ports'],
}

function refuse(record: RecordName, key: string): never {
  const known = [...inward.get(record)!.keys(), ...(CONVERTED[record] ?? [])]
  const near = native.nearest(key, known)
  const hint = near === null ? null : `did you mean \`${near}\`?`
  const [operation, subject] = ['read options of', record.replace(/Options$/, '').toLowerCase()]
  const text = `${operation} ${subject}: unknown option \`${key}\`${hint ? `; ${hint}` : ''}`
  throw new SampanError(text, { code: 'invalid_argument', operation, subject, hint })
}

/** A record, or a list of them, from the native side. */
export function fromFields<T>(record: RecordName, fields: unknown): T {
  return convert(record, fields, { table: outward, wanted: () => true, unknown: () => {} }) as T
}

interface Direction {
  table: Table
  wanted: (value: unknown) => boolean
  unknown: (record: RecordName, key: string) => void
}

// Only what is a record itself is gone into: the keys of a map are the user's own words.
function convert(record: RecordName, value: unknown, direction: Direction): unknown {
  if (Array.isArray(value)) return value.map((item) => convert(record, item, direction))
  if (typeof value !== 'object' || value === null) return value
  const keys = direction.table.get(record)!
  const entries = Object.entries(value).filter(([, item]) => direction.wanted(item))
  return Object.fromEntries(
    entries.map(([key, item]) => {
      if (!keys.has(key)) direction.unknown(record, key)
      const [name, behind] = keys.get(key) ?? [key, undefined]
      return [name, behind === undefined ? item : convert(behind, item, direction)]
    }),
  )
}

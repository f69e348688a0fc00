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

/**
 * The record of a call for the native side, which names the call `what`. What is absent stays absent; a key that is not known
 * is refused. `also` are words of the call that are no members of the record: those that may be meant.
 */
export function toFields(record: RecordName, what: string, options: object, also: readonly string[] = []): Fields {
  for (const [key, value] of Object.entries(options)) plain(key, value)
  const unknown = (inner: RecordName, key: string): never => {
    const known = [...inward.get(inner)!.keys()]
    throw inner === record ? unknownOption(what, key, [...known, ...also]) : unknownOption(spoken(inner), key, known)
  }
  return convert(record, options, { table: inward, wanted: isGiven, unknown }) as Fields
}

/** Refuses what is none of the words of a call that takes no record. */
export function only(what: string, options: object, words: readonly string[]): void {
  if (typeof options !== 'object') throw invalid('options', `${String(options)} is no record`, `write { ${words[0]}: … }`)
  const other = Object.entries(options).find(([key, value]) => isGiven(value) && !words.includes(key))
  if (other) throw unknownOption(what, other[0], words)
}

/** Refuses what no text, number, list or record is made of, and would pass as nothing, or not at all. */
function plain(key: string, value: unknown): void {
  if (typeof value === 'number' ? !Number.isFinite(value) : ['bigint', 'function', 'symbol'].includes(typeof value)) {
    throw invalid(key, `it can't be ${typeof value === 'number' ? value : `a ${typeof value}`}`)
  }
  if (typeof value === 'object' && value !== null) for (const item of Object.values(value)) plain(key, item)
}

/** @internal */
export const isGiven = (value: unknown) => value !== undefined && value !== null

function unknownOption(what: string, key: string, known: readonly string[]): SampanError {
  const failure = native.unknownOption(what, key, [...known])
  return new SampanError(failure.message, failure)
}

/** `DeviceRate` as words. */
const spoken = (record: RecordName) => record.replace(/(?!^)[A-Z]/g, ' $&').toLowerCase()

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

/** Records with the keys of their interfaces to records with the library's own keys, and back. */

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

/** A record for the native side. What is absent stays absent; a key that is not known is refused there. */
export function toFields(record: RecordName, options: object): Fields {
  const given = (value: unknown) => value !== undefined && value !== null
  return convert(record, options, inward, given) as Fields
}

/** A record, or a list of them, from the native side. */
export function fromFields<T>(record: RecordName, fields: unknown): T {
  return convert(record, fields, outward, () => true) as T
}

// Only what is a record itself is gone into: the keys of a map are the user's own words.
function convert(record: RecordName, value: unknown, table: Table, wanted: (value: unknown) => boolean): unknown {
  if (Array.isArray(value)) return value.map((item) => convert(record, item, table, wanted))
  if (typeof value !== 'object' || value === null) return value
  const keys = table.get(record)!
  const entries = Object.entries(value).filter(([, item]) => wanted(item))
  return Object.fromEntries(
    entries.map(([key, item]) => {
      const [name, behind] = keys.get(key) ?? [key, undefined]
      return [name, behind === undefined ? item : convert(behind, item, table, wanted)]
    }),
  )
}

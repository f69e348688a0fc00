// Records by their schema: from the words of a case to options, and from results to text that can be compared.
import { readFileSync } from 'node:fs'

/** A name of an option as the cases have it. */
export const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())
const NUMBERS = new Set(['i32', 'i64', 'u32', 'u64', 'f64'])

/** core/api.json: the members of every record and their types. */
export class Schema {
  constructor(path) {
    const types = (record) => new Map(record.fields.map(({ name, type }) => [name, type.replace(/^option<(.*)>$/, '$1')]))
    this.records = new Map(JSON.parse(readFileSync(path)).records.map((record) => [record.name, types(record)]))
  }

  /** A record of options from words `field.key=text`. */
  options(record, words) {
    const options = {}
    for (const [path, text] of words) this.#put(options, record, path, text)
    return options
  }

  #put(into, record, path, text) {
    const [name, ...rest] = path.split('.')
    const type = this.records.get(record).get(name)
    if (type === undefined) throw new Error(`${record} has no ${name}`)
    const key = camel(name)
    const of = /^list<(.*)>$/.exec(type)?.[1]
    if (type === 'map') (into[key] ??= {})[rest.join('.')] = text
    else if (of === 'string') (into[key] ??= []).push(text)
    else if (of) this.#item((into[key] ??= []), of, rest, text)
    else into[key] = scalar(type, text)
  }

  #item(items, of, [index, ...member], text) {
    if (items.length === Number(index)) items.push({})
    this.#put(items.at(-1), of, member.join('.'), text)
  }
}

function scalar(type, text) {
  if (type === 'bool') return { true: true, false: false }[text]
  if (type === 'bytes') return unescape(text)
  return NUMBERS.has(type) ? Number(text) : text
}

/** The member of a value that a path leads to. */
export function find(value, path) {
  if (path === '') return value
  if (isRecord(value) && Object.hasOwn(value, path)) return value[path]
  const [name, ...rest] = path.split('.')
  return find(member(value, name), rest.join('.'))
}

function member(value, name) {
  if (name === 'len') return Array.isArray(value) ? value.length : Object.keys(value).length
  if (Array.isArray(value)) return value.at(name === 'last' ? -1 : Number(name))
  // A map's own keys stay as they are.
  return isRecord(value) && Object.hasOwn(value, name) ? value[name] : value[camel(name)]
}

const isRecord = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)

/** A value as a case has it. */
export function show(value) {
  if (value === null) return 'none'
  if (Array.isArray(value)) return value.map(show).join(' ')
  if (typeof value === 'string' || value instanceof Uint8Array) return escape(Buffer.from(value))
  if (['boolean', 'number', 'bigint'].includes(typeof value)) return String(value)
  throw new TypeError(`${value} is not a plain value`)
}

const NAMED = new Map([[10, '\\n'], [9, '\\t'], [92, '\\\\']])

/** Printable ASCII but for `\n`, `\t`, `\\` and `\xNN`. */
export function escape(bytes) {
  const one = (byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`)
  return Array.from(bytes, (byte) => NAMED.get(byte) ?? one(byte)).join('')
}

/** The bytes that `escape` would have shown as this. */
export function unescape(text) {
  const plain = { n: 10, t: 9, '\\': 92 }
  const parts = text.split(/\\(x[0-9a-f]{2}|[nt\\])/)
  const bytes = (part, at) => (at % 2 ? [plain[part] ?? parseInt(part.slice(1), 16)] : Buffer.from(part))
  return Buffer.concat(parts.map((part, at) => Buffer.from(bytes(part, at))))
}

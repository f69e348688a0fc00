/** camelCase members to the facade's fields and back. */

/** Members whose keys are the user's own words. */
const MAPS: ReadonlySet<string> = new Set(['env', 'labels', 'sysctls'])

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
const camel = (name: string) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())

/** Fields for the native side; what is absent stays absent. */
export function toFields(options: object): Record<string, unknown> {
  return convert(options, snake) as Record<string, unknown>
}

/** A record from the native side. */
export function fromFields<T>(fields: unknown): T {
  return convert(fields, camel) as T
}

function convert(value: unknown, rename: (name: string) => string): unknown {
  if (Array.isArray(value)) return value.map((item) => convert(item, rename))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(([, item]) => item !== undefined && item !== null)
  const all = rename === camel ? Object.entries(value) : entries
  return Object.fromEntries(
    all.map(([name, item]) => [rename(name), MAPS.has(name) ? item : convert(item, rename)]),
  )
}

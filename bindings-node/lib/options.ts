/** From what is handy in JavaScript to the fields that the engine takes. */

import { homedir } from 'node:os'
import { resolve } from 'node:path'
import type { Watched } from './call.js'
import { toFields } from './convert.js'
import { invalid, SampanError } from './errors.js'
import type { Mount, RunOptions, UpdateOptions } from './types.js'

type Sizes = 'memory' | 'memorySwap' | 'memoryReservation' | 'shmSize'

/** What `docker run` takes, and a few words that are only ours. */
export interface RunInput extends Omit<RunOptions, 'image' | 'command' | 'stdin' | 'env' | Sizes>, Watched {
  /** The command; the image's by default. */
  command?: readonly string[] | undefined
  /** Environment on top of the image's. */
  env?: Record<string, string | number | boolean> | undefined
  /** Memory limit: bytes, or `'512m'`. */
  memory?: number | string | undefined
  /** Memory and swap together: bytes, or `'1g'`; -1 for no limit. */
  memorySwap?: number | string | undefined
  /** Memory to be left with under pressure. */
  memoryReservation?: number | string | undefined
  /** Size of `/dev/shm`. */
  shmSize?: number | string | undefined
  /** `{ '/host': '/container' }`, `{ '/host': '/container:ro' }` or `['source:target:ro']`; a bare word names a volume. */
  volumes?: Record<string, string> | readonly string[] | undefined
  /** `['/tmp']` or `{ '/tmp': 'size=64m' }`. */
  tmpfs?: Record<string, string> | readonly string[] | undefined
  /** Refused: the networks of this version are none and host. */
  ports?: unknown
}

type Limits = 'memory' | 'memorySwap' | 'memoryReservation'

/** What `docker update` takes; sizes as bytes, or `'512m'`. */
export interface UpdateInput extends Omit<UpdateOptions, Limits> {
  /** Memory limit: bytes, or `'512m'`. */
  memory?: number | string | undefined
  /** Memory and swap together: bytes, or `'1g'`; -1 for no limit. */
  memorySwap?: number | string | undefined
  /** Memory to be left with under pressure. */
  memoryReservation?: number | string | undefined
}

/** A file descriptor, or what has one. */
export type Descriptor = number | { fd: number }

/** Where the standard streams of a container go. */
export interface Streams {
  /** Read for its standard input. */
  stdin?: Descriptor | undefined
  /** Gets its standard output, beside the log. */
  stdout?: Descriptor | undefined
  /** Gets its standard error, beside the log. */
  stderr?: Descriptor | undefined
}

/** The record of a run. */
export function runFields(image: string, input: RunInput & Streams & Record<string, unknown>): Record<string, unknown> {
  const { signal, onProgress, ports, volumes, tmpfs, stdin, stdout, stderr, ...rest } = input
  if (ports !== undefined && ports !== null) throw unsupportedPorts()
  const mounts = [...(rest.mounts ?? []), ...volumeMounts(volumes), ...tmpfsMounts(tmpfs)]
  return toFields('RunOptions', { ...rest, ...sizes(rest), ...env(rest.env), image, mounts })
}

/** The record of limits to change. */
export function updateFields(input: UpdateInput): Record<string, unknown> {
  return toFields('UpdateOptions', { ...input, ...sizes(input) })
}

/** Descriptors of streams. */
export function streamFields(streams: Streams): Record<string, unknown> {
  const number = (name: string, s: Descriptor | undefined) => {
    if (s === undefined || s === null) return undefined
    const fd = typeof s === 'object' ? s.fd : s
    if (typeof fd === 'number') return fd
    throw invalid(name, 'it has no file descriptor', 'give a descriptor, or what has one as `fd`')
  }
  const { stdin, stdout, stderr } = streams
  return toFields('Stdio', { stdin: number('stdin', stdin), stdout: number('stdout', stdout), stderr: number('stderr', stderr) })
}

/** Bytes from `67108864`, `'64m'` or `'64MiB'`. */
export function size(name: string, value: number | string): number {
  if (typeof value === 'number') return value
  const match = /^\s*(-?\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?\s*$/i.exec(value)
  if (!match) throw invalid(name, `'${value}' is not a size`, 'write bytes as a number, or 512k, 64m, 2g')
  const power = Math.max(0, ' kmgt'.indexOf((match[2] || ' ').toLowerCase()))
  return Math.trunc(Number(match[1]) * 1024 ** power)
}

function sizes(input: Pick<RunInput, Sizes>): Record<string, number> {
  const names = ['memory', 'memorySwap', 'memoryReservation', 'shmSize'] as const
  const given = names.filter((name) => input[name] !== undefined && input[name] !== null)
  return Object.fromEntries(given.map((name) => [name, size(name, input[name]!)]))
}

function env(given: RunInput['env']): { env?: Record<string, string> } {
  if (!given) return {}
  return { env: Object.fromEntries(Object.entries(given).map(([key, value]) => [key, String(value)])) }
}

function volumeMounts(volumes: RunInput['volumes']): Mount[] {
  if (!volumes) return []
  if (isList(volumes)) return volumes.map(volumeFromText)
  return Object.entries(volumes).map(([source, target]) => {
    const [path = '', mode = ''] = target.split(':')
    return volume(source, path, mode)
  })
}

function volumeFromText(text: string): Mount {
  const [source = '', target, mode = '', ...more] = text.split(':')
  if (target === undefined) return { kind: 'volume', target: source }
  if (!source || more.length) throw invalid('volumes', `'${text}' is not a volume`, 'write source:target:ro')
  return volume(source, target, mode)
}

function volume(source: string, target: string, mode: string): Mount {
  // A bare word names a volume, whatever lies in the working directory.
  const bind = /^[./~]/.test(source)
  const words = mode.split(',')
  return {
    kind: bind ? 'bind' : 'volume',
    source: bind ? resolve(source.replace(/^~(?=\/|$)/, homedir())) : source,
    target,
    readOnly: words.includes('ro'),
    options: words.filter((word) => word && word !== 'ro' && word !== 'rw'),
  }
}

function tmpfsMounts(tmpfs: RunInput['tmpfs']): Mount[] {
  if (!tmpfs) return []
  const pairs: [string, string][] = isList(tmpfs) ? tmpfs.map((target) => [target, '']) : Object.entries(tmpfs)
  return pairs.map(([target, options]) => ({ kind: 'tmpfs', target, options: options.split(',').filter(Boolean) }))
}

function isList(value: Record<string, string> | readonly string[]): value is readonly string[] {
  return Array.isArray(value)
}

function unsupportedPorts(): SampanError {
  const hint = "use network: 'host', where a port of the container is one of the machine"
  return new SampanError(`publish ports: the networks of this version are none and host; ${hint}`, {
    code: 'unsupported',
    operation: 'publish ports',
    subject: 'ports',
    hint,
  })
}

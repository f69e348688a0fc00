/** From what is handy in JavaScript to the fields that the engine takes. */

import { homedir } from 'node:os'
import { resolve } from 'node:path'
import type { Watched } from './call.js'
import { isGiven, toFields } from './convert.js'
import { invalid, SampanError } from './errors.js'
import type { Mount, RunOptions, UpdateOptions } from './types.js'

type Sizes = 'memory' | 'memorySwap' | 'memoryReservation' | 'shmSize'

/** Variables by name, or as `'KEY=value'`; what is undefined or null is left out. */
export type Environment = Record<string, string | number | boolean | null | undefined> | readonly string[] | string

/** What `docker run` takes, and a few words that are only ours. */
export interface RunInput extends Omit<RunOptions, 'image' | 'command' | 'stdin' | 'env' | 'labels' | 'user' | Sizes>, Watched {
  /** The command; the image's by default. */
  command?: readonly string[] | undefined
  /** Environment on top of the image's: `{ KEY: 'value' }`, or `['KEY=value', 'OURS']` where a bare name takes our own value. */
  env?: Environment | undefined
  /** Labels: `{ key: 'value' }` or `['key=value', 'key']`. */
  labels?: Record<string, string> | readonly string[] | undefined
  /** `user[:group]` by name or number; the image's by default. */
  user?: string | number | null | undefined
  /** Memory limit: bytes, or `'512m'`. */
  memory?: number | string | undefined
  /** Memory and swap together: bytes, or `'1g'`; -1 for no limit. */
  memorySwap?: number | string | undefined
  /** Memory to be left with under pressure. */
  memoryReservation?: number | string | undefined
  /** Size of `/dev/shm`. */
  shmSize?: number | string | undefined
  /**
   * `{ '/host': '/container' }`, `{ '/host': '/container:ro' }`, `{ '/host': { bind: '/container', mode: 'ro' } }`,
   * `['source:target:ro']` or one such text; a bare word names a volume.
   */
  volumes?: Record<string, string | { bind: string; mode?: string }> | readonly string[] | string | undefined
  /** `['/tmp']`, `'/tmp'` or `{ '/tmp': 'size=64m' }`. */
  tmpfs?: Record<string, string> | readonly string[] | string | undefined
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

/** Words of every call that makes a container, beside those of its record. */
const BESIDE = ['volumes', 'tmpfs', 'ports', 'signal', 'onProgress']

/** The record of a run; `also` are words that the call has taken out, for who misspells one. */
export function runFields(image: string, input: RunInput, also: readonly string[] = []): Record<string, unknown> {
  const { signal, onProgress, ports, volumes, tmpfs, ...rest } = input
  refuseStreams(rest, 'this call hands on no streams', 'give it to containers.spawn, or to run what is in it as `input`')
  if (ports !== undefined && ports !== null) throw unsupportedPorts()
  const mounts = [...plainMounts(rest.mounts), ...volumeMounts(volumes), ...tmpfsMounts(tmpfs)]
  const { env, labels, user } = rest
  const converted = { env: envFields(env), labels: labelFields(labels), user: userField(user) }
  const fields = { ...rest, ...sizes(rest), ...converted, command: words(rest.command), image, mounts }
  return toFields('RunOptions', 'run', fields, [...BESIDE, ...also])
}

/** What would be taken for bytes by the record, or for nothing. */
function refuseStreams(input: object, message: string, hint: string): void {
  const name = STREAMS.find((name) => isGiven((input as Record<string, unknown>)[name]))
  if (name !== undefined) throw invalid(name, message, hint)
}

/** @internal A command as the words that it is. */
export function words(command: readonly string[] | undefined): readonly string[] | undefined {
  if (typeof command !== 'string') return command
  throw invalid('command', 'it is one text', "write its words, ['echo', 'hi'], or give it to a shell: ['sh', '-c', 'echo hi']")
}

/** The record of a command in a running container. */
export function execFields(
  command: readonly string[],
  { env, user, ...rest }: { env?: Environment | undefined; user?: string | number | null | undefined },
  also: readonly string[],
): Record<string, unknown> {
  refuseStreams(rest, 'a command is given no streams', 'give what it reads as `input` of exec, or use those of execStart')
  return toFields('ExecOptions', 'exec', { ...rest, env: envFields(env), user: userField(user), command: words(command) }, also)
}

/** The record of limits to change. */
export function updateFields(input: UpdateInput): Record<string, unknown> {
  return toFields('UpdateOptions', 'update', { ...input, ...sizes(input) })
}

/** @internal Words for streams. */
export const STREAMS = ['stdin', 'stdout', 'stderr'] as const

/** Descriptors of streams. */
export function streamFields(streams: Streams): Record<string, unknown> {
  const number = (name: string, s: Descriptor | undefined) => {
    if (s === undefined || s === null) return undefined
    const fd = typeof s === 'object' ? s.fd : s
    if (typeof fd === 'number') return fd
    throw invalid(name, 'it has no file descriptor', 'give a descriptor, or what has one as `fd`')
  }
  const { stdin, stdout, stderr } = streams
  const numbers = { stdin: number('stdin', stdin), stdout: number('stdout', stdout), stderr: number('stderr', stderr) }
  return toFields('Stdio', 'stdio', numbers)
}

/** @internal What is to be written to a standard input. */
export function inputBytes(input: string | Uint8Array | null | undefined): Uint8Array | null {
  if (input === undefined || input === null) return null
  if (typeof input === 'string') return Buffer.from(input)
  if (input instanceof Uint8Array) return input
  throw invalid('input', `a ${typeof input} is neither text nor bytes`)
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

function envFields(given: Environment | undefined): Record<string, string> | undefined {
  if (given === undefined || given === null) return undefined
  // As on Docker's command line, a bare name takes our own value, and is left out where there is none.
  const entries = isListed(given) ? texts('env', given).map((text) => entry(text, process.env[text])) : Object.entries(given)
  const set = entries.filter(([, value]) => value !== undefined && value !== null)
  return Object.fromEntries(set.map(([key, value]) => [key, String(value)]))
}

function userField(user: string | number | null | undefined): string | undefined {
  return user?.toString()
}

function labelFields(given: RunInput['labels']): Record<string, string> | undefined {
  if (given === undefined || given === null || !isListed(given)) return given
  return Object.fromEntries(texts('labels', given).map((text) => entry(text, '')))
}

/** `KEY=value` taken apart; `bare` is the value of a key alone. */
function entry<T>(text: string, bare: T): [string, string | T] {
  const end = text.indexOf('=')
  return end < 0 ? [text, bare] : [text.slice(0, end), text.slice(end + 1)]
}

function plainMounts(mounts: Mount[] | undefined): Mount[] {
  if (mounts === undefined || mounts === null) return []
  const listed = Array.isArray(mounts) ? mounts : [mounts]
  const other = listed.find((mount) => typeof mount !== 'object' || mount === null)
  if (other === undefined) return listed
  throw invalid('mounts', `${JSON.stringify(other)} is no mount`, "write { kind: 'bind', source: …, target: … }")
}

function volumeMounts(volumes: RunInput['volumes']): Mount[] {
  if (!volumes) return []
  if (isListed(volumes)) return texts('volumes', volumes).map(volumeFromText)
  return Object.entries(volumes).map(([source, target]) => volumeOf(source, target))
}

function volumeOf(source: string, target: string | { bind: string; mode?: string }): Mount {
  if (typeof target === 'string') {
    const [path, mode = '', ...more] = target.split(':')
    if (path && more.length === 0) return volume(source, path, mode)
  } else if (isPlace(target)) {
    return volume(source, target.bind, target.mode ?? '')
  }
  const hint = "write { source: '/target:ro' } or { source: { bind: '/target', mode: 'ro' } }"
  throw invalid('volumes', `${JSON.stringify(target)} is no place for '${source}'`, hint)
}

function isPlace(target: { bind: string; mode?: string }): boolean {
  const known = target && Object.keys(target).every((key) => key === 'bind' || key === 'mode')
  return Boolean(known && target.bind) && [target.bind, target.mode ?? ''].every((part) => typeof part === 'string')
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
  const options = mode.split(',')
  return {
    kind: bind ? 'bind' : 'volume',
    source: bind ? resolve(source.replace(/^~(?=\/|$)/, homedir())) : source,
    target,
    readOnly: options.includes('ro'),
    options: options.filter((word) => word && word !== 'ro' && word !== 'rw'),
  }
}

function tmpfsMounts(tmpfs: RunInput['tmpfs']): Mount[] {
  if (!tmpfs) return []
  const listed = isListed(tmpfs)
  const pairs: [string, string | null][] = listed ? texts('tmpfs', tmpfs).map((target) => [target, '']) : Object.entries(tmpfs)
  return pairs.map(([target, options]) => ({ kind: 'tmpfs', target, options: (options ?? '').split(',').filter(Boolean) }))
}

/** A list, or one text in place of it. */
function isListed<T>(value: T | readonly string[] | string): value is readonly string[] | string {
  return typeof value === 'string' || Array.isArray(value)
}

function texts(name: string, listed: readonly string[] | string): readonly string[] {
  const all = typeof listed === 'string' ? [listed] : listed
  const other = all.find((text) => typeof text !== 'string')
  if (other !== undefined) throw invalid(name, `${JSON.stringify(other)} is no text`)
  return all
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

/** Logs as asynchronous iterables. */

import { Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import type * as native from '../native.cjs'
import { brief, type Abortable } from './call.js'
import { only, toFields } from './convert.js'
import { mapped, Pulled } from './pulled.js'
import type { LogEntry, Stream } from './types.js'

/** Which part of a log to read. */
export interface LogInput extends Abortable {
  /** Go on until the container ends. */
  follow?: boolean | undefined
  /** With standard output; so by default. */
  stdout?: boolean | undefined
  /** With standard error; so by default. */
  stderr?: boolean | undefined
  /** Only entries at or after this: a date, Unix seconds, RFC 3339, or `'10m'` back from now. */
  since?: Date | number | string | undefined
  /** Only entries before this. */
  until?: Date | number | string | undefined
  /** Only the last so many lines. */
  tail?: number | undefined
}

/** The same, entry by entry. */
export interface LogEntriesInput extends LogInput {
  /** Each entry is a whole line, which is waited for. */
  wholeLines?: boolean | undefined
}

const WORDS = ['follow', 'stdout', 'stderr', 'since', 'until', 'tail', 'signal']

/** The entries of a log, in order. */
export function entries(container: native.Container, options: LogEntriesInput): AsyncGenerator<LogEntry, void, void> {
  return opened(container, options, [...WORDS, 'wholeLines'])
}

/** The same, each of which is a line. */
export function lines(container: native.Container, options: LogInput): AsyncGenerator<LogEntry, void, void> {
  return opened(container, options, [...WORDS, 'text'], true)
}

function opened(
  container: native.Container,
  options: LogEntriesInput,
  words: readonly string[],
  wholeLines = options.wholeLines ?? false,
): AsyncGenerator<LogEntry, void, void> {
  const open = async () => {
    only('logs', options, words)
    return (await brief((done) => container.logs(fields({ ...options, wholeLines }), done))).log!
  }
  return new Pulled(open, batch, options)
}

function batch(reply: native.Reply): LogEntry[] {
  const heads = reply.value as { time: string; stream: Stream }[]
  return heads.map((head, index) => ({ ...head, data: reply.bytes![index]! }))
}

function fields({ signal: _, ...options }: LogEntriesInput): Record<string, unknown> {
  const { follow, stdout = true, stderr = true, since, until, wholeLines = false, ...rest } = options
  return toFields('LogOptions', 'logs', {
    ...rest,
    follow: follow ?? false,
    noStdout: !stdout,
    noStderr: !stderr,
    since: moment(since),
    until: moment(until),
    wholeLines,
  })
}

/** @internal A point in time as the library reads it. */
export function moment(when: Date | number | string | undefined): string | undefined {
  return when instanceof Date ? when.toISOString() : when?.toString()
}

/** @internal The lines of a log as they grow: a program may pause within one, or wait there for an answer. */
export function growing(log: AsyncGenerator<LogEntry, void, void>): AsyncGenerator<string, void, void> {
  const begun: Record<Stream, Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) }
  return mapped(log, ({ stream, data }) => {
    const line = Buffer.concat([begun[stream], data])
    // Of a line without end so much is kept for what comes behind it.
    begun[stream] = line.at(-1) === 10 ? Buffer.alloc(0) : line.subarray(-65536)
    return line.toString('utf8')
  })
}

/** The lines of a log, each with its end: an async iterable that is read once. */
export class Lines<T extends string | Buffer> implements AsyncIterable<T> {
  private constructor(
    private readonly log: AsyncGenerator<LogEntry, void, void>,
    private readonly convert: (entry: LogEntry) => T,
  ) {}

  static ofBytes(log: AsyncGenerator<LogEntry, void, void>): Lines<Buffer> {
    return new Lines(log, (entry) => entry.data as Buffer)
  }

  static ofText(log: AsyncGenerator<LogEntry, void, void>): Lines<string> {
    // A character that two entries share is kept for the second; the two streams don't share any.
    const decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') }
    return new Lines(log, (entry) => decoders[entry.stream].write(entry.data as Buffer))
  }

  [Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    return mapped(this.log, this.convert)
  }

  /** All that is left. */
  async read(): Promise<T> {
    const parts: T[] = []
    for await (const part of this) parts.push(part)
    const bytes = parts.some((part) => typeof part !== 'string')
    return (bytes ? Buffer.concat(parts as Buffer[]) : parts.join('')) as T
  }

  /** As a stream of Node's; destroying it ends the log at once. */
  toReadable(): Readable {
    return Readable.from(this)
  }
}

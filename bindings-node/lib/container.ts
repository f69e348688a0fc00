/** One container. */

import type { Readable } from 'node:stream'
import type * as native from '../native.cjs'
import { Attachment } from './attach.js'
import { brief, deadline, limitOf, long, WAIT, type Abortable } from './call.js'
import { fromFields, only, toFields } from './convert.js'
import { archiveOf, ContainerFile, feed, type ArchiveOutput, type CopyInput } from './copy.js'
import { SampanError } from './errors.js'
import { Exec } from './exec.js'
import { entries, growing, Lines, lines, type LogEntriesInput, type LogInput } from './logs.js'
import { execFields, inputBytes, STREAMS, streamFields, updateFields, type Environment, type Streams, type UpdateInput } from './options.js'
import { ExitError, outputOf, type BytesOutput, type Output } from './output.js'
import { oneOf, Pulled } from './pulled.js'
import type {
  ContainerInfo,
  ContainerStats,
  ExecOptions,
  ExitStatus,
  LogEntry,
  PathStat,
  ProcessInfo,
  RemoveOptions,
  StopOptions,
} from './types.js'

/** What `exec` takes: the words of `docker exec`, and a few that are only ours. An aborted command is killed. */
export interface ExecInput
  extends Pick<ExecOptions, 'workdir' | 'privileged' | 'tty' | 'rows' | 'columns' | 'timeout'>,
    Abortable {
  /** Environment on top of the container's: `{ KEY: 'value' }`, or `['KEY=value', 'OURS']` where a bare name takes our own value. */
  env?: Environment | undefined
  /** `user[:group]` by name or number; the container's by default. */
  user?: string | number | null | undefined
  /** For its standard input, which is then closed; empty by default. */
  input?: string | Uint8Array | undefined
  /** Reject with `ExitError` when the exit code is not 0. */
  check?: boolean | undefined
  /** Output as text; `false` for bytes. */
  text?: boolean | undefined
}

/** What `pathStat` and `getArchive` take. */
type Follow = Pick<CopyInput, 'followLink'> & Abortable

function followFields(options: Follow): Record<string, unknown> {
  only('copy', options, ['followLink', 'signal'])
  return toFields('CopyOptions', 'copy', { followLink: options.followLink })
}

/** What `execStart` takes. */
export interface ExecStartInput extends Omit<ExecOptions, 'command' | 'stdin' | 'env' | 'user'>, Abortable {
  /** Environment on top of the container's: `{ KEY: 'value' }`, or `['KEY=value', 'OURS']` where a bare name takes our own value. */
  env?: Environment | undefined
  /** `user[:group]` by name or number; the container's by default. */
  user?: string | number | null | undefined
}

/** A container of an engine's store; any process of the same user may hold one. */
export class Container {
  #native: native.Container
  #removed = false

  /** @internal */
  constructor(
    handle: native.Container,
    /** Its id. */
    readonly id: string,
  ) {
    this.#native = handle
  }

  /** The first twelve digits of its id. */
  get shortId(): string {
    return this.id.slice(0, 12)
  }

  /** All there is to know about it. */
  async inspect(): Promise<ContainerInfo> {
    return fromFields('ContainerInfo', (await brief((done) => this.#native.inspect(done))).value)
  }

  /** `created`, `running`, `paused`, `restarting`, `exited` or `dead`, now. */
  async status(): Promise<ContainerInfo['status']> {
    return (await this.inspect()).status
  }

  /** Starts it, and resolves once its process runs. */
  async start(options: Streams & Abortable = {}): Promise<void> {
    only('start', options, [...STREAMS, 'signal'])
    await long((cancel, done) => this.#native.start(streamFields(options), cancel, done), options)
  }

  /** Sends its stop signal, then SIGKILL after the timeout; resolves once it has ended. */
  async stop({ abort, ...options }: StopOptions & { abort?: AbortSignal } = {}): Promise<void> {
    const fields = toFields('StopOptions', 'stop', options, ['abort'])
    await long((cancel, done) => this.#native.stop(fields, cancel, done), { signal: abort })
  }

  /** Stops it when it runs, and starts it again. */
  async restart({ abort, ...options }: StopOptions & { abort?: AbortSignal } = {}): Promise<void> {
    const fields = toFields('StopOptions', 'restart', options, ['abort'])
    await long((cancel, done) => this.#native.restart(fields, cancel, done), { signal: abort })
  }

  /** Sends a signal to its process: `'SIGHUP'`, `'HUP'` or `1`. */
  async kill(signal: string | number = 'SIGKILL'): Promise<void> {
    await brief((done) => this.#native.kill(String(signal), done))
  }

  /**
   * Waits until it has ended, at most `timeout` seconds. With a restart policy: until its next end, whether or not
   * another start follows.
   */
  async wait(options: { timeout?: number } & Abortable = {}): Promise<ExitStatus> {
    only('wait', options, WAIT)
    const start = (cancel: native.Cancel, done: native.Callback) =>
      this.#native.wait(limitOf(options.timeout) ?? null, cancel, done)
    return fromFields('ExitStatus', (await long(start, options)).value)
  }

  /**
   * Waits until its health check finds it healthy, at most `timeout` seconds. Rejects with code `conflict` when it is
   * unhealthy or has ended, `invalid_argument` when it has no check.
   */
  async waitHealthy(options: { timeout?: number } & Abortable = {}): Promise<void> {
    only('wait', options, WAIT)
    const start = (cancel: native.Cancel, done: native.Callback) =>
      this.#native.waitHealthy(limitOf(options.timeout) ?? null, cancel, done)
    await long(start, options)
  }

  /** Its log, line by line, each once it is whole: `for await (const line of c.logs({ follow: true }))`. */
  logs(options?: LogInput & { text?: true }): Lines<string>
  logs(options: LogInput & { text: false }): Lines<Buffer>
  logs({ text, ...options }: LogInput & { text?: boolean } = {}): Lines<string> | Lines<Buffer> {
    const log = lines(this.#native, options)
    return text === false ? Lines.ofBytes(log) : Lines.ofText(log)
  }

  /**
   * Its log as entries: time, stream and bytes. A line that was written with a pause has several, each as soon as it is
   * there, or one with `wholeLines`.
   */
  logEntries(options: LogEntriesInput = {}): AsyncGenerator<LogEntry, void, void> {
    return entries(this.#native, options)
  }

  /**
   * Waits until a line of its log contains or matches `log`, at most `timeout` seconds; resolves with the line, or as much of
   * it as was there by then.
   */
  async waitReady(options: { log: string | RegExp; timeout?: number } & Abortable): Promise<string> {
    only('wait', options, ['log', ...WAIT])
    const { log, timeout = 60, signal } = options
    const limit = deadline(signal, timeout)
    try {
      for await (const line of growing(this.logEntries({ follow: true, signal: limit.signal }))) {
        // A search begins anew, where a test of a pattern with /g goes on.
        if (typeof log === 'string' ? line.includes(log) : line.search(log) >= 0) return line
      }
    } catch (error) {
      throw limit.late() ? this.#notReady('timeout', `no line with ${String(log)} in ${timeout} s`) : error
    } finally {
      limit.done()
    }
    throw this.#notReady('conflict', `it ended before a line with ${String(log)}`)
  }

  #notReady(code: string, because: string): SampanError {
    const operation = 'wait for container'
    return new SampanError(`${operation} ${this.shortId}: ${because}`, { code, operation, subject: this.shortId })
  }

  /** Runs a command in it to the command's end, and resolves with what it wrote and how it ended. */
  exec(command: readonly string[], options: ExecInput & { text: false }): Promise<BytesOutput>
  exec(command: readonly string[], options?: ExecInput): Promise<Output>
  async exec(command: readonly string[], options: ExecInput = {}): Promise<Output | BytesOutput> {
    const { input, check, text, signal, ...rest } = options
    const fields = execFields(command, rest, ['input', 'check', 'text', 'signal'])
    const bytes = inputBytes(input)
    const start = (cancel: native.Cancel, done: native.Callback) => this.#native.exec(fields, bytes, cancel, done)
    const output = outputOf(await long(start, { signal }), text)
    if (check && output.exitCode !== 0) throw new ExitError(output)
    return output
  }

  /** Starts a command in it, and resolves while it runs, with its streams. */
  async execStart(command: readonly string[], options: ExecStartInput = {}): Promise<Exec> {
    const { signal, ...rest } = options
    const fields = execFields(command, rest, ['signal'])
    const { exec } = await long((cancel, done) => this.#native.execStart(fields, cancel, done), { signal })
    return new Exec(exec!, rest.tty ?? false)
  }

  /** Joins its streams as they are from now on, its input among them when `interactive`. */
  async attach(options: { interactive?: boolean } & Abortable = {}): Promise<Attachment> {
    only('attach', options, ['interactive', 'signal'])
    const { interactive = false, signal } = options
    const join = (cancel: native.Cancel, done: native.Callback) => this.#native.attach(interactive, cancel, done)
    return new Attachment((await long(join, { signal })).attachment!)
  }

  /** Freezes its processes; resolves once all stand still. */
  async pause(options: Abortable = {}): Promise<void> {
    only('pause', options, ['signal'])
    await long((cancel, done) => this.#native.pause(cancel, done), options)
  }

  /** Lets its frozen processes go on. */
  async unpause(): Promise<void> {
    await brief((done) => this.#native.unpause(done))
  }

  /** Its processes, as this host sees them. */
  async top(): Promise<ProcessInfo[]> {
    return fromFields('ProcessInfo', (await brief((done) => this.#native.top(done))).value)
  }

  /** What it uses now. A share of the processors follows from two of these. */
  async stats(): Promise<ContainerStats> {
    return fromFields('ContainerStats', (await brief((done) => this.#native.stats(done))).value)
  }

  /** What it uses now, and then again every `interval` seconds until it has ended. */
  statsStream(options: { interval?: number } & Abortable = {}): AsyncGenerator<ContainerStats, void, void> {
    const open = async () => {
      only('stats', options, ['interval', 'signal'])
      return (await brief((done) => this.#native.statsStream(options.interval ?? 1, done))).stats!
    }
    return new Pulled(open, (reply) => oneOf<ContainerStats>('ContainerStats', reply), options)
  }

  /** Changes its limits and its restart policy, now and for later starts; what is not named stays. */
  async update(options: UpdateInput): Promise<void> {
    await brief((done) => this.#native.update(updateFields(options), done))
  }

  /**
   * Copies what is at `path` in it to `dest` here, by the rules of `docker cp`; it need not run.
   *
   * Devices and sockets are left out, and set-id bits but with `archive`.
   */
  async copyFrom(path: string, dest: string, { signal, ...rest }: CopyInput = {}): Promise<void> {
    const options = toFields('CopyOptions', 'copy', rest, ['signal'])
    await long((cancel, done) => this.#native.copyFrom(path, dest, options, cancel, done), { signal })
  }

  /** Copies what is at `src` here to `path` in it, by the rules of `docker cp`; it need not run. */
  async copyTo(src: string, path: string, { signal, ...rest }: CopyInput = {}): Promise<void> {
    const options = toFields('CopyOptions', 'copy', rest, ['signal'])
    await long((cancel, done) => this.#native.copyTo(src, path, options, cancel, done), { signal })
  }

  /** What is at `path` in it. */
  async pathStat(path: string, options: Follow = {}): Promise<PathStat> {
    const fields = followFields(options)
    const look = (cancel: native.Cancel, done: native.Callback) => this.#native.pathStat(path, fields, cancel, done)
    return fromFields('PathStat', (await long(look, options)).value)
  }

  /** A tar archive of what is at `path` in it, as it comes, and what that is. */
  async getArchive(path: string, options: Follow = {}): Promise<ArchiveOutput> {
    const stat = await this.pathStat(path, options)
    const fields = followFields(options)
    return { stream: archiveOf((cancel, done) => this.#native.getArchive(path, fields, cancel, done), options), stat }
  }

  /**
   * Unpacks a tar archive, plain or compressed by gzip or zstd, into the directory at `path` in it.
   *
   * Files get the owners that the archive says; devices are left out.
   */
  async putArchive(
    path: string,
    data: Uint8Array | Readable | AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options: Abortable = {},
  ): Promise<void> {
    only('copy', options, ['signal'])
    await feed((cancel, done) => this.#native.putArchive(path, cancel, done), data, options)
  }

  /** Opens a regular file in it, with flags as of `fs.open`: `'r'`, `'r+'`, `'w'`, `'a'`, `'wx'`, …. It need not run. */
  async open(path: string, flags = 'r', options: Abortable = {}): Promise<ContainerFile> {
    only('open', options, ['signal'])
    const reply = await long((cancel, done) => this.#native.open(path, flags, cancel, done), options)
    return new ContainerFile(reply.value as number)
  }

  /** Gives it another name. */
  async rename(name: string): Promise<void> {
    await brief((done) => this.#native.rename(name, done))
  }

  /** Sets the size of its terminal. */
  async resize(rows: number, columns: number): Promise<void> {
    await brief((done) => this.#native.resize(rows, columns, done))
  }

  /** Removes it with all that it wrote. */
  async remove(options: RemoveOptions = {}): Promise<void> {
    await brief((done) => this.#native.remove(toFields('RemoveOptions', 'remove', options), done))
    this.#removed = true
  }

  /** Removes it, running or not, with its anonymous volumes. A second call does nothing. */
  async close(): Promise<void> {
    if (this.#removed) return
    try {
      await this.remove({ force: true, volumes: true })
    } catch (error) {
      if (!(error instanceof SampanError && error.code === 'not_found')) throw error
    }
    this.#removed = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

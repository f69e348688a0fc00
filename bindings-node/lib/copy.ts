/** Files into a container and out of it. */

import { close, createReadStream, createWriteStream, fstat, readFile, writeFile, type ReadStream, type Stats, type WriteStream } from 'node:fs'
import { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import type * as native from '../native.cjs'
import { following, long, type Abortable } from './call.js'
import type { CopyOptions, PathStat } from './types.js'

/** What `copyFrom` and `copyTo` take. */
export interface CopyInput extends Abortable {
  /** Files keep their owners; else they are root's in the container, and this user's here. */
  archive?: CopyOptions['archive'] | undefined
  /** Copy what a link leads to when the source is a link. */
  followLink?: CopyOptions['followLink'] | undefined
}

/** A tar archive that comes from a container. */
export interface ArchiveOutput {
  /** The archive as it comes; destroying it ends the copy. */
  stream: Readable
  /** What it is of. */
  stat: PathStat
}

/** A regular file in a container, opened by `Container.open`; it stays open whatever becomes of the container. */
export class ContainerFile {
  #closed = false

  /** @internal */
  constructor(
    /** Its descriptor. */
    readonly fd: number,
  ) {}

  /** All that follows from where it stands, as bytes. */
  read(): Promise<Buffer> {
    return promisify(readFile)(this.fd)
  }

  /** Writes text or bytes where it stands. */
  async write(data: string | Uint8Array): Promise<void> {
    await promisify(writeFile)(this.fd, data)
  }

  /** What it is. */
  stat(): Promise<Stats> {
    return promisify(fstat)(this.fd)
  }

  /** A stream of what is in it; the file stays open after its end. */
  createReadStream(options: { start?: number; end?: number } = {}): ReadStream {
    return createReadStream('', { ...options, fd: this.fd, autoClose: false })
  }

  /** A stream that is written to it; the file stays open after its end. */
  createWriteStream(options: { start?: number } = {}): WriteStream {
    return createWriteStream('', { ...options, fd: this.fd, autoClose: false })
  }

  /** Closes it. A second call does nothing. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await promisify(close)(this.fd)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** @internal The archive that a call writes, as a stream that fails as the call does. */
export function archiveOf(
  start: (cancel: native.Cancel, done: native.Callback) => number,
  options: Abortable,
): Readable {
  const { controller, leave } = following(options.signal)
  let fd = -1
  const written = long((cancel, done) => void (fd = start(cancel, done)), { signal: controller.signal })
  // It may fail before anybody reads, or with nobody who ever does.
  written.then(leave, leave)
  if (fd < 0) return Readable.from(failing(written))
  const pipe = new Socket({ fd, readable: true, writable: false })
  const stream = Readable.from(chunks(pipe, written), { objectMode: false })
  stream.once('close', () => {
    controller.abort()
    pipe.destroy()
  })
  return stream
}

async function* failing(written: Promise<unknown>): AsyncGenerator<Buffer, void, void> {
  await written
}

async function* chunks(pipe: Socket, written: Promise<unknown>): AsyncGenerator<Buffer, void, void> {
  for await (const chunk of pipe) yield chunk as Buffer
  // The end of the pipe comes with a failure too.
  await written
}

/** @internal Gives a call what it reads. */
export async function feed(
  start: (cancel: native.Cancel, done: native.Callback) => number,
  data: Uint8Array | Readable | AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: Abortable,
): Promise<void> {
  let fd = -1
  const taken = long((cancel, done) => void (fd = start(cancel, done)), options)
  if (fd < 0) return void (await taken)
  const source = data instanceof Uint8Array ? Readable.from([data]) : data
  const pipe = new Socket({ fd, readable: false, writable: true })
  const fed = pipeline(source, pipe)
  // Whoever takes it may stop early, at an error of its own or at the archive's end.
  const failed = fed.then(
    () => null,
    (error: NodeJS.ErrnoException) => (error.code === 'EPIPE' || error.code === 'ERR_STREAM_PREMATURE_CLOSE' ? null : error),
  )
  try {
    await taken
  } catch (error) {
    // A source that waits for what it is given hears of it with the next of it.
    pipe.destroy()
    throw (await soon(failed)) ?? error
  }
  // One may stay open behind the archive's end.
  const error = await soon(failed)
  pipe.destroy()
  if (error) throw error
}

/** What comes within half a second, else nothing: a source that failed has said so by then. */
function soon<T>(coming: Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout
  const late = new Promise<null>((resolve) => (timer = setTimeout(resolve, 500, null)))
  return Promise.race([coming, late]).finally(() => clearTimeout(timer))
}

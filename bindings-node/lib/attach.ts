/** A running container's streams, joined. */

import { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import type * as native from '../native.cjs'
import { brief, ending, type Abortable } from './call.js'
import type { ExitStatus } from './types.js'

/**
 * The streams of a running container from some moment on, joined by `Container.attach`.
 *
 * The container waits for one that reads slowly; one that reads nothing for a second is let go, and `wait` tells.
 */
export class Attachment {
  #native: native.Attachment
  /** Where the container's input is written to, when it was joined; its end is no end of the input. */
  readonly stdin: Writable | null
  /** Where its output is read from. */
  readonly stdout: Readable | null
  /** Where its errors are read from; with a terminal, they come with the output. */
  readonly stderr: Readable | null

  /** @internal */
  constructor(handle: native.Attachment) {
    this.#native = handle
    const [stdin, stdout, stderr] = handle.take() as [number, number, number]
    this.stdin = stdin < 0 ? null : new Socket({ fd: stdin, readable: false, writable: true })
    this.stdout = stdout < 0 ? null : new Socket({ fd: stdout, readable: true, writable: false })
    this.stderr = stderr < 0 ? null : new Socket({ fd: stderr, readable: true, writable: false })
    // Whoever has a stream alone is joined all the same: each holds the handle, whose end ends the joining.
    for (const stream of [this.stdin, this.stdout, this.stderr]) stream?.once('close', () => void handle)
  }

  /** Waits until the container has ended and all its output lies in the streams, at most `timeout` seconds. */
  wait(options: { timeout?: number } & Abortable = {}): Promise<ExitStatus> {
    return ending('container', (cancel, done) => this.#native.wait(cancel, done), options)
  }

  /** Sets the size of the container's terminal. */
  async resize(rows: number, columns: number): Promise<void> {
    await brief((done) => this.#native.resize(rows, columns, done))
  }

  /** Leaves: closes the streams. The container goes on. */
  close(): void {
    for (const stream of [this.stdin, this.stdout, this.stderr]) stream?.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }
}

/** What is typed at a terminal. */

import { close, write } from 'node:fs'
import { Writable } from 'node:stream'

type Done = (error?: Error | null) => void

const SHORTEST = 1
const LONGEST = 32

/**
 * The master of a terminal, which doesn't block, as a stream. libuv's writes to one wait in the thread of the loop, which
 * then can't read the output that the command must get rid of before it takes more.
 *
 * The end of a terminal's input is a key that is typed, not an end of the stream.
 */
export class TerminalInput extends Writable {
  readonly #fd: number
  /** A write is on its way in a thread; its descriptor stays open until it has come back. */
  #writing = false
  #retry: NodeJS.Timeout | undefined
  /** Told once the descriptor may be closed. */
  #closing: (() => void) | undefined

  constructor(fd: number) {
    super({ decodeStrings: true })
    this.#fd = fd
    // After the end of the command nobody takes it any more.
    this.on('error', () => {})
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#send(chunk, SHORTEST, done)
  }

  #send(chunk: Buffer, pause: number, done: Done): void {
    this.#writing = true
    write(this.#fd, chunk, (error, written) => {
      this.#writing = false
      if (this.#closing) return this.#closing()
      if (error && error.code !== 'EAGAIN') return done(error)
      const left = error ? chunk : chunk.subarray(written)
      if (left.length === 0) return done()
      // A terminal can't be polled here: it is full until the command reads.
      const next = error || written === 0 ? Math.min(pause * 2, LONGEST) : SHORTEST
      this.#retry = setTimeout(() => this.#send(left, next, done), pause)
    })
  }

  override _destroy(error: Error | null, done: Done): void {
    clearTimeout(this.#retry)
    this.#closing = () => close(this.#fd, (failed) => done(error ?? failed))
    if (!this.#writing) this.#closing()
  }
}

/** A command in a container, while it runs. */

import { Socket } from 'node:net'
import { PassThrough, type Readable, type Writable } from 'node:stream'
import { ReadStream } from 'node:tty'
import type * as native from '../native.cjs'
import { brief, ending, type Abortable } from './call.js'
import { SampanError } from './errors.js'
import { TerminalInput } from './terminal.js'
import type { ExitStatus } from './types.js'

/** A command in a running container, started by `Container.execStart`; `await using` kills it if it still runs. */
export class Exec {
  #native: native.Exec
  /** Its process id in the host's namespace. */
  readonly pid: number
  /** Where its input is written to, when it is `interactive`; its end is the end of the input. */
  readonly stdin: Writable | null
  /** Where its output is read from; once it is destroyed, output is thrown away. */
  readonly stdout: Readable | null
  /** Where its errors are read from; with a terminal, they come with the output. */
  readonly stderr: Readable | null

  /** @internal */
  constructor(handle: native.Exec, tty: boolean) {
    this.#native = handle
    this.pid = handle.pid()
    const [stdin, stdout, stderr] = handle.take() as [number, number, number]
    this.stdin = stdin < 0 ? null : tty ? new TerminalInput(stdin) : new Socket({ fd: stdin, readable: false, writable: true })
    this.stdout = stdout < 0 ? null : tty ? masterOutput(stdout) : pipeOutput(stdout)
    this.stderr = stderr < 0 ? null : pipeOutput(stderr)
    // They hold the handle for as long as they are open: when nobody has it, output is thrown away.
    this.stdout?.once('close', () => discard(handle, true, false))
    this.stderr?.once('close', () => discard(handle, false, true))
  }

  /** Waits until it has ended, at most `timeout` seconds. */
  wait(options: { timeout?: number } & Abortable = {}): Promise<ExitStatus> {
    return ending('command', (cancel, done) => this.#native.wait(cancel, done), options)
  }

  /** Sends it a signal: `'SIGHUP'`, `'HUP'` or `1`. One that has ended gets none. */
  async kill(signal: string | number = 'SIGKILL'): Promise<void> {
    await brief((done) => this.#native.kill(String(signal), done))
  }

  /** Sets the size of its terminal. */
  async resize(rows: number, columns: number): Promise<void> {
    await brief((done) => this.#native.resize(rows, columns, done))
  }

  /** Closes its streams. The command goes on, and what it still writes goes nowhere. */
  close(): void {
    for (const stream of [this.stdin, this.stdout, this.stderr]) stream?.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What it has not read of its input is nobody's any more.
    this.stdin?.on('error', () => {})
    try {
      await this.kill()
    } finally {
      this.close()
    }
    await this.wait().catch((error: unknown) => {
      if (!(error instanceof SampanError && error.code === 'timeout')) throw error
    })
  }
}

function pipeOutput(fd: number): Readable {
  return new Socket({ fd, readable: true, writable: false })
}

/** A terminal whose other end is closed says EIO where a pipe is at its end. */
function masterOutput(fd: number): Readable {
  const master = new ReadStream(fd)
  const output = new PassThrough()
  master.on('error', (error: NodeJS.ErrnoException) => (error.code === 'EIO' ? output.end() : output.destroy(error)))
  output.on('close', () => master.destroy())
  return master.pipe(output)
}

function discard(handle: native.Exec, stdout: boolean, stderr: boolean): void {
  try {
    handle.discard(stdout, stderr)
  } catch {
    // A listener has nobody to tell, and a shim that can't be spoken to can't be waited for either.
  }
}

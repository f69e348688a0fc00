/** What a container that was run to its end has left. */

import type * as native from '../native.cjs'
import { fromFields } from './convert.js'
import { SampanError } from './errors.js'
import type { ExitStatus } from './types.js'

class AnyOutput {
  constructor(
    /** The container's id. */
    readonly id: string,
    /** How it ended. */
    readonly exit: ExitStatus,
    /** All of its standard output. */
    readonly stdoutBytes: Buffer,
    /** All of its standard error. */
    readonly stderrBytes: Buffer,
  ) {}

  /** The exit code; 128+n when signal n ended the command. */
  get exitCode(): number {
    return this.exit.code
  }
}

/** What it wrote, as text, and how it ended. */
export class Output extends AnyOutput {
  /** All of its standard output, read as UTF-8. */
  get stdout(): string {
    return this.stdoutBytes.toString('utf8')
  }

  /** All of its standard error, read as UTF-8. */
  get stderr(): string {
    return this.stderrBytes.toString('utf8')
  }

  override toString(): string {
    return this.stdout
  }
}

/** The same as bytes, of `text: false`. */
export class BytesOutput extends AnyOutput {
  /** All of its standard output. */
  get stdout(): Buffer {
    return this.stdoutBytes
  }

  /** All of its standard error. */
  get stderr(): Buffer {
    return this.stderrBytes
  }
}

/** A command ended with another exit code than 0, and `check: true` was asked for. */
export class ExitError extends SampanError {
  constructor(
    /** What it wrote and how it ended. */
    readonly output: Output | BytesOutput,
  ) {
    const subject = output.id.slice(0, 12)
    const { oomKilled, error } = output.exit
    const said = (oomKilled && error) || output.stderrBytes.toString('utf8').trim().split('\n').at(-1)
    const text = `run container ${subject}: the command exited with ${output.exitCode}${said ? `: ${said}` : ''}`
    super(text, { code: 'exit', operation: 'run container', subject, exitCode: output.exitCode })
    this.name = 'ExitError'
  }
}

/** @internal From a reply with an id, an exit and two streams. */
export function outputOf(reply: native.Reply, text: boolean | undefined): Output | BytesOutput {
  const { id, exit } = fromFields<{ id: string; exit: ExitStatus }>('Output', reply.value)
  const [stdout, stderr] = reply.bytes as [Buffer, Buffer]
  return text === false ? new BytesOutput(id, exit, stdout, stderr) : new Output(id, exit, stdout, stderr)
}

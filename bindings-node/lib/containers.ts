/** Containers: `engine.containers`. */

import type * as native from '../native.cjs'
import { brief, deadline, long } from './call.js'
import { Container } from './container.js'
import { fromFields, toFields } from './convert.js'
import { invalid, SampanError } from './errors.js'
import type { Image } from './images.js'
import { inputBytes, runFields, STREAMS, streamFields, words, type RunInput, type Streams } from './options.js'
import { ExitError, outputOf, type BytesOutput, type Output } from './output.js'
import type { ContainerInfo, ListOptions } from './types.js'

/** What `run` takes beside the words of `docker run`. */
export interface RunToEnd extends RunInput {
  /** For its standard input. */
  input?: string | Uint8Array | undefined
  /** Reject with `ExitError` when the exit code is not 0. */
  check?: boolean | undefined
  /** Seconds; then it is killed and removed, and the call rejects with code `timeout`. */
  timeout?: number | undefined
  /** Output as text; `false` for bytes. */
  text?: boolean | undefined
}

type Command = readonly string[]
/** An image by reference or id, or itself. */
export type ImageName = string | Image

/** @internal */
export function nameOf(image: ImageName): string {
  const name = typeof image === 'string' ? image : image?.id
  if (typeof name === 'string') return name
  throw invalid('image', `${String(image)} is none`, 'give its reference or id, or an Image')
}

/** `(image, command, options)` and `(image, options)` are both good. */
export function gather<T extends { command?: readonly string[] | undefined }>(command: Command | T | undefined, options: T | undefined): T {
  if (typeof command === 'string') words(command)
  if (Array.isArray(command)) return { ...(options ?? ({} as T)), command }
  return { ...((command as T | undefined) ?? ({} as T)), ...options }
}

/** The containers of an engine. */
export class Containers {
  /** @internal */
  constructor(private readonly engine: () => native.Engine) {}

  /** Runs a container to its end, removes it, and resolves with what it wrote and how it ended. */
  run(image: ImageName, options: RunToEnd & { text: false }): Promise<BytesOutput>
  run(image: ImageName, command: Command, options: RunToEnd & { text: false }): Promise<BytesOutput>
  run(image: ImageName, command?: Command | RunToEnd, options?: RunToEnd): Promise<Output>
  async run(image: ImageName, command?: Command | RunToEnd, more?: RunToEnd): Promise<Output | BytesOutput> {
    const { input, check, timeout, text, ...options } = gather(command, more)
    const fields = runFields(nameOf(image), options, ['input', 'check', 'timeout', 'text'])
    const limit = deadline(options.signal, timeout)
    const bytes = inputBytes(input)
    try {
      const start = (cancel: native.Cancel, done: native.Callback) => this.engine().run(fields, bytes, cancel, done)
      const output = outputOf(await long(start, { ...options, signal: limit.signal }), text)
      if (check && output.exitCode !== 0) throw new ExitError(output)
      return output
    } catch (error) {
      throw limit.late() && isCancelled(error) ? late(nameOf(image), timeout!) : error
    } finally {
      limit.done()
    }
  }

  /** Creates and starts a container and resolves while it runs. */
  async spawn(image: ImageName, command?: Command | (RunInput & Streams), more?: RunInput & Streams): Promise<Container> {
    const { stdin, stdout, stderr, ...options } = gather(command, more)
    const [fields, streams] = [runFields(nameOf(image), options, STREAMS), streamFields({ stdin, stdout, stderr })]
    const start = (cancel: native.Cancel, done: native.Callback) => this.engine().spawn(fields, streams, cancel, done)
    return handle(await long(start, options))
  }

  /** Creates a container without starting it. */
  async create(image: ImageName, command?: Command | RunInput, more?: RunInput): Promise<Container> {
    const options = gather(command, more)
    const fields = runFields(nameOf(image), options)
    return handle(await long((cancel, done) => this.engine().create(fields, cancel, done), options))
  }

  /** The containers in the store, newest first; the running ones unless `all`. */
  async list(options: ListOptions = {}): Promise<Container[]> {
    const { value } = await brief((done) => this.engine().containers(toFields('ListOptions', 'list', options), done))
    const found = await Promise.all(fromFields<ContainerInfo[]>('ContainerInfo', value).map((info) => this.stillThere(info.id)))
    return found.filter((container) => container !== undefined)
  }

  // Another process may remove one between the listing and this.
  private async stillThere(id: string): Promise<Container | undefined> {
    return this.get(id).catch((error: unknown) => {
      if (error instanceof SampanError && error.code === 'not_found') return undefined
      throw error
    })
  }

  /** A container by name, id or unique prefix of an id. */
  async get(container: string): Promise<Container> {
    return handle(await brief((done) => this.engine().container(container, done)))
  }
}

function handle(reply: native.Reply): Container {
  return new Container(reply.container!, reply.value as string)
}

const isCancelled = (error: unknown) => error instanceof SampanError && error.code === 'cancelled'

function late(image: string, seconds: number): SampanError {
  const fields = { code: 'timeout', operation: 'run', subject: image, retryable: true }
  return new SampanError(`run ${image}: it took longer than ${seconds} s`, fields)
}

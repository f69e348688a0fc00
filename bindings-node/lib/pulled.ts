/** Native streams as asynchronous iterators that end as soon as they are left. */

import type * as native from '../native.cjs'
import { following, long, type Abortable } from './call.js'
import { fromFields } from './convert.js'
import { SampanError } from './errors.js'
import type { RecordName } from './shapes.js'

/** @internal What is read step by step. */
export interface Source {
  next(cancel: native.Cancel, callback: native.Callback): void
  /** Lets go of what it has open. */
  close?(): void
}

/** @internal An iterator with all that one of a generator function has. */
export type Items<T> = AsyncGenerator<T, void, void>

type Step<T> = IteratorResult<T, void>

const DONE = { done: true, value: undefined } as const

/**
 * @internal The items of a native stream, which the first step opens; a reply without an item is its end.
 *
 * A generator function won't do: its `return` waits for the step before it, and that of a quiet stream may never come.
 * Here it cancels that step, which then tells the end.
 */
export class Pulled<T> implements Items<T> {
  readonly [Symbol.toStringTag] = 'AsyncGenerator'
  #source: Source | undefined
  #ready: T[] = []
  #last: Promise<unknown> = Promise.resolve()
  #step: AbortController | undefined
  #ended = false

  constructor(
    private readonly open: () => Promise<Source>,
    private readonly items: (reply: native.Reply) => T[],
    private readonly options: Abortable,
  ) {}

  /** One step after another, whoever asks: the stream has one reader. */
  next(): Promise<Step<T>> {
    const step = this.#last.then(() => this.#take())
    this.#last = step.catch(() => {})
    return step
  }

  async return(): Promise<Step<T>> {
    this.#ended = true
    this.#step?.abort()
    await this.#last
    this.#end()
    return DONE
  }

  async throw(error: unknown): Promise<Step<T>> {
    await this.return()
    throw error
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  async #take(): Promise<Step<T>> {
    if (!this.#ended && this.#ready.length === 0) await this.#fill()
    if (!this.#ended && this.#ready.length > 0) return { done: false, value: this.#ready.shift()! }
    this.#end()
    return DONE
  }

  async #fill(): Promise<void> {
    const { controller, leave } = following(this.options.signal)
    this.#step = controller
    try {
      const source = (this.#source ??= await this.open())
      if (this.#ended) return
      this.#ready = this.items(await long((cancel, done) => source.next(cancel, done), { signal: controller.signal }))
    } catch (error) {
      const left = this.#ended && error instanceof SampanError && error.code === 'cancelled'
      this.#end()
      if (!left) throw error
    } finally {
      leave()
    }
  }

  #end(): void {
    this.#ended = true
    this.#ready = []
    this.#source?.close?.()
    this.#source = undefined
  }
}

/** @internal The same items converted; left as the ones they come from are. */
export function mapped<A, B>(from: Items<A>, convert: (item: A) => B): Items<B> {
  const step = async (taken: Promise<Step<A>>): Promise<Step<B>> => {
    const { done, value } = await taken
    return done ? DONE : { done: false, value: convert(value) }
  }
  return {
    next: () => step(from.next()),
    return: () => step(from.return()),
    throw: (error) => step(from.throw(error)),
    [Symbol.asyncIterator]() {
      return this
    },
    [Symbol.asyncDispose]: () => from[Symbol.asyncDispose](),
  } as Items<B>
}

/** @internal The record of a reply that has one or, at the end of its stream, none. */
export function oneOf<T>(record: RecordName, { value }: native.Reply): T[] {
  return value === null || value === undefined ? [] : [fromFields<T>(record, value)]
}

/** Native calls as promises. */

import native = require('../native.cjs')
import { fromFields, only } from './convert.js'
import { invalid, SampanError } from './errors.js'
import type { Event, ExitStatus } from './types.js'

/** What every call that may take long accepts. */
export interface Abortable {
  /** Ends the call; it then rejects with an error of code `cancelled`, named `AbortError`. */
  signal?: AbortSignal | undefined
}

/** What every call that may pull accepts. */
export interface Watched extends Abortable {
  /** Hears of a pull's progress. */
  onProgress?: ((event: Event) => void) | undefined
}

type Start = (callback: native.Callback) => void

/** @internal The words of a call that only waits. */
export const WAIT = ['timeout', 'signal'] as const

/** Starts a short call. */
export function brief(start: Start): Promise<native.Reply> {
  return settle(start, undefined, undefined)
}

/** Starts a call that may take long. */
export async function long(
  start: (cancel: native.Cancel, callback: native.Callback) => void,
  options: Watched | undefined,
): Promise<native.Reply> {
  const signal = options?.signal
  const cancel = new native.Cancel()
  if (signal?.aborted) throw aborted(signal)
  const abort = () => cancel.cancel()
  signal?.addEventListener('abort', abort, { once: true })
  let thrown: { error: unknown } | undefined
  const watch = guard(options?.onProgress, (error) => {
    thrown ??= { error }
    cancel.cancel()
  })
  try {
    return await settle((callback) => start(cancel, callback), watch, signal)
  } catch (error) {
    throw thrown ? thrown.error : error
  } finally {
    signal?.removeEventListener('abort', abort)
    // Were it collected earlier, the call would end with it.
    cancel.end()
  }
}

function settle(start: Start, watch: ((event: Event) => void) | undefined, signal: AbortSignal | undefined) {
  return new Promise<native.Reply>((resolve, reject) => {
    start((reply) => {
      if (reply.event !== undefined) watch?.(fromFields('Event', reply.event))
      else if (reply.error === undefined) resolve(reply)
      else reject(failure(reply.error, signal))
    })
  })
}

/** What a listener throws ends the call; it must not reach the native side. */
function guard(watch: Watched['onProgress'], caught: (error: unknown) => void) {
  if (!watch) return undefined
  return (event: Event) => {
    try {
      watch(event)
    } catch (error) {
      caught(error)
    }
  }
}

function failure(error: native.Failure, signal: AbortSignal | undefined): SampanError {
  const cause = error.code === 'cancelled' && signal?.aborted ? { cause: signal.reason } : undefined
  return new SampanError(error.message, error, cause)
}

function aborted(signal: AbortSignal): SampanError {
  return new SampanError('the call was cancelled before it began', { code: 'cancelled' }, { cause: signal.reason })
}

/** @internal A controller that fires with a signal too, and how to let go of that signal. */
export function following(signal: AbortSignal | undefined) {
  const controller = new AbortController()
  const follow = () => controller.abort(signal?.reason)
  if (signal?.aborted) follow()
  signal?.addEventListener('abort', follow, { once: true })
  return { controller, leave: () => signal?.removeEventListener('abort', follow) }
}

/** A timer takes no more milliseconds. */
const LONGEST = 2 ** 31 - 1

/** @internal Seconds of a time limit; none is as good as an endless one. */
export function limitOf(seconds: number | null | undefined): number | undefined {
  if (seconds === undefined || seconds === null || seconds === Infinity) return undefined
  if (typeof seconds === 'number' && seconds >= 0) return seconds
  throw invalid('timeout', `${String(seconds)} is no time`, 'give seconds as a number')
}

/** A signal that also fires after so many seconds, and how to let go of its timer. */
export function deadline(signal: AbortSignal | undefined, timeout: number | undefined) {
  const seconds = limitOf(timeout)
  if (seconds === undefined) return { signal, late: () => false, done: () => {} }
  const { controller, leave } = following(signal)
  let late = false
  const timer = setTimeout(() => {
    late = true
    controller.abort()
  }, Math.min(seconds * 1000, LONGEST))
  const done = () => {
    clearTimeout(timer)
    leave()
  }
  return { signal: controller.signal, late: () => late, done }
}

/** @internal Waits for the end of `what`, at most `timeout` seconds. */
export async function ending(
  what: string,
  start: (cancel: native.Cancel, callback: native.Callback) => void,
  options: { timeout?: number } & Abortable,
): Promise<ExitStatus> {
  only('wait', options, WAIT)
  const { timeout, signal } = options
  const limit = deadline(signal, timeout)
  try {
    return fromFields('ExitStatus', (await long(start, { signal: limit.signal })).value)
  } catch (error) {
    throw limit.late() ? new SampanError(`wait for ${what}: it still runs after ${timeout} s`, { code: 'timeout' }) : error
  } finally {
    limit.done()
  }
}

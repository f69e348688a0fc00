/** One error for everything; `code` tells the kinds apart. */

import type { Failure } from '../native.cjs'
import { errorCodes, type ErrorCode } from './types.js'

/** What every function of this package rejects with. */
export class SampanError extends Error {
  /** The stable word of its kind: `not_found`. */
  readonly code: ErrorCode | 'exit'
  /** The errno behind it. */
  readonly errno: number | null
  /** What failed: `pull layer`. */
  readonly operation: string
  /** The image, path or id that it failed on; may be empty. */
  readonly subject: string
  /** What can be done about it. */
  readonly hint: string | null
  /** What could not be cleaned up. */
  readonly leftovers: string[]
  /** True when the same call may succeed later without a change. */
  readonly retryable: boolean
  /** What `docker run` would exit with: 125, 126 or 127. */
  readonly exitCode: number

  constructor(message: string, fields: Partial<Failure> = {}, options?: ErrorOptions) {
    super(message, options)
    this.code = (fields.code ?? 'unknown') as ErrorCode | 'exit'
    // As with every abortable function of Node.
    this.name = this.code === 'cancelled' ? 'AbortError' : 'SampanError'
    this.errno = fields.errno ?? null
    this.operation = fields.operation ?? ''
    this.subject = fields.subject ?? ''
    this.hint = fields.hint ?? null
    this.leftovers = fields.leftovers ?? []
    this.retryable = fields.retryable ?? false
    this.exitCode = fields.exitCode ?? 125
  }
}

/** The error for an argument that makes no sense. */
export function invalid(subject: string, message: string, hint?: string): SampanError {
  const text = `read option ${subject}: ${message}${hint ? `; ${hint}` : ''}`
  return new SampanError(text, { code: 'invalid_argument', operation: 'read option', subject, hint: hint ?? null })
}

export { errorCodes }

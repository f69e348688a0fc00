/** What happens in a store as an asynchronous iterable. */

import native = require('../native.cjs')
import { brief, long, type Abortable } from './call.js'
import { fromFields, toFields } from './convert.js'
import { moment } from './logs.js'
import type { EngineEvent } from './types.js'

/** Which events to read. */
export interface EventInput extends Abortable {
  /** Also those that are kept, from this time on: a date, Unix seconds, RFC 3339, or `'10m'` back from now. */
  since?: Date | number | string | undefined
  /** The end: those before this time. */
  until?: Date | number | string | undefined
  /** `'event=die'`, `'type=container'`, `'container=web'`, `'image=alpine'`, `'volume=data'`, `'label=KEY=VALUE'`. */
  filters?: readonly string[] | undefined
}

/** @internal The events of an engine, from this call on, however late the first of them is asked for. */
export function eventsOf(engine: native.Engine, options: EventInput): AsyncGenerator<EngineEvent, void, void> {
  return read(engine, { ...options, since: options.since ?? native.now() })
}

async function* read(engine: native.Engine, options: EventInput): AsyncGenerator<EngineEvent, void, void> {
  const { since, until, filters } = options
  const fields = toFields('EventOptions', { since: moment(since), until: moment(until), filters })
  const { events } = await brief((done) => engine.events(fields, done))
  try {
    for (;;) {
      const reply = await long((cancel, done) => events!.next(cancel, done), options)
      if (reply.value === null || reply.value === undefined) return
      yield fromFields('EngineEvent', reply.value)
    }
  } finally {
    events!.close()
  }
}

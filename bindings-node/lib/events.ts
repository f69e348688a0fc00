/** What happens in a store as an asynchronous iterable. */

import native = require('../native.cjs')
import { brief, type Abortable } from './call.js'
import { toFields } from './convert.js'
import { moment } from './logs.js'
import { oneOf, Pulled } from './pulled.js'
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
  const { signal, until, ...rest } = options
  const since = options.since ?? native.now()
  const open = async () => {
    const fields = toFields('EventOptions', 'event', { ...rest, since: moment(since), until: moment(until) }, ['signal'])
    return (await brief((done) => engine.events(fields, done))).events!
  }
  return new Pulled(open, (reply) => oneOf<EngineEvent>('EngineEvent', reply), { signal })
}

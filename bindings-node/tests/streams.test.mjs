// What is followed ends when it is left, though nothing more ever comes of it.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { setUp } from './fixtures.mjs'

const module = createRequire(import.meta.url).resolve('sampan')
let at, quiet
before(async () => {
  at = await setUp()
  quiet = await at.engine.container(at.image, ['sh', '-c', 'echo first; exec sleep 1000'])
  await quiet.waitReady({ log: 'first' })
})
after(() => at?.tearDown())

const followed = {
  logs: () => quiet.logs({ follow: true })[Symbol.asyncIterator](),
  'log entries': () => quiet.logEntries({ follow: true }),
  events: () => at.engine.events(),
  statistics: () => quiet.statsStream({ interval: 1000 }),
}

for (const [what, follow] of Object.entries(followed)) {
  test(`return ends a step of ${what} that waits`, { timeout: 30_000 }, async () => {
    const items = follow()
    if (what !== 'events') assert.equal((await items.next()).done, false)
    const [step, next] = [items.next(), items.next()]
    assert.deepEqual(await items.return(), { done: true, value: undefined })
    for (const ended of [step, next, items.next()]) assert.deepEqual(await ended, { done: true, value: undefined })
  })

  test(`throw ends a step of ${what} that waits`, { timeout: 30_000 }, async () => {
    const items = follow()
    if (what !== 'events') await items.next()
    const step = items.next()
    await assert.rejects(items.throw(new RangeError('enough')), RangeError)
    assert.equal((await step).done, true)
  })

  test(`${what} that were never asked for end too`, { timeout: 30_000 }, async () => {
    const items = follow()
    assert.equal((await items.return()).done, true)
    assert.equal((await items.next()).done, true)
  })
}

test('a stream of a log that is destroyed is closed', { timeout: 30_000 }, async () => {
  const stream = quiet.logs({ follow: true }).toReadable()
  assert.equal((await once(stream, 'data'))[0], 'first\n')
  stream.destroy()
  await once(stream, 'close')
})

test('an error that destroys a stream of a log is told', { timeout: 30_000 }, async () => {
  const stream = quiet.logs({ follow: true }).toReadable()
  await once(stream, 'data')
  stream.destroy(new RangeError('enough'))
  await assert.rejects(once(stream, 'close'), RangeError)
})

// The process itself is the test: it ends once nothing more is waited for.
const leave = {
  'a log': "const i = c.logEntries({ follow: true }); await i.next(); i.next(); i.return()",
  events: "const i = engine.events(); i.next(); i.return()",
  statistics: "const i = c.statsStream({ interval: 1000 }); await i.next(); i.next(); i.return()",
  'a command': "const e = await c.execStart(['sleep', '1000']); e.stdout.once('close', () => e.kill()); e.stdout.resume(); e.close()",
  'a command on a terminal': "const e = await c.execStart(['sleep', '1000'], { tty: true }); e.stdout.resume(); e.close(); await e.kill()",
  'streams that were joined': 'const a = await c.attach(); a.stdout.resume(); a.close()',
}

for (const [what, code] of Object.entries(leave)) {
  test(`a process that has left ${what} ends`, { timeout: 60_000 }, async () => {
    const program = `(async () => {
      const engine = await require(${JSON.stringify(module)}).Engine.open(${JSON.stringify(at.options)})
      const c = await engine.containers.get(${JSON.stringify(quiet.id)})
      ${code}
    })()`
    await promisify(execFile)(process.execPath, ['-e', program], { timeout: 20_000 })
  })
}

// What happens in the store, and what is told of a container that was killed for memory.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ExitError } from 'sampan'
import { setUp } from './fixtures.mjs'

let at
before(async () => {
  at = await setUp()
  await at.engine.pull(at.image)
})
after(() => at?.tearDown())

test('what happens is followed from the call on, until it is left', async () => {
  const events = at.engine.events({ filters: ['event=create', 'event=die'] })
  const output = await at.engine.run(at.image, ['sh', '-c', 'exit 3'])
  const heard = []
  for await (const event of events) {
    assert.deepEqual([event.kind, event.id], ['container', output.id])
    heard.push(event.action)
    if (event.action === 'die') {
      assert.equal(event.attributes.exitCode, '3')
      break
    }
  }
  assert.deepEqual(heard, ['create', 'die'])
})

test('what has happened is read back', async () => {
  const since = new Date()
  const { id } = await at.engine.run(at.image, ['true'])
  const actions = []
  for await (const event of at.engine.events({ since, until: '0s', filters: [`container=${id}`] })) actions.push(event.action)
  assert.deepEqual(actions, ['create', 'start', 'die', 'destroy'])
})

test('a signal ends the wait', async () => {
  const controller = new AbortController()
  const next = at.engine.events({ signal: controller.signal }).next()
  controller.abort()
  await assert.rejects(next, { name: 'AbortError', code: 'cancelled' })
  await assert.rejects(at.engine.events({ filters: ['colour=blue'] }).next(), { code: 'invalid_argument' })
})

test('want of memory is told by the error', { skip: process.geteuid() !== 0 }, async () => {
  const hungry = ['tail', '-c', '64m', '/dev/zero']
  const limited = { memory: '16m', check: true }
  await assert.rejects(at.engine.run(at.image, hungry, limited), (error) => {
    assert.ok(error instanceof ExitError && error.output.exit.oomKilled)
    return /exited with 137: .*its limit is 16 MiB/.test(error.message)
  })
  const container = await at.engine.container(at.image, ['sleep', '60'], { memory: '16m' })
  const { exit } = await container.exec(hungry)
  assert.ok(exit.oomKilled && exit.error.includes('the command in container'))
  assert.equal((await container.stats()).oomKills, 1)
  await container.remove({ force: true })
})

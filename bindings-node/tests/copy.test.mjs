// Files into containers and out of them, as Node has them.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { setUp } from './fixtures.mjs'

let at, container
before(async () => {
  at = await setUp()
  await at.engine.pull(at.image)
  container = await at.engine.container(at.image, ['sleep', '1000'])
})
after(() => at?.tearDown())

test('files and directories', async () => {
  const here = join(at.directory, 'd')
  mkdirSync(here)
  writeFileSync(join(here, 'f'), 'one')
  await container.copyTo(here, '/tmp')
  await container.copyFrom('/tmp/d/f', join(at.directory, 'back'))
  assert.equal(readFileSync(join(at.directory, 'back'), 'utf8'), 'one')
  assert.equal((await container.pathStat('/tmp/d/f')).size, 3)
  await assert.rejects(container.copyFrom('/none', join(at.directory, 'x')), { code: 'not_found' })
})

test('a file that is opened', async () => {
  const file = await container.open('/tmp/f', 'w+')
  await file.write('one')
  file.createWriteStream({ start: 3 }).end('two')
  for (let size = 0; size !== 6; size = (await file.stat()).size);
  assert.equal(await text(file.createReadStream({ start: 0 })), 'onetwo')
  await file.close()
  await file.close()
  assert.equal((await container.exec(['cat', '/tmp/f'])).stdout, 'onetwo')
  await assert.rejects(container.open('/tmp/f', 'wx'), { code: 'already_exists' })
})

test('archives are streams', async () => {
  await (await container.open('/tmp/a', 'w')).write('content')
  const { stream, stat } = await container.getArchive('/tmp/a')
  assert.equal(stat.name, 'a')
  const bytes = await buffer(stream)
  await container.putArchive('/', bytes)
  await container.putArchive('/', (await container.getArchive('/tmp/a')).stream)
  assert.equal((await container.exec(['cat', '/a'])).stdout, 'content')
  await assert.rejects(container.getArchive('/none'), { code: 'not_found' })
  await assert.rejects(container.putArchive('/', Buffer.alloc(1024, 7)), { code: 'invalid_argument' })
  const broken = async function* () {
    yield bytes.subarray(0, 512)
    throw new Error('mine')
  }
  await assert.rejects(container.putArchive('/', broken()), /mine/)
})

test('an archive that is left ends the copy', { timeout: 60_000 }, async () => {
  const created = await at.engine.containers.create(at.image, { command: ['true'] })
  for await (const _ of (await created.getArchive('/bin')).stream) break
  // Refused for as long as the copy goes on.
  const start = () => created.start().catch((error) => (assert.equal(error.code, 'conflict'), start()))
  await start()
  assert.equal((await created.wait()).code, 0)
  await created.close()
})

test('an archive that nobody reads', async () => {
  const { stream } = await container.getArchive('/bin')
  const closed = new Promise((resolve) => stream.once('close', resolve))
  stream.destroy()
  await closed
  // A rejection that nobody handles would end this process by now.
  assert.equal((await container.exec(['echo', 'on'])).stdout, 'on\n')
})

test('a source that gives nothing keeps no failed call', { timeout: 60_000 }, async () => {
  let wake
  const idle = new Promise((resolve) => (wake = resolve))
  const source = async function* () {
    yield Buffer.alloc(192 << 10, 7)
    await idle
  }
  await assert.rejects(container.putArchive('/', source()), { code: 'invalid_argument' })
  const ended = new AbortController()
  const slow = async function* () {
    ended.abort()
    await idle
    yield Buffer.alloc(0)
  }
  await assert.rejects(container.putArchive('/', slow(), { signal: ended.signal }), { code: 'cancelled' })
  wake()
})

test('a source behind the end of its archive', { timeout: 60_000 }, async () => {
  const file = await container.open('/tmp/behind', 'w')
  await file.write('content')
  await file.close()
  const bytes = await buffer((await container.getArchive('/tmp/behind')).stream)
  let wake
  const idle = new Promise((resolve) => (wake = resolve))
  const open = async function* () {
    yield bytes
    await idle
  }
  await container.putArchive('/', open())
  wake()
  assert.equal((await container.exec(['cat', '/behind'])).stdout, 'content')
  const broken = async function* () {
    yield bytes
    throw new Error('mine')
  }
  await assert.rejects(container.putArchive('/', broken()), /mine/)
})

test('the signal of an archive', async () => {
  const ended = new AbortController()
  const { stream } = await container.getArchive('/bin', { signal: ended.signal })
  ended.abort()
  await assert.rejects(buffer(stream), { name: 'AbortError', code: 'cancelled' })
  const next = container.getArchive('/bin', { signal: ended.signal })
  await assert.rejects(next, { code: 'cancelled' })
})

// Commands that run meanwhile, and what a container does.
import assert from 'node:assert/strict'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { setUp } from './fixtures.mjs'

let at, container
before(async () => {
  at = await setUp()
  await at.engine.pull(at.image)
  container = await at.engine.container(at.image, ['sleep', '1000'])
})
after(() => at?.tearDown())

test('streams are streams', async () => {
  const script = 'while read w; do echo got $w; done; echo end >&2; exit 3'
  const e = await container.execStart(['sh', '-c', script], { interactive: true })
  const lines = createInterface(e.stdout)[Symbol.asyncIterator]()
  for (const word of ['one', 'two']) {
    e.stdin.write(`${word}\n`)
    assert.equal((await lines.next()).value, `got ${word}`)
  }
  e.stdin.end()
  assert.equal((await lines.next()).done, true)
  assert.equal(await text(e.stderr), 'end\n')
  assert.equal((await e.wait()).code, 3)
  e.close()
})

test('a terminal has an end', async () => {
  const e = await container.execStart(['sh', '-c', 'read w; stty size; echo $w'], {
    tty: true, interactive: true, rows: 12, columns: 34,
  })
  e.stdin.write('typed\n')
  assert.equal(await text(e.stdout), 'typed\r\n12 34\r\ntyped\r\n')
  assert.equal(e.stderr, null)
  assert.equal((await e.wait()).code, 0)
  e.close()
})

test('a stream needs no handle', async () => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc')
  for (const tty of [false, true]) {
    // What has not been read when the first process of a terminal ends is lost in the kernel: that one stays.
    const script = tty ? 'echo $$ >/tmp/pid; seq 300000; exec sleep 1000' : 'seq 300000'
    const start = async () => (await container.execStart(['sh', '-c', script], { tty })).stdout
    const stdout = await start()
    for (let i = 0; i < 5; i++) {
      gc()
      await new Promise((resolve) => setImmediate(resolve))
    }
    let lines = 0
    for await (const chunk of stdout) {
      lines += chunk.toString().split('\n').length - 1
      if (tty && lines === 300000) break
    }
    assert.equal(lines, 300000)
  }
  const end = 'p=$(cat /tmp/pid); kill -9 $p; while kill -0 $p 2>/dev/null; do :; done'
  await container.exec(['sh', '-c', end])
})

test('what nobody reads any more is thrown away', async () => {
  for (const tty of [false, true]) {
    const e = await container.execStart(['head', '-c', '1000000', '/dev/zero'], { tty })
    e.close()
    assert.equal((await e.wait({ timeout: 60 })).code, 0)
  }
})

test('a terminal takes as much as comes', async () => {
  const lines = 200_000
  // What has not been read yet when the first process of a terminal ends is lost in the kernel: it waits to be told.
  const script = `stty -echo; echo ready; head -n ${lines}; read told`
  const e = await container.execStart(['sh', '-c', script], { tty: true, interactive: true })
  const read = createInterface(e.stdout)[Symbol.asyncIterator]()
  assert.equal((await read.next()).value, 'ready')
  e.stdin.write('x\n'.repeat(lines))
  let count = 0
  while (count < lines && !(await read.next()).done) count++
  assert.equal(count, lines)
  e.stdin.write('told\n')
  assert.ok((await read.next()).done)
  assert.equal((await e.wait()).code, 0)
  e.close()
})

test('input that comes too late is no error', async () => {
  for (const tty of [false, true]) {
    const e = await container.execStart(['sleep', '2000'], { tty, interactive: true })
    for (let i = 0; i < 100; i++) e.stdin.write('x'.repeat(10_000))
    await e[Symbol.asyncDispose]()
    assert.equal((await e.wait()).signal, 9)
  }
})

test('it is killed with its scope', async () => {
  const e = await container.execStart(['sleep', '2000'])
  await assert.rejects(e.wait({ timeout: 0.01 }), { code: 'timeout' })
  assert.equal((await container.top()).length, 2)
  await e[Symbol.asyncDispose]()
  assert.equal((await e.wait()).signal, 9)
  assert.deepEqual((await container.top()).map(({ command }) => command), ['sleep 1000'])
})

test('statistics', async () => {
  assert.equal((await container.stats()).id, container.id)
  let count = 0
  for await (const reading of container.statsStream({ interval: 0.01 })) {
    assert.equal(reading.id, container.id)
    if (++count === 2) break
  }
  const controller = new AbortController()
  const readings = container.statsStream({ interval: 1000, signal: controller.signal })
  await readings.next()
  const next = readings.next()
  controller.abort()
  await assert.rejects(next, { code: 'cancelled' })
})

test('a container is joined', async () => {
  const script = 'while read w; do echo got $w; done'
  const guest = await at.engine.containers.spawn(at.image, { command: ['sh', '-c', script], interactive: true })
  const one = await guest.attach({ interactive: true })
  one.stdin.write('first\n')
  assert.equal((await createInterface(one.stdout)[Symbol.asyncIterator]().next()).value, 'got first')
  one.close()
  // Whoever has a stream alone is joined, and one that has left is in nobody's way.
  const { stdin } = await guest.attach({ interactive: true })
  const two = await guest.attach()
  assert.equal(two.stdin, null)
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  const lines = createInterface(two.stdout)[Symbol.asyncIterator]()
  stdin.write('second\n')
  assert.equal((await lines.next()).value, 'got second')
  await guest.kill()
  assert.equal((await lines.next()).done, true)
  assert.equal((await two.wait()).signal, 9)
  stdin.destroy()
  await guest.close()
})

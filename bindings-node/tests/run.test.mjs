// The main path, and what the host keeps.
import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, openSync, closeSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import { Engine, ExitError, SampanError } from 'sampan'
import { setUp } from './fixtures.mjs'

const module = createRequire(import.meta.url).resolve('sampan')
let at, engine, image
before(async () => {
  at = await setUp()
  ;({ engine, image } = at)
  await engine.pull(image)
})
after(() => at?.tearDown())

const threads = () => readdirSync('/proc/self/task').length

/** A call's thread tells its end and then ends itself: a moment later. */
async function threadsAtMost(count) {
  for (const end = Date.now() + 10_000; threads() > count; ) {
    assert.ok(Date.now() < end, 'a thread stays')
    await new Promise(setImmediate)
  }
}

test('pull tells its progress', async () => {
  const other = await Engine.open({ root: join(at.directory, 'pull'), run: join(at.directory, 'pull-run') })
  const events = []
  const pulled = await other.pull(image, { onProgress: (event) => events.push(event) })
  assert.ok(pulled.tags.includes(image))
  assert.equal(events[0].event, 'resolved')
  assert.equal(events.at(-1).event, 'done')
})

test('what a listener throws ends the pull', async () => {
  const other = await Engine.open({ root: join(at.directory, 'throw'), run: join(at.directory, 'throw-run') })
  const refuse = () => {
    throw new RangeError('enough')
  }
  await assert.rejects(other.pull(image, { onProgress: refuse }), RangeError)
})

test('run and its output', async () => {
  const out = await engine.run(image, ['sh', '-c', 'echo out; echo err >&2; exit 3'])
  assert.deepEqual([out.stdout, out.stderr, out.exitCode], ['out\n', 'err\n', 3])
  const raw = await engine.run(image, ['printf', '\\377'], { text: false })
  assert.deepEqual([...raw.stdout], [255])
  assert.equal((await engine.run(image, { command: ['wc', '-c'], input: 'x'.repeat(1e5) })).stdout.trim(), '100000')
  await assert.rejects(engine.run(image, ['sh', '-c', 'echo no >&2; exit 4'], { check: true }), (error) => {
    assert.ok(error instanceof ExitError && error.output.exitCode === 4)
    assert.match(error.message, /exited with 4: no/)
    return true
  })
})

test('env, workdir, user, volumes', async () => {
  mkdirSync(join(at.directory, 'data'))
  writeFileSync(join(at.directory, 'data/file'), 'hello')
  const command = ['sh', '-c', 'echo $A; pwd; id -u; cat /data/file; touch /data/no']
  const volumes = { [join(at.directory, 'data')]: '/data:ro' }
  const out = await engine.run(image, command, { env: { A: 'b c' }, workdir: '/var/x', user: 'app', volumes })
  assert.equal(out.stdout, 'b c\n/var/x\n1000\nhello')
  assert.notEqual(out.exitCode, 0)
})

test('errors', async () => {
  await assert.rejects(engine.run(image, ['/no/such']), { code: 'command_not_found', exitCode: 127 })
  await assert.rejects(engine.run(image, ['/etc/passwd']), { code: 'command_not_executable', exitCode: 126 })
  await assert.rejects(engine.run(`${at.address}/nothing:1`), { code: 'not_found' })
  await assert.rejects(engine.containers.get('nobody'), SampanError)
})

test('a container from start to removal', async () => {
  const c = await engine.containers.spawn(image, ['sleep', '60'], { name: 'node-life' })
  assert.equal(await c.status(), 'running')
  assert.equal((await engine.containers.get('node-life')).id, c.id)
  assert.ok((await engine.containers.list()).some((other) => other.id === c.id))
  await c.rename('node-life-2')
  await c.stop({ timeout: 0 })
  assert.equal((await c.wait()).code, 137)
  await c.start()
  await c.kill(9)
  assert.equal((await c.wait({ timeout: 10 })).signal, 9)
  assert.equal((await c.inspect()).name, 'node-life-2')
  await c[Symbol.asyncDispose]()
  await c.close()
  await assert.rejects(engine.containers.get('node-life-2'), { code: 'not_found' })
})

test('logs', async () => {
  const c = await engine.container(image, ['sh', '-c', 'echo ä; echo b >&2; echo ready; exec sleep 60'])
  assert.equal(await c.waitReady({ log: /ready/, timeout: 10 }), 'ready\n')
  await assert.rejects(c.waitReady({ log: 'never', timeout: 0.1 }), { code: 'timeout' })
  assert.equal(await c.logs({ stderr: false }).read(), 'ä\nready\n')
  assert.deepEqual(await c.logs({ stdout: false, text: false }).read(), Buffer.from('b\n'))
  for await (const line of c.logs({ follow: true })) if (line === 'ready\n') break
  const following = c.logs({ follow: true }).read()
  await c.kill()
  assert.match(await following, /ready/)
  await c.close()
})

test('a line that was written with a pause is one', async () => {
  const script = "printf Rea; sleep 0.3; echo dy; printf 'login: '; exec sleep 60"
  const c = await engine.container(image, ['sh', '-c', script])
  assert.equal(await c.waitReady({ log: 'Ready', timeout: 10 }), 'Ready\n')
  assert.equal(await c.waitReady({ log: /login: $/, timeout: 10 }), 'login: ')
  for await (const line of c.logs({ follow: true })) {
    assert.equal(line, 'Ready\n')
    break
  }
  await c.kill()
  await c.wait()
  const lines = []
  for await (const line of c.logs()) lines.push(line)
  assert.deepEqual(lines, ['Ready\n', 'login: '])
  await c.close()
})

test('a pattern is looked for from the beginning of each line', async () => {
  const c = await engine.container(image, ['sh', '-c', 'echo ready; exec sleep 60'])
  const log = /ready/g
  for (let times = 0; times < 3; times++) assert.equal(await c.waitReady({ log, timeout: 10 }), 'ready\n')
  await c.close()
})

test('an image is named by itself, and a user by a number', async () => {
  const found = await engine.images.get(image)
  const c = await engine.container(found, ['sleep', '60'], { user: 1000, env: ['A=1'] })
  const { stdout } = await c.exec(['sh', '-c', 'echo $(id -u) $A $B'], { user: 0, env: { B: 2, C: undefined } })
  assert.equal(stdout, '0 1 2\n')
  assert.equal((await c.inspect()).options.user, '1000')
  await assert.rejects(c.exec('ls'), { code: 'invalid_argument', message: /^read option command: it is one text/ })
  await engine.plan(found)
  await c.close()
})

test('a word that a call does not know is not passed over', async () => {
  const c = await engine.containers.create(image, ['true'])
  const meant = (name) => ({ code: 'invalid_argument', message: new RegExp(`did you mean \`${name}\``) })
  await assert.rejects(c.stop({ timout: 1 }), meant('timeout'))
  await assert.rejects(c.restart({ timout: 1 }), { ...meant('timeout'), subject: 'restart' })
  await assert.rejects(c.logs({ folow: true }).read(), { ...meant('follow'), subject: 'logs' })
  for (const other of [{ noStdout: true }, { wholeLines: false }]) {
    await assert.rejects(c.logs(other).read(), { code: 'invalid_argument', subject: 'logs' })
  }
  for (const wait of ['wait', 'waitHealthy', 'waitReady']) {
    await assert.rejects(c[wait]({ timout: 1, log: undefined }), { ...meant('timeout'), subject: 'wait' })
  }
  await assert.rejects(c.wait(1), { code: 'invalid_argument', message: /^read option options: 1 is no record; write { timeout: / })
  await assert.rejects(c.statsStream({ intervall: 1 }).next(), meant('interval'))
  await assert.rejects(c.start({ stdOut: 1 }), meant('stdout'))
  await assert.rejects(c.attach({ interactiv: true }), meant('interactive'))
  await assert.rejects(c.pause({ signl: 1 }), meant('signal'))
  await assert.rejects(c.pathStat('/', { folowLink: true }), meant('followLink'))
  await assert.rejects(c.getArchive('/', { folowLink: true }), meant('followLink'))
  await assert.rejects(c.putArchive('/', Buffer.alloc(0), { signl: 1 }), meant('signal'))
  await assert.rejects(c.open('/etc/passwd', 'r', { signl: 1 }), meant('signal'))
  for (const exec of ['exec', 'execStart']) {
    await assert.rejects(c[exec](['cat'], { stdin: Buffer.from('x') }), { code: 'invalid_argument', subject: 'stdin' })
    await assert.rejects(c[exec](['cat'], { signl: 1 }), { ...meant('signal'), subject: 'exec' })
  }
  await assert.rejects(c.exec(['cat'], { chek: true }), meant('check'))
  await assert.rejects(c.logs({ stdOut: false, text: true }).read(), meant('stdout'))
  await assert.rejects(engine.events({ filter: [] }).next(), meant('filters'))
  for (const wait of ['wait', 'waitHealthy']) {
    await assert.rejects(c[wait]({ timeout: 'soon' }), { code: 'invalid_argument', message: /^read option timeout: / })
  }
  await c.remove()
  const option = { subject: 'memorySwap', message: /^read option memorySwap: it counts memory/ }
  await assert.rejects(engine.run(image, { memorySwap: '1m' }), option)
  // More than a timer takes is no moment.
  for (const timeout of [1e9, Infinity]) assert.equal((await engine.run(image, ['true'], { timeout })).exitCode, 0)
})

test('what is at hand of a followed log comes at once', async () => {
  const c = await engine.container(image, ['sh', '-c', 'seq 1000; echo ready; exec sleep 60'])
  await c.waitReady({ log: 'ready', timeout: 10 })
  const { LogStream } = createRequire(module)('../native.cjs')
  const { next } = LogStream.prototype
  let calls = 0
  LogStream.prototype.next = function (...args) {
    calls += 1
    return next.apply(this, args)
  }
  const seen = []
  try {
    for await (const line of c.logs({ follow: true })) if (seen.push(line) > 1000) break
  } finally {
    LogStream.prototype.next = next
  }
  assert.deepEqual(seen, [...Array.from({ length: 1000 }, (_, n) => `${n + 1}\n`), 'ready\n'])
  // Each call has a thread of its own.
  assert.ok(calls <= 20, `${calls} calls`)
  await c.close()
})

test('nothing is left of all that is done', async () => {
  const descriptors = () => readdirSync('/proc/self/fd').length
  const children = () => readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8')
  const everything = async () => {
    await engine.run(image, ['true'])
    await engine.pull(image)
    await assert.rejects(engine.run(image, ['/no/such/command']), { code: 'command_not_found' })
    await assert.rejects(engine.run(image, ['sleep', '60'], { timeout: 0.1 }), { code: 'timeout' })
    const c = await engine.container(image, ['sh', '-c', 'echo ready; exec sleep 60'])
    await c.waitReady({ log: 'ready', timeout: 10 })
    for await (const _ of c.logs({ follow: true })) break
    await c.restart({ timeout: 0 })
    await c.close()
  }
  await everything()
  const before = [descriptors(), children(), process.cwd()]
  const running = threads()
  for (let n = 0; n < 3; n++) await everything()
  await threadsAtMost(running)
  assert.deepEqual([descriptors(), children(), process.cwd()], before)
})

test('SIGCHLD is not for us', async () => {
  const heard = []
  const listen = () => heard.push(1)
  process.on('SIGCHLD', listen)
  try {
    await engine.run(image, ['true'])
    assert.deepEqual(heard, [])
  } finally {
    process.off('SIGCHLD', listen)
  }
})

test('an abort ends a wait and a run, and leaves nothing', async () => {
  const c = await engine.container(image, ['sleep', '60'])
  await assert.rejects(c.wait({ signal: AbortSignal.timeout(50) }), { name: 'AbortError' })
  await assert.rejects(c.wait({ timeout: 0.05 }), { code: 'timeout' })
  assert.equal(await c.status(), 'running')
  await c.close()
  const labels = { of: 'abort' }
  await assert.rejects(engine.run(image, ['sleep', '60'], { signal: AbortSignal.timeout(300), labels }), {
    code: 'cancelled',
  })
  await assert.rejects(engine.run(image, ['sleep', '60'], { timeout: 0.3, labels }), { code: 'timeout' })
  assert.deepEqual(await engine.containers.list({ all: true, filters: ['label=of=abort'] }), [])
})

test('more waits than libuv has threads', async () => {
  const containers = await Promise.all(Array.from({ length: 8 }, () => engine.containers.spawn(image, ['sleep', '60'])))
  const waits = containers.map((c) => c.wait())
  // Were they on libuv's threads, this file would never be read.
  await promisify(execFile)('true')
  await Promise.all(containers.map((c) => c.kill()))
  assert.deepEqual(new Set((await Promise.all(waits)).map((status) => status.code)), new Set([137]))
  await Promise.all(containers.map((c) => c.close()))
})

test('child processes beside containers', async () => {
  const child = (n) => promisify(execFile)('sh', ['-c', `exit ${n}`]).then(() => 0, (error) => error.code)
  const run = async (n) => (await engine.run(image, ['sh', '-c', `exit ${n}`])).exitCode
  const all = await Promise.all([0, 1, 2, 3].flatMap((n) => [child(n), run(n)]))
  assert.deepEqual(all, [0, 0, 1, 1, 2, 2, 3, 3])
})

test('streams', async () => {
  writeFileSync(join(at.directory, 'in'), 'abc')
  const [stdin, stdout] = [openSync(join(at.directory, 'in'), 'r'), openSync(join(at.directory, 'out'), 'w')]
  const c = await engine.containers.spawn(image, ['cat'], { stdin, stdout })
  await c.wait({ timeout: 10 })
  closeSync(stdin)
  closeSync(stdout)
  assert.equal(readFileSync(join(at.directory, 'out'), 'utf8'), 'abc')
  await c.close()
})

test('worker threads', async () => {
  const code = `
    const { parentPort, workerData } = require('node:worker_threads')
    const { Engine } = require(workerData.module)
    Engine.open(workerData.options)
      .then((engine) => engine.run(workerData.image, ['echo', 'worker']))
      .then((out) => parentPort.postMessage(out.stdout))`
  const words = await Promise.all(
    [1, 2].map(async () => {
      const worker = new Worker(code, { eval: true, workerData: { module, options: at.options, image } })
      const [word] = await once(worker, 'message')
      await worker.terminate()
      return word
    }),
  )
  assert.deepEqual(words, ['worker\n', 'worker\n'])
})

test('a terminated worker leaves no thread', async () => {
  const before = threads()
  const code = `
    const { parentPort, workerData } = require('node:worker_threads')
    const { Engine } = require(workerData.module)
    Engine.open(workerData.options)
      .then((engine) => engine.containers.get(workerData.id))
      .then((c) => (c.wait(), parentPort.postMessage('waiting')))`
  const c = await engine.container(image, ['sleep', '60'])
  const worker = new Worker(code, { eval: true, workerData: { module, options: at.options, id: c.id } })
  await once(worker, 'message')
  await worker.terminate()
  await threadsAtMost(before)
  assert.equal(await c.status(), 'running')
  await c.close()
})

test('images', async () => {
  const pulled = await engine.images.get(image)
  await pulled.tag('mine:1')
  assert.ok(await engine.images.has('mine:1'))
  assert.ok((await engine.images.remove('mine:1'))[0].untagged)
  assert.equal(await engine.images.has('mine:1'), false)
  assert.ok((await engine.images.list()).some((other) => other.id === pulled.id))
})

test('doctor, info, plan', async () => {
  const report = await engine.doctor()
  assert.ok(report.ok && report.checks.length > 0)
  assert.equal((await engine.info()).rung, report.rung)
  assert.equal(typeof (await engine.plan(image, ['true'])), 'object')
})

test('a handle keeps no process alive, and no thread stays', async () => {
  const before = threads()
  await engine.run(image, ['true'])
  await threadsAtMost(before)
  const code = `const { Engine } = require(${JSON.stringify(module)})
    Engine.open(${JSON.stringify(at.options)}).then((engine) => (globalThis.kept = engine))`
  execFileSync(process.execPath, ['-e', code], { timeout: 20_000 })
})

test('exec', async () => {
  const container = await engine.containers.spawn(image, ['sleep', '1000'], { env: { OWN: '1' } })
  try {
    const options = { env: { MORE: '2' }, workdir: '/tmp', input: 'in' }
    const out = await container.exec(['sh', '-c', 'echo $OWN $MORE; pwd; cat; exit 3'], options)
    assert.deepEqual([out.stdout, out.exitCode], ['1 2\n/tmp\nin', 3])
    assert.deepEqual([...(await container.exec(['printf', '\\377'], { text: false })).stdout], [255])
    await assert.rejects(container.exec(['sh', '-c', 'exit 4'], { check: true }), ExitError)
    await assert.rejects(container.exec(['nosuchcommand']), { code: 'command_not_found' })
    await assert.rejects(container.exec(['sleep', '1000'], { timeout: 0.1 }), { code: 'timeout' })
    await assert.rejects(container.exec(['sleep', '1000'], { signal: AbortSignal.timeout(100) }))
  } finally {
    await container.close()
  }
})

// What is handy in JavaScript becomes what the engine takes; needs no image.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import sampan, { Engine, errorCodes, ExitError, SampanError } from 'sampan'

const require = createRequire(import.meta.url)
const dist = dirname(require.resolve('sampan'))
const { runFields, size } = require(join(dist, 'options.js'))
const { fromFields, toFields } = require(join(dist, 'convert.js'))
const { shapes } = require(join(dist, 'shapes.js'))

let directory
before(() => (directory = mkdtempSync(join(tmpdir(), 'sampan-node-'))))
after(() => rmSync(directory, { recursive: true }))

test('both kinds of module share one copy', () => {
  const required = require('sampan')
  assert.equal(required.SampanError, SampanError)
  assert.deepEqual(Object.keys(required).sort(), Object.keys(sampan).sort())
})

test('the module for import exports all of the one for require', async () => {
  const named = Object.keys(await import('sampan')).filter((name) => name !== 'default')
  assert.deepEqual(named.sort(), Object.keys(sampan).sort())
})

test('sizes', () => {
  for (const [given, bytes] of [[5, 5], ['5', 5], ['1k', 1024], ['64MiB', 64 << 20], ['1.5GB', 3 * 2 ** 29], ['-1', -1]]) {
    assert.equal(size('memory', given), bytes)
  }
  for (const bad of ['', 'm', '5x', 'five']) assert.throws(() => size('memory', bad), { code: 'invalid_argument' })
})

test('volumes', () => {
  const mounts = (volumes) => runFields('i', { volumes }).mounts
  assert.deepEqual(mounts({ '/a': '/b:ro,nosuid' }), [
    { kind: 'bind', source: '/a', target: '/b', read_only: true, options: ['nosuid'] },
  ])
  assert.equal(mounts(['data:/x'])[0].kind, 'volume')
  assert.equal(mounts(['./x:/y'])[0].source, join(process.cwd(), 'x'))
  assert.throws(() => mounts(['a:b:c:d']), SampanError)
})

test('one text is a list of itself', () => {
  const mounts = (options) => runFields('i', options).mounts
  assert.deepEqual(mounts({ volumes: '/etc:/x:ro' }), mounts({ volumes: ['/etc:/x:ro'] }))
  assert.deepEqual(mounts({ volumes: { '/etc': { bind: '/x', mode: 'ro' } } }), mounts({ volumes: ['/etc:/x:ro'] }))
  assert.deepEqual(mounts({ tmpfs: '/x' }), mounts({ tmpfs: { '/x': '' } }))
  const labels = (labels) => runFields('i', { labels }).labels
  assert.deepEqual([labels('a=b'), labels(['a=b']), labels(['a'])], [{ a: 'b' }, { a: 'b' }, { a: '' }])
})

test('a volume that is none', () => {
  for (const volumes of [
    { '/etc': '/d:ro:x' },
    { '/etc': '' },
    { '/etc': null },
    { '/etc': 5 },
    { '/etc': { mode: 'ro' } },
    { '/etc': { bind: '/d', propagation: 'shared' } },
    { '/etc': { bind: '' } },
    { '/etc': { bind: '/d', mode: 5 } },
    [5],
  ]) {
    assert.throws(() => runFields('i', { volumes }), { code: 'invalid_argument', message: /^read option volumes: / })
  }
})

test('what has no value is left out of the environment', () => {
  const env = (env) => runFields('i', { env }).env
  assert.deepEqual(env({ A: undefined, B: null, C: '', D: 0 }), { C: '', D: '0' })
  delete process.env.NOTSET
  assert.deepEqual(env(['NOTSET', 'B=1=2', 'C=']), { B: '1=2', C: '' })
  process.env.NOTSET = 'set'
  assert.deepEqual([env(['NOTSET']), env('NOTSET'), env('A=1')], [{ NOTSET: 'set' }, { NOTSET: 'set' }, { A: '1' }])
  delete process.env.NOTSET
})

test('ports are refused', () => {
  assert.throws(() => runFields('i', { ports: { 80: 8080 } }), { code: 'unsupported' })
})

test("members change their case, a user's own words don't", () => {
  const mounts = [{ readOnly: true, target: '/x' }]
  assert.deepEqual(toFields('RunOptions', 'run', { capAdd: ['A'], labels: { aB: 'c', a_b: null }, memory: null, mounts }), {
    cap_add: ['A'],
    labels: { aB: 'c', a_b: null },
    mounts: [{ read_only: true, target: '/x' }],
  })
  const info = { image_id: 'x', labels: { a_b: 'c' }, exit: null, options: { env: { my_key: '1' }, shm_size: 1 } }
  assert.deepEqual(fromFields('ContainerInfo', [info]), [
    { imageId: 'x', labels: { a_b: 'c' }, exit: null, options: { env: { my_key: '1' }, shmSize: 1 } },
  ])
})

test('every member of every record comes back as it was', () => {
  const word = (type) => (type.includes('Record<') ? { a_b: '1', aB: '2' } : 'x')
  const interfaces = readFileSync(join(dist, 'types.d.ts'), 'utf8').matchAll(/interface (\w+) \{\n([^}]*)\}/g)
  let seen = 0
  for (const [, name, body] of interfaces) {
    if (!(name in shapes)) continue
    const members = [...body.matchAll(/^ +(\w+)\??: (.*);$/gm)].map(([, key, type]) => [key, word(type)])
    const record = Object.fromEntries(members)
    const fields = toFields(name, 'x', record)
    for (const key of Object.keys(fields)) assert.match(key, /^[a-z0-9_]+$/, `${name}.${key}`)
    assert.deepEqual(fromFields(name, fields), record, name)
    seen += members.length
  }
  assert.ok(seen > 100, `${seen} members`)
})

test('an option that does not exist, and one of the wrong kind', async () => {
  const engine = await Engine.open({ root: join(directory, 'root'), run: join(directory, 'run') })
  await assert.rejects(engine.run('i', { noSuchOption: 1 }), (error) => {
    assert.ok(error instanceof SampanError && error instanceof Error)
    assert.equal(error.code, 'invalid_argument')
    assert.match(error.message, /noSuchOption/)
    return true
  })
  await assert.rejects(engine.run('i', { tie: 'sometimes' }), { code: 'invalid_argument' })
})

const refusedOption = (what, word, meant) => ({
  code: 'invalid_argument',
  operation: 'read options of',
  subject: what,
  hint: `did you mean \`${meant}\`?`,
  message: `read options of ${what}: unknown option \`${word}\`; did you mean \`${meant}\`?`,
})

test('an unknown option is told in the words of the library', async () => {
  const engine = await Engine.open({ root: join(directory, 'root'), run: join(directory, 'run') })
  await assert.rejects(engine.images.remove('i', { forse: true }), refusedOption('remove image', 'forse', 'force'))
  await assert.rejects(engine.containers.list({ filter: 'x' }), refusedOption('list', 'filter', 'filters'))
  await assert.rejects(engine.pull('i', { platfrom: 'x' }), refusedOption('pull', 'platfrom', 'platform'))
  await assert.rejects(Engine.open({ rooot: '/' }), refusedOption('engine', 'rooot', 'root'))
})

test('streams are refused by calls that have no use for them', async () => {
  const engine = await Engine.open({ root: join(directory, 'root'), run: join(directory, 'run') })
  const calls = { run: engine, create: engine.containers, plan: engine }
  for (const [call, on] of Object.entries(calls)) {
    for (const name of ['stdin', 'stdout', 'stderr']) {
      const message = new RegExp(`^read option ${name}: this call hands on no streams; give it to containers.spawn`)
      const refused = { code: 'invalid_argument', subject: name, message }
      await assert.rejects(on[call]('i', { [name]: 0 }), refused)
      await assert.rejects(on[call]('i', ['cat'], { [name]: Buffer.from('x') }), refused)
    }
  }
})

test('a word of another tool, or in another manner', async () => {
  const engine = await Engine.open({ root: join(directory, 'root'), run: join(directory, 'run') })
  for (const [word, meant] of [
    ['environment', 'env'],
    ['Env', 'env'],
    ['Binds', 'volumes'],
    ['WorkingDir', 'workdir'],
    ['AutoRemove', 'autoRemove'],
    ['cap_add', 'capAdd'],
    ['memorry', 'memory'],
    // The call's own words.
    ['imput', 'input'],
    ['chek', 'check'],
    ['timout', 'timeout'],
    ['txt', 'text'],
    ['signl', 'signal'],
    ['onprogress', 'onProgress'],
    ['port', 'ports'],
  ]) {
    const told = refusedOption('run', word, meant)
    await assert.rejects(engine.run('i', { [word]: 1 }), told)
  }
  for (const word of ['stdIn', 'stdOut', 'stdErr']) {
    await assert.rejects(engine.container('i', { [word]: 1 }), refusedOption('run', word, word.toLowerCase()))
  }
  const message = 'read options of run: unknown option `colour`'
  await assert.rejects(engine.containers.create('i', { colour: 1 }), { message })
  await assert.rejects(engine.run('i', { mounts: [{ read_only: true }] }), { message: /`read_only`; did you mean `readOnly`/ })
})

test('a wrong value is told with its name', async () => {
  const engine = await Engine.open({ root: join(directory, 'root'), run: join(directory, 'run') })
  for (const [options, told] of [
    [{ cpuShares: 1.5 }, 'cpuShares: invalid type: floating point `1.5`, expected a whole number from 0 on'],
    [{ hostname: 5 }, 'hostname: invalid type: integer `5`, expected a string'],
    [{ capAdd: 'NET_ADMIN' }, 'capAdd: invalid type: string "NET_ADMIN", expected a list'],
    [{ logOpt: { max_size: 1 } }, 'logOpt.max_size: invalid type: integer `1`, expected a string'],
    [{ mounts: [{ readOnly: 'yes' }] }, 'mounts[0].readOnly: invalid type: string "yes", expected a boolean'],
  ]) {
    await assert.rejects(engine.run('i', options), { code: 'invalid_argument', message: `read option ${told}` })
  }
})

test('what is of no use is refused, and not taken for nothing', async () => {
  const engine = await Engine.open({ root: join(directory, 'root'), run: join(directory, 'run') })
  for (const [name, value] of [
    ['memory', NaN],
    ['cpus', Infinity],
    ['labels', () => 1],
    ['mounts', '/x'],
    ['mounts', [5]],
    ['command', ['sleep', 0]],
    ['input', 5],
    ['timeout', 'soon'],
    ['timeout', NaN],
    ['timeout', -1],
  ]) {
    const message = new RegExp(`^read option ${name}(\\[1\\])?: `)
    await assert.rejects(engine.run('i', { [name]: value }), { code: 'invalid_argument', message })
  }
  for (const image of [undefined, null, 5]) {
    await assert.rejects(engine.run(image), { code: 'invalid_argument', message: /^read option image: / })
  }
})

test('a command is words', async () => {
  const engine = await Engine.open({ root: join(directory, 'root'), run: join(directory, 'run') })
  const refused = { code: 'invalid_argument', message: /^read option command: it is one text; write its words/ }
  for (const start of ['run', 'plan', 'container']) {
    await assert.rejects(engine[start]('i', 'echo hi'), refused)
    await assert.rejects(engine[start]('i', { command: 'echo hi' }), refused)
  }
})

test('a user may be a number', () => {
  assert.equal(runFields('i', { user: 1000 }).user, '1000')
})

test('a signal that fired before', async () => {
  const engine = await Engine.open({ root: join(directory, 'root'), run: join(directory, 'run') })
  const reason = new Error('enough')
  await assert.rejects(engine.pull('i', { signal: AbortSignal.abort(reason) }), (error) => {
    assert.equal(error.code, 'cancelled')
    assert.equal(error.name, 'AbortError')
    assert.equal(error.cause, reason)
    return true
  })
})

test('codes are those of C', () => {
  assert.equal(errorCodes.not_found, 4)
  assert.ok(ExitError.prototype instanceof SampanError)
})

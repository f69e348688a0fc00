// The conformance driver of Node; what it does is told in tests/conformance/README.md.
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Engine, SampanError, errorCodes } from 'sampan'
import { Call } from './calls.mjs'
import { read } from './script.mjs'
import { find, Schema, show, snake } from './values.mjs'

const VERBS = {
  is: (got, want) => got === want,
  not: (got, want) => got !== want,
  has: (got, want) => got.includes(want),
  lacks: (got, want) => !got.includes(want),
  begins: (got, want) => got.startsWith(want),
  ends: (got, want) => got.endsWith(want),
}

/** What a case can name, and the lines of a case, one by one. */
class World {
  events = []
  cases = 0

  constructor(schema, scratch, image) {
    Object.assign(this, { schema, scratch, image, rung: process.env.SAMPAN_TEST_RUNG })
  }

  async open() {
    const [root, run] = [join(this.scratch, 'root'), join(this.scratch, 'run')]
    this.engine = await Engine.open({ root, run, rung: this.rung })
    await this.engine.pull(this.image)
    this.fixed = { image: this.image, registry: this.image.split('/')[0], root, run, e: this.engine }
    return this
  }

  /** False when the case is not for this host. */
  async run({ id, lines }) {
    const dir = join(this.scratch, `case-${++this.cases}`)
    mkdirSync(dir)
    this.names = { ...this.fixed, dir }
    try {
      for (const line of lines) if (!(await this.placed(line))) return false
    } finally {
      this.left = await this.clean()
      // Layers of a store below it may belong to other ids; whoever made the scratch directory removes those.
      try { rmSync(dir, { recursive: true }) } catch { /* as said */ }
    }
    if (this.left) throw new Error(`${id}: a container is left`)
    return true
  }

  async placed({ place, words }) {
    try {
      return await this.line(words.map((word) => this.filled(word)))
    } catch (error) {
      throw new Error(`${place}: ${error.code ?? ''} ${error.message}`, { cause: error })
    }
  }

  async line(words) {
    const [first, second, third, fourth = ''] = words
    if (first === 'needs') return words.slice(2).includes(show(find(await this.engine.info(), second)))
    if (first === 'expect') this.expect(second, third, fourth)
    else if (first === 'fails') await this.fails(second, words.slice(2))
    else if (second === '=') this.names[first] = await this.call(words.slice(2))
    else await this.call(words)
    return true
  }

  async call(words) {
    const call = new Call(this, words)
    try {
      return await call.make()
    } finally {
      this.events = call.events
    }
  }

  async fails(kind, words) {
    const error = await this.call(words).then(() => undefined, (error) => error)
    if (error === undefined) throw new Error('it did not fail')
    if (!(error instanceof SampanError) || error.code !== kind) throw error
    const { code, ...rest } = error
    const subject = /^[a-z][A-Za-z]*$/.test(error.subject) && error.operation === 'read option' ? snake(error.subject) : error.subject
    this.names.error = { ...rest, subject, message: error.message, kind: code, code: errorCodes[code] }
  }

  expect(path, verb, want) {
    const got = this.show(path)
    if (!VERBS[verb](got, want)) throw new Error(`expected ${path} ${verb} ${want}, got ${got}`)
  }

  show(path) {
    const [name, ...rest] = path.split('.')
    return show(find(name === 'events' ? this.events : this.names[name], rest.join('.')))
  }

  filled(word) {
    return word.replace(/%\{([^}]*)\}/g, (_, path) => this.show(path))
  }

  /** Removes what a case has left in the store, and tells how much it was. */
  async clean() {
    const left = await this.engine.containers.list({ all: true })
    for (const container of left) await container.remove({ force: true, volumes: true })
    return left.length
  }
}

async function main(cases, scratch, part = '') {
  const world = await new World(new Schema(process.env.SAMPAN_TEST_API), scratch, process.env.SAMPAN_TEST_IMAGE).open()
  const tally = { ok: 0, FAILED: 0, skipped: 0 }
  const files = readdirSync(cases).sort().map((name) => join(cases, name))
  for (const found of files.flatMap(read).filter(({ id }) => id.includes(part))) {
    const outcome = await world.run(found).then((ran) => [ran ? 'ok' : 'skipped', ''], (why) => ['FAILED', `: ${why.message}`])
    tally[outcome[0]]++
    console.log(`${outcome[0]} ${found.id}${outcome[1]}`)
  }
  console.log(`${tally.ok} passed, ${tally.FAILED} failed, ${tally.skipped} skipped`)
  process.exitCode = tally.FAILED > 0 ? 1 : 0
}

await main(...process.argv.slice(2))

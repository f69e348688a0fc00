// One call: its words taken apart, and the call made as a user would make it.
import { execFileSync } from 'node:child_process'
import { closeSync, constants, createReadStream, createWriteStream, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { Engine } from 'sampan'
import { escape, unescape } from './values.mjs'

// How many plain arguments an operation takes, and its record of options.
const SIGNATURES = {
  open: [0, 'EngineOptions'],
  mkdir: [1], fifo: [1], read: [1], inspect_image: [1], container: [1], kill: [1], rename: [1], stats_stream: [1],
  attach: [1], put_archive: [2], read_in: [2], write_in: [2],
  path_stat: [1, 'CopyOptions'], copy_from: [2, 'CopyOptions'], copy_to: [2, 'CopyOptions'], get_archive: [2, 'CopyOptions'],
  write: [2], tag: [2], resize: [2],
  info: [0], doctor: [0], images: [0], gc: [0], start: [0], wait: [0], wait_healthy: [0], inspect: [0],
  pull: [1, 'PullOptions'],
  remove_image: [1, 'RemoveImageOptions'],
  create: [0, 'RunOptions'], spawn: [0, 'RunOptions'], run: [0, 'RunOptions'], plan: [0, 'RunOptions'],
  containers: [0, 'ListOptions'],
  events: [0, 'EventOptions'],
  stop: [0, 'StopOptions'], restart: [0, 'StopOptions'],
  logs: [0, 'LogOptions'],
  remove: [0, 'RemoveOptions'],
  exec: [0, 'ExecOptions'], exec_start: [0, 'ExecOptions'], update: [0, 'UpdateOptions'],
  pause: [0], unpause: [0], top: [0], stats: [0],
}

const OPERATIONS = {
  mkdir: ({ plain }) => mkdirSync(plain[0]),
  // Node can't make one itself.
  fifo: ({ plain }) => void execFileSync('mkfifo', [plain[0]]),
  write: ({ plain }) => writeFileSync(plain[0], unescape(plain[1])),
  read: ({ plain }) => readFileSync(plain[0]),
  open: ({ options }) => Engine.open(options),
  info: ({ target }) => target.info(),
  doctor: ({ target }) => target.doctor(),
  gc: ({ target }) => target.gc(),
  pull: async ({ target, plain, options, watched }) => (await target.pull(plain[0], { ...options, ...watched })).info,
  images: async ({ target }) => (await target.images.list()).map((image) => image.info),
  inspect_image: async ({ target, plain }) => (await target.images.get(plain[0])).info,
  tag: ({ target, plain }) => target.images.tag(...plain),
  remove_image: ({ target, plain, options }) => target.images.remove(plain[0], options),
  create: ({ target, image, options, watched }) => target.containers.create(image, { ...options, ...watched }),
  spawn: (call) => call.withStreams((streams) =>
    call.target.containers.spawn(call.image, { ...streams, ...call.options, ...call.watched })),
  run: ({ target, image, options: { stdin, ...options }, watched }) =>
    target.run(image, { ...options, ...watched, input: stdin, text: false }),
  plan: async ({ target, image, options }) => JSON.stringify(await target.plan(image, options)),
  containers: async ({ target, options }) =>
    Promise.all((await target.containers.list(options)).map((container) => container.inspect())),
  container: ({ target, plain }) => target.containers.get(plain[0]),
  events: ({ target, options, signal }) => all(target.events({ ...options, signal })),
  start: (call) => call.withStreams((streams) => call.target.start({ ...streams, signal: call.signal })),
  stop: ({ target, options, signal }) => target.stop({ ...options, abort: signal }),
  restart: ({ target, options, signal }) => target.restart({ ...options, abort: signal }),
  kill: ({ target, plain }) => target.kill(plain[0]),
  wait: ({ target, options, signal }) => target.wait({ ...options, signal }),
  wait_healthy: ({ target, options, signal }) => target.waitHealthy({ ...options, signal }),
  logs: (call) => call.readLog(),
  inspect: ({ target }) => target.inspect(),
  rename: ({ target, plain }) => target.rename(plain[0]),
  remove: ({ target, options }) => target.remove(options),
  exec: async ({ target, options: { command = [], stdin, ...options }, signal }) => {
    const { exit, stdout, stderr } = await target.exec(command, { ...options, input: stdin, text: false, signal })
    return { ...exit, stdout, stderr }
  },
  exec_start: (call) => call.execStart(),
  copy_from: ({ target, plain, options, signal }) => target.copyFrom(...plain, { ...options, signal }),
  copy_to: ({ target, plain, options, signal }) => target.copyTo(...plain, { ...options, signal }),
  path_stat: ({ target, plain, options, signal }) => target.pathStat(plain[0], { ...options, signal }),
  get_archive: async ({ target, plain, options, signal }) => {
    const { stream } = await target.getArchive(plain[0], { ...options, signal })
    await pipeline(stream, createWriteStream(plain[1]))
  },
  put_archive: ({ target, plain, signal }) => target.putArchive(plain[0], createReadStream(plain[1]), { signal }),
  read_in: async ({ target, plain, signal }) => {
    const file = await target.open(...plain, { signal })
    return file.read().finally(() => file.close())
  },
  write_in: async ({ target, plain, own, signal }) => {
    const file = await target.open(...plain, { signal })
    await file.write(unescape(own.input ?? '')).finally(() => file.close())
  },
  attach: (call) => call.attach(),
  pause: ({ target, signal }) => target.pause({ signal }),
  unpause: ({ target }) => target.unpause(),
  top: ({ target }) => target.top(),
  stats: ({ target }) => target.stats(),
  stats_stream: (call) => call.readStats(),
  update: ({ target, options }) => target.update(options),
  resize: ({ target, plain }) => target.resize(...plain.map(Number)),
}

/** A call of a case. */
export class Call {
  events = []
  controller = new AbortController()
  signal = this.controller.signal

  constructor(world, [first, ...words]) {
    const dot = first.indexOf('.')
    this.operation = first.slice(dot + 1)
    this.target = world.names[dot < 0 ? 'e' : first.slice(0, dot)]
    if (!this.target || !SIGNATURES[this.operation]) throw new Error(`there is no ${first}`)
    const [count, record] = SIGNATURES[this.operation]
    this.plain = words.splice(0, count)
    // Words for the driver, without their colon.
    this.own = Object.fromEntries(words.filter((word) => word.startsWith(':')).map((word) => pair(word.slice(1))))
    const fields = words.filter((word) => !word.startsWith(':')).map(pair).flatMap(expanded)
    this.options = record ? world.schema.options(record, fields) : Object.fromEntries(fields.map(([n, t]) => [n, Number(t)]))
    if (record === 'RunOptions') ({ image: this.image = world.image, ...this.options } = this.options)
    if (this.operation === 'open') this.options.rung = world.rung
  }

  /** Makes the call while whoever is to cancel it waits for the moment. */
  async make() {
    const { cancel, cancel_by: fifo } = this.own
    if (cancel) this.controller.abort()
    const reader = fifo && readFile(fifo).then(() => this.controller.abort())
    try {
      return await OPERATIONS[this.operation](this)
    } finally {
      // Had the call failed early, the reader would wait for ever.
      if (fifo) release(fifo)
      await reader
    }
  }

  get watched() {
    return { signal: this.signal, onProgress: (event) => this.#watch(event) }
  }

  #watch(event) {
    this.events.push(event)
    if (event.event === this.own.cancel_on) this.controller.abort()
  }

  async withStreams(use) {
    const modes = { stdin: 'r', stdout: 'w', stderr: 'w' }
    const given = Object.entries(modes).filter(([name]) => name in this.own)
    const streams = Object.fromEntries(given.map(([name, mode]) => [name, openSync(this.own[name], mode)]))
    try {
      return await use(streams)
    } finally {
      Object.values(streams).forEach((fd) => closeSync(fd))
    }
  }

  async execStart() {
    const { command = [], ...options } = this.options
    const started = await this.target.execStart(command, { ...options, signal: this.signal })
    started.stdin?.end(unescape(this.own.input ?? ''))
    const [stdout, stderr] = await Promise.all([started.stdout, started.stderr].map((stream) => stream && buffer(stream)))
    try {
      return { ...(await started.wait({ signal: this.signal })), stdout, stderr }
    } finally {
      started.close()
    }
  }

  async attach() {
    const joined = await this.target.attach({ interactive: this.plain[0] === 'true', signal: this.signal })
    joined.stdin?.end(unescape(this.own.input ?? ''))
    const [stdout, stderr] = await Promise.all([joined.stdout, joined.stderr].map((stream) => stream && buffer(stream)))
    try {
      return { ...(await joined.wait({ signal: this.signal })), stdout, stderr }
    } finally {
      joined.close()
    }
  }

  async readStats() {
    const read = []
    for await (const reading of this.target.statsStream({ interval: Number(this.plain[0]), signal: this.signal })) {
      read.push(reading)
      if (read.length === Number(this.own.count)) break
    }
    return read
  }

  async readLog() {
    const { noStdout = false, noStderr = false, ...options } = this.options
    const entries = []
    const log = this.target.logEntries({ ...options, stdout: !noStdout, stderr: !noStderr, signal: this.signal })
    for await (const entry of log) {
      entries.push(entry)
      if (escape(entry.data) === this.own.stop_at) break
    }
    const of = (name) => Buffer.concat(entries.filter(({ stream }) => stream === name).map(({ data }) => data))
    return { entries, stdout: of('stdout'), stderr: of('stderr') }
  }
}

async function all(iterable) {
  const items = []
  for await (const item of iterable) items.push(item)
  return items
}

function release(fifo) {
  try {
    closeSync(openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK))
  } catch {
    // Nobody reads any more.
  }
}

function pair(word) {
  const at = word.indexOf('=')
  if (at < 0) throw new Error(`${word} has no =`)
  return [word.slice(0, at), word.slice(at + 1)]
}

const expanded = ([name, text]) => (name === 'sh' ? ['sh', '-c', text].map((part) => ['command', part]) : [[name, text]])

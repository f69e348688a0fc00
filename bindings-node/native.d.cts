/** The addon. Each call tells its callback of progress and, last, how it ended. */

export interface Reply {
  event?: unknown
  error?: Failure
  value?: unknown
  bytes?: Buffer[]
  engine?: Engine
  container?: Container
  log?: LogStream
  exec?: Exec
  attachment?: Attachment
  stats?: StatsStream
  events?: EventStream
}

export interface Failure {
  message: string
  code: string
  errno: number | null
  operation: string
  subject: string
  hint: string | null
  leftovers: string[]
  retryable: boolean
  exitCode: number
}

export type Callback = (reply: Reply) => void
export type Fields = Record<string, unknown>

export function version(): string
export function now(): string
export function unknownOption(what: string, word: string, known: string[]): Failure

export class Cancel {
  cancel(): void
  end(): void
}

export class Engine {
  static open(options: Fields, callback: Callback): void
  info(callback: Callback): void
  doctor(callback: Callback): void
  pull(reference: string, options: Fields, cancel: Cancel, callback: Callback): void
  images(callback: Callback): void
  inspectImage(image: string, callback: Callback): void
  tag(image: string, reference: string, callback: Callback): void
  removeImage(image: string, options: Fields, callback: Callback): void
  gc(callback: Callback): void
  create(options: Fields, cancel: Cancel, callback: Callback): void
  spawn(options: Fields, streams: Fields, cancel: Cancel, callback: Callback): void
  run(options: Fields, stdin: Uint8Array | null, cancel: Cancel, callback: Callback): void
  plan(options: Fields, callback: Callback): void
  containers(options: Fields, callback: Callback): void
  container(container: string, callback: Callback): void
  events(options: Fields, callback: Callback): void
}

export class Container {
  start(streams: Fields, cancel: Cancel, callback: Callback): void
  stop(options: Fields, cancel: Cancel, callback: Callback): void
  restart(options: Fields, cancel: Cancel, callback: Callback): void
  kill(signal: string, callback: Callback): void
  wait(timeout: number | null, cancel: Cancel, callback: Callback): void
  waitHealthy(timeout: number | null, cancel: Cancel, callback: Callback): void
  logs(options: Fields, callback: Callback): void
  inspect(callback: Callback): void
  rename(name: string, callback: Callback): void
  remove(options: Fields, callback: Callback): void
  exec(options: Fields, stdin: Uint8Array | null, cancel: Cancel, callback: Callback): void
  execStart(options: Fields, cancel: Cancel, callback: Callback): void
  copyFrom(path: string, dest: string, options: Fields, cancel: Cancel, callback: Callback): void
  copyTo(src: string, path: string, options: Fields, cancel: Cancel, callback: Callback): void
  pathStat(path: string, options: Fields, cancel: Cancel, callback: Callback): void
  getArchive(path: string, options: Fields, cancel: Cancel, callback: Callback): number
  putArchive(path: string, cancel: Cancel, callback: Callback): number
  open(path: string, mode: string, cancel: Cancel, callback: Callback): void
  attach(interactive: boolean, cancel: Cancel, callback: Callback): void
  pause(cancel: Cancel, callback: Callback): void
  unpause(callback: Callback): void
  top(callback: Callback): void
  stats(callback: Callback): void
  statsStream(interval: number, callback: Callback): void
  update(options: Fields, callback: Callback): void
  resize(rows: number, columns: number, callback: Callback): void
}

export class EventStream {
  next(cancel: Cancel, callback: Callback): void
  close(): void
}

export class LogStream {
  next(cancel: Cancel, callback: Callback): void
  close(): void
}

export class Exec {
  pid(): number
  take(): number[]
  wait(cancel: Cancel, callback: Callback): void
  kill(signal: string, callback: Callback): void
  discard(stdout: boolean, stderr: boolean): void
  resize(rows: number, columns: number, callback: Callback): void
}

export class Attachment {
  take(): number[]
  wait(cancel: Cancel, callback: Callback): void
  resize(rows: number, columns: number, callback: Callback): void
}

export class StatsStream {
  next(cancel: Cancel, callback: Callback): void
}

/** The engine: one store and everything in it. */

import native = require('../native.cjs')
import { brief } from './call.js'
import type { Container } from './container.js'
import { Containers, gather, nameOf, type ImageName } from './containers.js'
import { fromFields, toFields } from './convert.js'
import { eventsOf, type EventInput } from './events.js'
import { Images } from './images.js'
import { runFields, type RunInput, type Streams } from './options.js'
import type { DoctorReport, EngineEvent, EngineInfo, EngineOptions, PruneReport } from './types.js'

/** A store of images and containers on this machine. Opening one starts nothing: no daemon, no thread, no process. */
export class Engine {
  /** Its containers. */
  readonly containers: Containers
  /** Its images. */
  readonly images: Images
  /** As `containers.run`. */
  readonly run: Containers['run']
  /** As `images.pull`. */
  readonly pull: Images['pull']

  private constructor(private readonly native: native.Engine) {
    this.containers = new Containers(() => this.native)
    this.images = new Images(() => this.native)
    this.run = this.containers.run.bind(this.containers) as Containers['run']
    this.pull = this.images.pull.bind(this.images)
  }

  /** Opens the store, making it when it is missing. */
  static async open(options: EngineOptions = {}): Promise<Engine> {
    const { engine } = await brief((done) => native.Engine.open(toFields('EngineOptions', 'engine', options), done))
    return new Engine(engine!)
  }

  /** Where this engine stands. */
  async info(): Promise<EngineInfo> {
    return fromFields('EngineInfo', (await brief((done) => this.native.info(done))).value)
  }

  /** What this host allows, which rung is chosen and why, and what to install; runs a self-test container. */
  async doctor(): Promise<DoctorReport> {
    return fromFields('DoctorReport', (await brief((done) => this.native.doctor(done))).value)
  }

  /** Removes blobs, layers and leftovers that no image, container or lease uses. */
  async gc(): Promise<PruneReport> {
    return fromFields('PruneReport', (await brief((done) => this.native.gc(done))).value)
  }

  /** What happens in the store from now on, whichever process does it, and with `since` what has happened. */
  events(options: EventInput = {}): AsyncGenerator<EngineEvent, void, void> {
    return eventsOf(this.native, options)
  }

  /** What a run would do, without doing it. */
  async plan(image: ImageName, command?: readonly string[] | RunInput, more?: RunInput): Promise<unknown> {
    const fields = runFields(nameOf(image), gather(command, more))
    return JSON.parse((await brief((done) => this.native.plan(fields, done))).value as string)
  }

  /** Starts a container that goes when this process goes, and at the end of an `await using`. */
  async container(
    image: ImageName,
    command?: readonly string[] | (RunInput & Streams),
    more?: RunInput & Streams,
  ): Promise<Container> {
    return this.containers.spawn(image, { tie: 'host', ...gather(command, more) })
  }
}

/** Images: `engine.images`. */

import type * as native from '../native.cjs'
import { brief, long, type Watched } from './call.js'
import { fromFields, toFields } from './convert.js'
import { SampanError } from './errors.js'
import type { ImageInfo, PullOptions, RemovedImage, RemoveImageOptions } from './types.js'

/** An image of the store, as it was when it was asked for. */
export class Image {
  /** @internal */
  constructor(
    private readonly images: Images,
    /** All there is to know about it. */
    readonly info: ImageInfo,
  ) {}

  /** Digest of its config. */
  get id(): string {
    return this.info.id
  }

  /** The first twelve digits of its id. */
  get shortId(): string {
    return this.id.slice(this.id.indexOf(':') + 1).slice(0, 12)
  }

  /** Full references that point to it. */
  get tags(): string[] {
    return this.info.tags
  }

  /** Gives it a further reference. */
  tag(reference: string): Promise<void> {
    return this.images.tag(this.id, reference)
  }

  /** Removes it with all its tags. */
  remove(options: RemoveImageOptions = {}): Promise<RemovedImage[]> {
    return this.images.remove(this.id, { ...options, force: options.force || this.tags.length > 1 })
  }
}

/** The images of an engine. */
export class Images {
  /** @internal */
  constructor(private readonly engine: () => native.Engine) {}

  /** Pulls an image. Layers that the store has are not fetched again. */
  async pull(reference: string, options: PullOptions & Watched = {}): Promise<Image> {
    const { signal, onProgress, ...rest } = options
    const start = (cancel: native.Cancel, done: native.Callback) =>
      this.engine().pull(reference, toFields('PullOptions', 'pull', rest, ['signal', 'onProgress']), cancel, done)
    return new Image(this, fromFields('ImageInfo', (await long(start, { signal, onProgress })).value))
  }

  /** The images in the store, newest first. */
  async list(): Promise<Image[]> {
    const { value } = await brief((done) => this.engine().images(done))
    return fromFields<ImageInfo[]>('ImageInfo', value).map((info) => new Image(this, info))
  }

  /** One image by reference, id or unique prefix of an id. */
  async get(image: string): Promise<Image> {
    return new Image(this, fromFields('ImageInfo', (await brief((done) => this.engine().inspectImage(image, done))).value))
  }

  /** Whether the store has it. */
  async has(image: string): Promise<boolean> {
    return this.get(image).then(
      () => true,
      (error: unknown) => {
        if (error instanceof SampanError && error.code === 'not_found') return false
        throw error
      },
    )
  }

  /** Gives an image a further reference. */
  async tag(image: string, reference: string): Promise<void> {
    await brief((done) => this.engine().tag(image, reference, done))
  }

  /** Removes a tag, and the image with its last tag. */
  async remove(image: string, options: RemoveImageOptions = {}): Promise<RemovedImage[]> {
    const fields = toFields('RemoveImageOptions', 'remove image', options)
    const { value } = await brief((done) => this.engine().removeImage(image, fields, done))
    return fromFields('RemovedImage', value)
  }
}

/** Containers with no daemon: pull, run and watch OCI images in your own process. */

import native = require('../native.cjs')
import type { Watched } from './call.js'
import type { Container } from './container.js'
import type { RunToEnd } from './containers.js'
import { Engine } from './engine.js'
import type { Image } from './images.js'
import type { RunInput, Streams } from './options.js'
import type { BytesOutput, Output } from './output.js'
import type { DoctorReport, ListOptions, PullOptions } from './types.js'

export { Attachment } from './attach.js'
export type { Abortable, Watched } from './call.js'
export { Container, type ExecInput, type ExecStartInput } from './container.js'
export { ContainerFile, type ArchiveOutput, type CopyInput } from './copy.js'
export { Containers, type RunToEnd } from './containers.js'
export { Engine } from './engine.js'
export { SampanError } from './errors.js'
export type { EventInput } from './events.js'
export { Exec } from './exec.js'
export { Image, Images } from './images.js'
export type { Lines, LogEntriesInput, LogInput } from './logs.js'
export type { Descriptor, Environment, RunInput, Streams, UpdateInput } from './options.js'
export { BytesOutput, ExitError, Output } from './output.js'
export * from './types.js'

/** The version of the library. */
export const version: string = native.version()

let opened: Promise<Engine> | undefined

function engine(): Promise<Engine> {
  opened ??= Engine.open().catch((error: unknown) => {
    // The next call tries again.
    opened = undefined
    throw error
  })
  return opened
}

/** Makes `other` the engine behind the functions of this module; without one, the usual store again. */
export function useEngine(other?: Engine): void {
  opened = other && Promise.resolve(other)
}

/** Runs a container to its end, removes it, and resolves with what it wrote and how it ended. */
export function run(image: string | Image, options: RunToEnd & { text: false }): Promise<BytesOutput>
export function run(image: string | Image, command: readonly string[], options: RunToEnd & { text: false }): Promise<BytesOutput>
export function run(image: string | Image, command?: readonly string[] | RunToEnd, options?: RunToEnd): Promise<Output>
export async function run(
  image: string | Image,
  command?: readonly string[] | RunToEnd,
  options?: RunToEnd,
): Promise<Output | BytesOutput> {
  return (await engine()).run(image, command, options)
}

/** Starts a container that goes when this process goes, and at the end of an `await using`. */
export async function container(
  image: string | Image,
  command?: readonly string[] | (RunInput & Streams),
  options?: RunInput & Streams,
): Promise<Container> {
  return (await engine()).container(image, command, options)
}

/** Pulls an image. Layers that the store has are not fetched again. */
export async function pull(reference: string, options?: PullOptions & Watched): Promise<Image> {
  return (await engine()).images.pull(reference, options)
}

/** The images in the store, newest first. */
export async function images(): Promise<Image[]> {
  return (await engine()).images.list()
}

/** The containers in the store, newest first; the running ones unless `all`. */
export async function containers(options?: ListOptions): Promise<Container[]> {
  return (await engine()).containers.list(options)
}

/** What this host allows, which rung is chosen and why, and what to install; runs a self-test container. */
export async function doctor(): Promise<DoctorReport> {
  return (await engine()).doctor()
}

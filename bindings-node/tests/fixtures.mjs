// A registry on loopback with a busybox image, and an engine on a store of its own.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Engine } from 'sampan'

const IMAGES = fileURLToPath(new URL('../../tests/lib/images.sh', import.meta.url))

/** The image of `SAMPAN_TEST_IMAGE`, or one that a registry of our own serves. */
async function findImage(directory) {
  const given = process.env.SAMPAN_TEST_IMAGE
  if (given) return { image: given, stop: async () => {} }
  const server = spawn('bash', [IMAGES, 'serve', join(directory, 'registry'), 'busybox'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const address = await new Promise((resolve, reject) => {
    createInterface(server.stdout).once('line', resolve)
    server.once('exit', () => reject(new Error('the registry did not start')))
  })
  const stop = async () => {
    const gone = new Promise((resolve) => server.once('exit', resolve))
    server.stdin.end()
    await gone
  }
  return { image: `${address}/busybox:latest`, stop }
}

export async function setUp() {
  const directory = mkdtempSync(join(tmpdir(), 'sampan-node-'))
  const { image, stop } = await findImage(directory)
  const options = { root: join(directory, 'root'), run: join(directory, 'run') }
  const engine = await Engine.open(options)
  const tearDown = async () => {
    for (const c of await engine.containers.list({ all: true })) await c.remove({ force: true, volumes: true })
    await stop()
    rmSync(directory, { recursive: true })
  }
  return { address: image.split('/')[0], directory, engine, image, options, tearDown }
}

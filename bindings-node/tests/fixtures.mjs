// A registry on loopback with a busybox image, and an engine on a store of its own.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Engine } from '../index.mjs'

const IMAGES = fileURLToPath(new URL('../../tests/lib/images.sh', import.meta.url))

export async function setUp() {
  const directory = mkdtempSync(join(tmpdir(), 'sampan-node-'))
  const server = spawn('bash', [IMAGES, 'serve', join(directory, 'registry'), 'busybox'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const [address] = await new Promise((resolve, reject) => {
    createInterface(server.stdout).once('line', (line) => resolve([line]))
    server.once('exit', () => reject(new Error('the registry did not start')))
  })
  const options = { root: join(directory, 'root'), run: join(directory, 'run') }
  const engine = await Engine.open(options)
  const tearDown = async () => {
    for (const c of await engine.containers.list({ all: true })) await c.remove({ force: true, volumes: true })
    const gone = new Promise((resolve) => server.once('exit', resolve))
    server.stdin.end()
    await gone
    rmSync(directory, { recursive: true })
  }
  return { address, directory, engine, image: `${address}/busybox:latest`, options, tearDown }
}

// Pulls an image and runs it, step by step, where the package `sampan` is installed:
//   node quickstart.mjs [IMAGE]        SAMPAN_ROOT names another store
import { Engine } from 'sampan'

const image = process.argv[2] ?? 'busybox:latest'
const engine = await Engine.open({ root: process.env.SAMPAN_ROOT })

const pulled = await engine.pull(image, {
  onProgress: (event) => event.event === 'layer_done' && console.log(`unpacked ${event.digest.slice(0, 19)}`),
})
console.log(`pulled ${pulled.tags.join(', ')}: ${pulled.info.size} bytes, ${pulled.info.layers.length} layer(s)`)

const out = await engine.run(image, ['sh', '-c', 'echo hello from $(hostname); id -u'], { env: { A: '1' } })
console.log(`run: exit code ${out.exitCode}, it wrote ${JSON.stringify(out.stdout)}`)

const c = await engine.container(image, ['sh', '-c', 'for i in 1 2 3; do echo line $i; done; exec sleep 60'])
try {
  console.log(`started ${c.shortId}: ${await c.status()}`)
  await c.waitReady({ log: 'line 3', timeout: 10 })
  for await (const line of c.logs()) process.stdout.write(`  log: ${line}`)
  await c.stop({ timeout: 1 })
  console.log(`stopped: exit code ${(await c.wait()).code}`)
} finally {
  await c.close()
}

try {
  await engine.run(image, ['/no/such/command'])
} catch (error) {
  console.log(`an error has a code and a sentence: ${error.code}: ${error.message}`)
}

// What a user's checker sees of the package; it is compiled, and never run.
import sampan, { container, Engine, Image, run, type BytesOutput, type Container, type Output } from 'sampan'

export async function uses(engine: Engine, image: Image): Promise<void> {
  const byDefault: typeof Engine = sampan.Engine
  const opened: Engine = await byDefault.open()
  const started: Container[] = [await container(image), await sampan.container(image), await engine.container(image, ['true'])]
  await engine.plan(image, { env: ['A=1', 'HOME'], labels: ['x'], user: 1000, tmpfs: '/x', volumes: '/etc:/x:ro' })
  const text: Output = await run(image, ['true'], { env: { A: undefined, B: null, C: 1 }, labels: { a: 'b' } })
  const bytes: BytesOutput = await opened.run(image, { text: false, volumes: { '/etc': { bind: '/x', mode: 'ro' } } })
  for (const c of started) {
    for await (const line of c.logs({ follow: true })) line.startsWith(text.stdout)
    for await (const reading of c.statsStream()) reading.memory?.toFixed()
    await c.exec(['true'], { user: 0, env: { A: 1 } })
  }
  for await (const event of engine.events()) event.id.at(bytes.stdout.length)
  // @ts-expect-error
  await run(image, 'true')
  // @ts-expect-error
  await run(image, { cap_add: ['ALL'] })
}

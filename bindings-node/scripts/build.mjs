// Builds the addon and compiles lib/ into dist/. `--release` for a small and fast one, `--profile=NAME` for another of
// Cargo's; a debug build without either. `--no-native` for dist/ alone.
import { spawnSync } from 'node:child_process'
import { copyFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(dirname(fileURLToPath(import.meta.url)))
const named = process.argv.find((word) => word.startsWith('--profile='))?.slice('--profile='.length)
const profile = process.argv.includes('--release') ? 'release' : (named ?? 'dev')

function step(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: here, stdio: 'inherit' })
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}

if (!process.argv.includes('--no-native')) {
  step('cargo', ['build', '--quiet', '-p', 'sampan-node', '--profile', profile])
  const target = process.env.CARGO_TARGET_DIR ?? join(here, '..', 'target')
  const addon = join(here, `sampan.${process.platform}-${process.arch}-gnu.node`)
  // A fresh file: the old one may be mapped by a running process.
  rmSync(addon, { force: true })
  copyFileSync(join(target, profile === 'dev' ? 'debug' : profile, 'libsampan_node.so'), addon)
}
rmSync(join(here, 'dist'), { recursive: true, force: true })
step('node', [join(here, 'node_modules', 'typescript', 'bin', 'tsc')])

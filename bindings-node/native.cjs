'use strict'
// Finds the addon: beside this file in a build of one's own, else in the platform's package.

const PLATFORM = `${process.platform}-${process.arch}`

function libc() {
  // musl's report names no glibc version.
  return process.report?.getReport?.().header?.glibcVersionRuntime ? 'gnu' : 'musl'
}

function load() {
  if (process.platform !== 'linux') {
    throw new Error(`sampan runs containers on the Linux kernel, which ${process.platform} lacks: use it inside a Linux machine or VM`)
  }
  const name = `${PLATFORM}-${libc()}`
  for (const place of [`./sampan.${name}.node`, `@sampan/${name}`]) {
    try {
      return require(place)
    } catch (error) {
      if (error.code !== 'MODULE_NOT_FOUND') throw error
    }
  }
  throw new Error(`sampan has no addon for ${name}: its packages are for linux-x64-gnu`)
}

module.exports = load()

import sampan from './dist/index.js'
export default sampan
export * from './dist/index.js'

// One copy of the code for both kinds of module, so that `instanceof SampanError` holds across them.
import sampan from './dist/index.js'

export const {
  Attachment,
  BytesOutput,
  Container,
  ContainerFile,
  Containers,
  Engine,
  Exec,
  ExitError,
  Image,
  Images,
  Output,
  SampanError,
  container,
  containers,
  doctor,
  errorCodes,
  images,
  pull,
  run,
  useEngine,
  version,
} = sampan
export default sampan

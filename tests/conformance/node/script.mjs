// The cases of a file: lines of words.
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'

// A word is made of plain parts and quoted ones, in which everything stands for itself.
const WORD = /(?:[^\s'"]|'[^']*'|"[^"]*")+/g
const QUOTED = /'([^']*)'|"([^"]*)"/g

/** The cases of a file: `{ id, lines: [{ place, words }] }`. */
export function read(path) {
  const cases = []
  for (const [index, text] of readFileSync(path, 'utf8').split('\n').entries()) {
    if (!text.trim() || text.startsWith('#')) continue
    const words = text.match(WORD).map((word) => word.replace(QUOTED, (_, a, b) => a ?? b))
    if (words[0] === 'case') cases.push({ id: words[1], lines: [] })
    else cases.at(-1).lines.push({ place: `${basename(path)}:${index + 1}`, words })
  }
  return cases
}

// `node --import=./scripts/typescript.mjs file.ts`
import { register } from 'node:module'

register('./compile.mjs', import.meta.url)

// Runs the made-up ward by itself: `--devices N`, `--port N`, `--role R`, `--password P`, `--calm`, `--empty`;
// or, with `--api http://127.0.0.1:8080`, shows the files that are here before the API of a running Tidemark.

import { parseArgs } from 'node:util'
import { mock } from './server.mjs'

const { values } = parseArgs({
  options: { devices: { type: 'string', default: '12' }, port: { type: 'string', default: '8099' }, role: { type: 'string', default: 'admin' }, password: { type: 'string' }, api: { type: 'string' }, calm: { type: 'boolean' }, empty: { type: 'boolean' } },
})
const running = await mock({ ...values, devices: Number(values.devices), port: Number(values.port) })
console.log(`the console with a made-up ward of ${values.devices} devices: ${running.url}`)

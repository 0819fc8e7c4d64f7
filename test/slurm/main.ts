/** `npm run slurm-lab`: a private Slurm until Ctrl-C; prints what its clients need. */
import { once } from 'node:events'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'

const missing = slurmMissing()
if (missing !== undefined) {
  process.stderr.write(`no Slurm here: ${missing}\n`)
  process.exit(1)
}
const lab = await startSlurmLab()
process.stdout.write(`export SLURM_CONF=${lab.env.SLURM_CONF}\n`)
process.stderr.write(`${lab.nodes.length} nodes are idle; Ctrl-C ends everything\n`)
const keep = setInterval(() => {}, 1 << 30)
await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
clearInterval(keep)
await lab.close()

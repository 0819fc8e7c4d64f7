import t from 'tap'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { controlPlaneUnavailable, startControlPlane } from '../kube/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { startKubectl } from '../support/kubectl-process.ts'
import { requireReal } from '../support/require-real.ts'
import { venv } from '../support/venv.ts'
import { startSlurmCluster, type PodStatus } from './slurm-cluster.ts'

const artifacts = fileURLToPath(new URL('../../.artifacts/', import.meta.url))
const chromiumPath = process.env.CHROMIUM ?? '/usr/bin/chromium'
const jupyterlab = venv('jupyterlab')
const missing =
  slurmMissing() ??
  controlPlaneUnavailable() ??
  (existsSync(chromiumPath) ? undefined : `there is no ${chromiumPath}; install chromium`) ??
  jupyterlab.missing

t.test('a notebook of JupyterLab in a pod on Slurm is used through kubectl port-forward', async (t) => {
  if (!requireReal(t, missing)) return
  const cluster = await startControlPlane({ scheduler: false })
  t.teardown(() => cluster.stop())
  const lab = await startSlurmLab()
  t.teardown(() => lab.close())
  const { apply, until } = await startSlurmCluster(t, lab.options, 'interlink', cluster)
  const home = join(lab.dir, 'home')
  await mkdir(home)
  const [there, here] = [await freePort(), await freePort()]
  const token = randomBytes(16).toString('hex')
  const serve = [
    ...[
      jupyterlab.python,
      '-m',
      'jupyterlab',
      '--no-browser',
      '--allow-root',
      '--ip=127.0.0.1',
      `--port=${there}`
    ],
    ...['--ServerApp.port_retries=0', `--ServerApp.root_dir=${home}`],
    // It would ask for news on the Internet.
    '--LabApp.news_url=None'
  ]
  const env = { HOME: home, JUPYTER_TOKEN: token, PLACE: 'a pod on Slurm', IPYTHONDIR: home }
  await apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'lab' },
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 5,
      nodeName: 'interlink',
      containers: [
        {
          name: 'main',
          image: 'host',
          command: serve,
          readinessProbe: { tcpSocket: { host: '127.0.0.1', port: there }, periodSeconds: 1 },
          env: Object.entries(env).map(([name, value]) => ({ name, value }))
        }
      ]
    }
  })
  const isReady = ({ conditions = [] }: PodStatus) =>
    conditions.some(({ type, status }) => type === 'Ready' && status === 'True')
  await until('lab', isReady, 300_000)
  const forward = startKubectl(cluster.env, ['port-forward', 'lab', `${here}:${there}`])
  t.teardown(() => forward.child.kill())
  await eventually(() => /Forwarding from/.test(forward.text()))
  const url = `http://127.0.0.1:${here}`
  t.equal((await fetch(`${url}/api/contents`)).status, 403, 'without the token nothing is said')

  const browser = await chromium.launch({
    executablePath: chromiumPath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage']
  })
  t.teardown(() => browser.close())
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } })
  page.setDefaultTimeout(240_000)
  await page.goto(`${url}/lab?token=${token}`)
  await page.locator('.jp-LauncherCard[data-category="Notebook"]').first().click()
  const cell = page.locator('.jp-NotebookPanel .jp-CodeCell .cm-content').first()
  const code = 'import os, sys; print(6 * 7, "from", os.environ["PLACE"], sys.prefix)'
  await cell.click()
  await page.keyboard.insertText(code)
  await eventually(async () => (await cell.innerText()).trim() === code)
  const output = page.locator('.jp-NotebookPanel .jp-OutputArea-output').first()
  // A cell that is run before its kernel is there is not run, and nobody says so: a person does it once more.
  await eventually(
    async () => {
      await cell.click()
      await page.keyboard.press('Control+Enter')
      await output.waitFor({ timeout: 20_000 })
      return true
    },
    { deadlineMs: 240_000 }
  )
  await eventually(
    async () => (await output.innerText()).trim() === `42 from a pod on Slurm ${jupyterlab.directory}`
  )
  await mkdir(artifacts, { recursive: true })
  await page.screenshot({ path: join(artifacts, 'jupyterlab.png') })
})

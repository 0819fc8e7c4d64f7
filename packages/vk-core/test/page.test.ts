import t from 'tap'
import { mkdir } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { request } from 'node:http'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import fastify from 'fastify'
import { chromium, type Browser, type Page } from 'playwright-core'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { loadVkConfig } from '@interlink-ts/vk-core/config'
import { nodeShape } from '../src/node/node-shape.ts'
import type { PingState } from '../src/node/types.ts'
import { startPage } from '../src/page/server.ts'
import type { LogQuery, PodView } from '../src/pods/types.ts'

const artifacts = fileURLToPath(new URL('../../../.artifacts/', import.meta.url))
const chromiumPath = process.env.CHROMIUM ?? '/usr/bin/chromium'
const unavailable = existsSync(chromiumPath) ? undefined : `there is no ${chromiumPath}; install chromium`
if (unavailable && process.env.REQUIRE_REAL === '1') t.fail(unavailable)

/** A node's pods that the test changes at will. */
class Pods implements PodView {
  readonly #pods = new Map<string, Pod>()
  readonly #listeners = new Set<(uid: string) => void>()
  readonly queries: LogQuery[] = []
  log: () => Readable = () => Readable.from(['first line\n', 'last line\n'])
  list = () => [...this.#pods.values()]
  get = (namespace: string, name: string) =>
    this.list().find(({ metadata }) => metadata.namespace === namespace && metadata.name === name)
  jobId = (uid: string) => `job-of-${uid}`
  onChange = (listener: (uid: string) => void) => {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
  events = () => [
    {
      at: '2026-11-21T07:00:00Z',
      type: 'Normal' as const,
      reason: 'Started',
      message: 'Started container main'
    }
  ]
  logs = async (_pod: Pod, _container: string, query: LogQuery) => {
    this.queries.push(query)
    return this.log()
  }
  backend = { capabilities: new Set<string>(), hasAnswered: true }
  usage = async () => []
  stream = async () => Promise.reject(new Error('no stream'))
  put(pod: Pod) {
    const uid = pod.metadata.uid!
    this.#pods.set(uid, pod)
    for (const listener of this.#listeners) listener(uid)
  }
  remove(uid: string) {
    this.#pods.delete(uid)
    for (const listener of this.#listeners) listener(uid)
  }
}

const secret = 'hunter2-never-to-be-seen'
const startedAt = new Date(Date.now() - 60_000).toISOString()

function pod(name: string, phase: string, state: object): Pod {
  return {
    metadata: {
      name,
      namespace: 'science',
      uid: `uid-${name}`,
      creationTimestamp: new Date(Date.now() - 90_000).toISOString(),
      annotations: { note: secret }
    },
    spec: {
      nodeName: 'edge',
      containers: [
        {
          name: 'main',
          image: 'host',
          command: ['sh', '-c', `echo ${secret}`],
          env: [{ name: 'TOKEN', value: secret }],
          resources: { requests: { cpu: '2', memory: '1Gi' } }
        }
      ]
    },
    status: {
      phase,
      containerStatuses: [{ name: 'main', restartCount: 0, ready: phase === 'Running', state }]
    }
  } as Pod
}
const running = (name: string) => pod(name, 'Running', { running: { startedAt } })
const failed = (name: string) =>
  pod(name, 'Failed', {
    terminated: { exitCode: 42, reason: 'Error', message: 'no such file', startedAt, finishedAt: startedAt }
  })

async function serve(pods: Pods) {
  const config = await loadVkConfig({
    overrides: { interlink: { url: 'http://127.0.0.1:1' }, nodes: [{ name: 'edge', resources: { cpu: 8 } }] }
  })
  const state: { ping: PingState } = { ping: { healthy: true, text: '' } }
  const source = {
    name: 'edge',
    view: pods,
    get shape() {
      return nodeShape({
        config: config.nodes[0]!,
        ping: state.ping,
        address: '127.0.0.1',
        kubeletPort: 1,
        version: '0.0.0',
        pingTaints: []
      })
    }
  }
  const page = await startPage({ address: '127.0.0.1', port: 0, hosts: [] }, [source], fastify().log)
  return { page, state }
}

t.test('in a browser', { skip: unavailable ?? false }, async (t) => {
  const pods = new Pods()
  pods.put(running('train'))
  pods.put(failed('broken'))
  const { page: server, state } = await serve(pods)
  t.teardown(() => server.close())
  const browser: Browser = await chromium.launch({
    executablePath: chromiumPath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage']
  })
  t.teardown(() => browser.close())
  await mkdir(artifacts, { recursive: true })

  const open = async (width: number, height: number): Promise<Page> => {
    const page = await browser.newPage({ viewport: { width, height } })
    page.setDefaultTimeout(20_000)
    page.on('pageerror', (error) => t.fail(`the page threw: ${error.message}`))
    page.on('console', (message) => message.type() === 'error' && t.fail(`the page said: ${message.text()}`))
    await page.goto(server.url)
    await page.locator('.pod', { hasText: 'train' }).waitFor()
    return page
  }

  await t.test(
    'shows the node, its resources and every pod, and follows them without a reload',
    async (t) => {
      const page = await open(1200, 900)
      await page.evaluate('window.stayed = true')
      t.equal(await page.locator('.node-name').textContent(), 'edge')
      t.match(await page.locator('.bar', { hasText: 'CPU cores' }).textContent(), /2\s+of 8/)
      const broken = page.locator('.pod', { hasText: 'broken' })
      t.match(await broken.textContent(), /Failed/)
      t.match(await broken.locator('.why').textContent(), /main: Error, exit code 42: no such file/)
      t.match(await broken.locator('.job').textContent(), /job-of-uid-broken/)
      t.match(
        await page.locator('.pod', { hasText: 'train' }).locator('.times').textContent(),
        /waited 30 s.*running 1 m/s
      )

      pods.put(running('late'))
      await page.locator('.pod', { hasText: 'late' }).waitFor()
      pods.put(failed('train'))
      await page.locator('.pod[data-state=failed]', { hasText: 'train' }).waitFor()
      pods.remove('uid-late')
      await page.locator('.pod', { hasText: 'late' }).waitFor({ state: 'detached' })
      state.ping = { healthy: false, text: '', error: 'connection refused' }
      await page.locator('.node-state', { hasText: 'Not ready' }).waitFor()
      t.match(await page.locator('.node-message').textContent(), /connection refused/)
      state.ping = { healthy: true, text: '' }
      await page.locator('.node.ready').waitFor()
      t.equal(await page.evaluate('window.stayed'), true, 'it was never loaded again')
      pods.put(running('train'))
      await page.close()
    }
  )

  await t.test('works with the keyboard alone', async (t) => {
    const page = await open(1200, 900)
    const focused = () => page.evaluate('document.activeElement.textContent.trim()')
    const tabTo = async (text: RegExp) => {
      for (let presses = 0; presses < 30; presses++) {
        await page.keyboard.press('Tab')
        if (text.test(String(await focused()))) return
      }
      t.fail(`Tab never reached ${text}`)
    }
    await tabTo(/^Failed/)
    await page.keyboard.press('Enter')
    await page.locator('.pod', { hasText: 'train' }).waitFor({ state: 'detached' })
    await tabTo(/broken/)
    const ring = await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')
    t.equal(ring, 'solid', 'the focus is seen')
    await page.keyboard.press('Enter')
    const details = page.locator('.pod[open]')
    await details.locator('.log', { hasText: 'last line' }).waitFor()
    await details.locator('.events', { hasText: 'Started container main' }).waitFor()
    await page.screenshot({ path: `${artifacts}page-desktop.png` })
    await page.keyboard.press('Enter')
    await details.waitFor({ state: 'detached' })
    await page.close()
  })

  await t.test('asks nothing of other hosts and shows no secret', async (t) => {
    const page = await browser.newPage()
    const urls: string[] = []
    page.on('request', (request) => urls.push(request.url()))
    await page.goto(server.url)
    await page.locator('.pod', { hasText: 'train' }).locator('summary').click()
    await page.locator('.log', { hasText: 'last line' }).waitFor()
    t.ok(urls.length >= 6, `${urls.length} requests`)
    t.same(
      urls.filter((url) => !url.startsWith(server.url)),
      []
    )
    t.notMatch(await page.content(), secret)
    await page.close()
  })

  await t.test('markup in names, reasons and logs is text', async (t) => {
    const markup = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>'
    const hostilePods = new Pods()
    const one = pod('hostile', 'Failed', {
      terminated: { exitCode: 1, reason: markup, message: markup, startedAt, finishedAt: startedAt }
    })
    one.metadata.name = markup
    one.metadata.namespace = markup
    one.spec.containers[0]!.name = markup
    one.status!.containerStatuses![0]!.name = markup
    hostilePods.put(one)
    hostilePods.events = () => [{ at: startedAt, type: 'Normal', reason: markup, message: markup }]
    hostilePods.log = () => Readable.from([`${markup}\n`])
    const hostile = (await serve(hostilePods)).page
    t.teardown(() => hostile.close())
    const page = await browser.newPage()
    await page.goto(hostile.url)
    await page.locator('.pod summary').click()
    await page.locator('.log', { hasText: 'onerror' }).waitFor()
    t.equal(await page.evaluate('window.hurt'), undefined)
    t.equal(await page.locator('img[src=x]').count(), 0)
    t.equal(await page.locator('body script').count(), 0)
    await page.close()
  })

  await t.test('fits a phone', async (t) => {
    const page = await open(390, 844)
    await page.locator('.pod', { hasText: 'broken' }).locator('summary').click()
    await page.locator('.log', { hasText: 'last line' }).waitFor()
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), 390, 'nothing is scrolled sideways')
    const targets = await page.evaluate(
      '[...document.querySelectorAll("button:not([hidden]), summary")].filter((e) => e.offsetParent).map((e) => e.getBoundingClientRect().height)'
    )
    t.ok(
      (targets as number[]).every((height) => height >= 32),
      'what is touched is large enough'
    )
    await page.screenshot({ path: `${artifacts}page-phone.png`, fullPage: true })
    await page.close()
  })
})

t.test('the data behind it carries no environment, command or annotation', async (t) => {
  const pods = new Pods()
  pods.put(running('train'))
  const { page } = await serve(pods)
  t.teardown(() => page.close())
  const live = await fetch(`${page.url}live`)
  const { value } = await live.body!.getReader().read()
  const text = new TextDecoder().decode(value)
  t.match(text, /event: snapshot/)
  t.match(text, /job-of-uid-train/)
  t.notMatch(text, secret)
  t.match(live.headers.get('cache-control'), /no-store/)
})

t.test('a name that is not its own is not served, so that no other site can read it', async (t) => {
  const { page } = await serve(new Pods())
  t.teardown(() => page.close())
  const status = (host: string) =>
    new Promise<number | undefined>((resolve, reject) =>
      request(page.url, { headers: { host } }, (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end()
    )
  t.equal(await status('evil.example.org'), 421)
  t.equal(await status('127.0.0.1.evil.example.org'), 421)
  t.equal(await status('127.0.0.1'), 200)
  t.equal(await status('localhost:1234'), 200)
  t.equal(await status('[::1]'), 200)
})

t.test('assets are asked for again and answered 304 while they are the same', async (t) => {
  const { page } = await serve(new Pods())
  t.teardown(() => page.close())
  const first = await fetch(`${page.url}page.js`)
  await first.arrayBuffer()
  t.match(first.headers.get('content-security-policy'), /default-src 'none'/)
  const again = await fetch(`${page.url}page.js`, {
    headers: { 'if-none-match': first.headers.get('etag')! }
  })
  t.equal(again.status, 304)
})

t.test('a log that cannot be read says why', async (t) => {
  const pods = new Pods()
  pods.put(pod('waits', 'Pending', { waiting: { reason: 'Priority' } }))
  const { page } = await serve(pods)
  t.teardown(() => page.close())
  const answer = await fetch(`${page.url}pods/uid-waits/log/main`)
  t.equal(answer.status, 400)
  t.match(await answer.json(), { message: /waiting to start: Priority/ })
  t.equal((await fetch(`${page.url}pods/nobody/events`)).status, 404)
})

import http, { type ServerResponse } from 'node:http'
import t from 'tap'
import { InterlinkError } from '../src/errors.ts'
import { clientOf, defer, double, logRequest, raw, request, serve, text } from './helpers.ts'
import { answer, podOf, startPluginDouble, statusOf, uidOf } from './plugin-double.ts'

t.test(
  'a create reaches the plugin with every container, init first, and the objects that each mounts',
  async (t) => {
    const plugin = await double(t, ({ json }, response) =>
      answer(response, {
        PodUID: (json as { pod: { metadata: { uid: string } } }).pod.metadata.uid,
        PodJID: '4711'
      })
    )
    const url = await serve(t, [plugin])
    const client = clientOf(t, { url, nodeName: 'vk' })
    const created = await client.create(request(), { session: 'CreatePod#7' })
    t.same(created, { PodUID: uidOf(1), PodJID: '4711' })
    const [call] = plugin.calls
    t.equal(call!.method, 'POST')
    t.equal(call!.path, '/create')
    t.equal(call!.headers['interlink-http-session'], 'CreatePod#7')
    const sent = JSON.parse(call!.body)
    t.same(
      sent.container.map((c: { name: string }) => c.name),
      ['first', 'main', 'side']
    )
    t.same(
      sent.container.map((c: Record<string, unknown[] | null>) => [
        c.configMaps?.length ?? null,
        c.secrets?.length ?? null,
        c.projectedvolumemaps?.length ?? null,
        c.emptyDirs
      ]),
      [
        [1, null, null, null],
        [null, 1, 1, null],
        [null, null, null, null]
      ]
    )
    t.equal(sent.container[1].secrets[0].data.p, 'c2VjcmV0')
    t.same(sent.jobConfig.Volumes.additional_directories_in_path, null, 'jobConfig is always whole')
  }
)

t.test('a plugin of the old protocol gets the create in an array of one', async (t) => {
  const plugin = await double(t, (_call, response) =>
    answer(response, [{ PodUID: uidOf(1), PodJID: 12 }], 201)
  )
  const url = await serve(t, [], { plugins: [{ name: 'old', url: plugin.url, createBody: 'array' }] })
  t.equal((await clientOf(t, { url }).create(request())).PodJID, '12')
  t.ok(Array.isArray(JSON.parse(plugin.calls[0]!.body)))
})

t.test('what a plugin refuses reaches the caller with its code, its fields and its own status', async (t) => {
  const plugin = await double(t, (_call, response) =>
    answer(
      response,
      {
        code: 'PLUGIN_REFUSED',
        message: 'spec.hostPID is not supported',
        session: 'x',
        retry: false,
        refusals: [{ field: 'spec.hostPID', message: 'not supported' }]
      },
      422
    )
  )
  const url = await serve(t, [plugin])
  const error = await clientOf(t, { url })
    .create(request())
    .catch((error: InterlinkError) => error)
  t.ok(error instanceof InterlinkError)
  t.match(error, { code: 'PLUGIN_REFUSED', status: 422, retry: 'no' })
  t.same((error as InterlinkError).details.refusals, [{ field: 'spec.hostPID', message: 'not supported' }])
})

t.test('the error of a plugin that writes HTML is short JSON with its words', async (t) => {
  const page = `<!doctype html><html><head><style>x{}</style></head><body><h1>500</h1><p>disk full</p>${'<i>x</i> '.repeat(5000)}</body>`
  const plugin = await double(t, (_call, response) =>
    response.writeHead(500, { 'content-type': 'text/html' }).end(page)
  )
  const url = await serve(t, [plugin])
  const { status, body, headers } = await raw(url, 'POST', '/create', JSON.stringify(request()), {
    'interlink-http-session': 'CreatePod#9'
  })
  t.equal(status, 500)
  t.match(headers['content-type'], /^application\/json/)
  const json = JSON.parse(body)
  t.match(json, { code: 'IL_PLUGIN_FAILED', session: 'CreatePod#9', retry: true, outcome: 'unknown' })
  t.match(json.plugin, { name: 'p0', status: 500, body: /^500 disk full/ })
  t.ok(body.length < 6000)
})

t.test('a plugin that is down is an answer that says the create may be tried again', async (t) => {
  const plugin = await startPluginDouble(() => {})
  await plugin.close()
  const url = await serve(t, [plugin])
  const error = await clientOf(t, { url })
    .create(request())
    .catch((error: InterlinkError) => error)
  t.match(error, { code: 'IL_UNREACHABLE', status: 503, retry: 'yes' })
})

t.test('a plugin that does not answer in time leaves the outcome unknown', async (t) => {
  const plugin = await double(t, () => {})
  const url = await serve(t, [plugin], { pluginTimeoutSeconds: 0.2 })
  const error = await clientOf(t, { url })
    .create(request())
    .catch((error: InterlinkError) => error)
  t.match(error, { code: 'IL_TIMEOUT', status: 504, retry: 'unknown-outcome' })
})

t.test(
  'statuses are asked in one call of a plugin that offers it, and only those asked for come back',
  async (t) => {
    const plugin = await double(t, ({ json }, response) => {
      const pods = json as { metadata: { uid: string } }[]
      if (pods.length === 0) return answer(response, { status: 'ok', capabilities: ['status.batch'] })
      answer(response, [...pods.slice(1).map((pod) => statusOf(pod.metadata.uid)), statusOf(uidOf(99))])
    })
    const url = await serve(t, [plugin])
    const pods = [1, 2, 3].map((n) => podOf({ uid: uidOf(n) }))
    const statuses = await clientOf(t, { url }).status(pods)
    t.same(
      statuses.map(({ UID }) => UID),
      [uidOf(2), uidOf(3)]
    )
    t.equal(plugin.calls.filter(({ body }) => body !== '[]').length, 1)
    t.equal(plugin.calls[0]!.method, 'GET')
  }
)

t.test('a plugin that answers for the first pod only is asked pod by pod from then on', async (t) => {
  const plugin = await double(t, ({ json }, response) => {
    const [pod] = json as { metadata: { uid: string } }[]
    if (!pod) return answer(response, { error: 'list index out of range' }, 500)
    answer(response, [statusOf(pod.metadata.uid)])
  })
  const url = await serve(t, [plugin])
  const client = clientOf(t, { url })
  const pods = [1, 2, 3, 4].map((n) => podOf({ uid: uidOf(n) }))
  for (const _round of [1, 2]) {
    const statuses = await client.status(pods)
    t.same(
      statuses.map(({ UID }) => UID).sort(),
      pods.map((pod) => pod.metadata.uid)
    )
  }
  const sizes = plugin.calls
    .map(({ body }) => (JSON.parse(body) as unknown[]).length)
    .filter((size) => size > 0)
  t.same(sizes, [4, 1, 1, 1, 1, 1, 1, 1])
})

t.test('a status is never remembered: a pod that the plugin forgets is left out', async (t) => {
  let knows = true
  const plugin = await double(t, (_call, response) => answer(response, knows ? [statusOf(uidOf(1))] : null))
  const url = await serve(t, [plugin])
  const client = clientOf(t, { url })
  t.equal((await client.status([podOf({ uid: uidOf(1) })])).length, 1)
  knows = false
  t.same(await client.status([podOf({ uid: uidOf(1) })]), [])
  const empty = await raw(url, 'GET', '/status', '[]')
  t.equal(empty.body, '[]')
})

t.test('a pod goes to the plugin of its node and its labels', async (t) => {
  const doubles = await Promise.all(
    [0, 1, 2].map((n) =>
      double(t, (_call, response) => answer(response, { PodUID: uidOf(1), PodJID: `${n}` }))
    )
  )
  const url = await serve(t, [], {
    plugins: [
      { name: 'any', url: doubles[0]!.url },
      { name: 'gpu', url: doubles[1]!.url, podLabels: { kind: 'gpu' } },
      { name: 'far', url: doubles[2]!.url, nodes: ['far'] }
    ]
  })
  const client = clientOf(t, { url })
  const create = async (labels: Record<string, string>, nodeName: string) => {
    const whole = request()
    const pod = {
      ...whole.pod,
      metadata: { ...whole.pod.metadata, labels },
      spec: { ...whole.pod.spec, nodeName }
    }
    return (await client.create({ ...whole, pod })).PodJID
  }
  t.equal(await create({}, 'vk'), '0')
  t.equal(await create({ kind: 'gpu' }, 'vk'), '1')
  t.equal(await create({}, 'far'), '2')
})

t.test('a node that no plugin serves is told so', async (t) => {
  const plugin = await double(t, (_call, response) => answer(response, {}))
  const url = await serve(t, [], { plugins: [{ name: 'p', url: plugin.url, nodes: ['other'] }] })
  const error = await clientOf(t, { url })
    .create(request())
    .catch((error: InterlinkError) => error)
  t.match(error, { code: 'IL_NO_PLUGIN', status: 421, message: /node vk/ })
})

t.test('a delete comes by DELETE or POST and goes on by POST', async (t) => {
  const plugin = await double(t, (_call, response) => response.end('All good'))
  const url = await serve(t, [plugin])
  t.equal(await clientOf(t, { url }).delete(podOf({ uid: uidOf(1) })), 'All good')
  const posted = await raw(url, 'POST', '/delete', JSON.stringify(podOf({ uid: uidOf(1) })))
  t.equal(posted.status, 200)
  t.same(
    plugin.calls.map(({ method, path }) => [method, path]),
    [
      ['POST', '/delete'],
      ['POST', '/delete']
    ]
  )
})

t.test('a pod whose labels were changed after its create is still found and deleted', async (t) => {
  const unknown = (response: ServerResponse) =>
    answer(response, { code: 'PLUGIN_UNKNOWN_POD', message: 'not mine', session: '', retry: false }, 404)
  const other = await double(t, ({ path }, response) =>
    path === '/delete' ? unknown(response) : answer(response, [])
  )
  const owner = await double(t, ({ path }, response) =>
    path === '/delete' ? response.end('deleted') : answer(response, [statusOf(uidOf(1))])
  )
  const url = await serve(t, [], {
    plugins: [
      { name: 'other', url: other.url, podLabels: { kind: 'b' } },
      { name: 'owner', url: owner.url, podLabels: { kind: 'a' } }
    ]
  })
  const client = clientOf(t, { url })
  for (const labels of [{ kind: 'a' }, { kind: 'b' }, { kind: 'c' }]) {
    const pod = podOf({ uid: uidOf(1), labels })
    t.equal((await client.status([pod])).length, 1)
    t.equal(await client.delete(pod), 'deleted')
  }
})

t.test('a log or a delete without labels finds the plugin that has the pod', async (t) => {
  const stranger = await double(t, (_call, response) =>
    answer(response, { code: 'PLUGIN_UNKNOWN_POD', message: 'not mine', session: '', retry: false }, 404)
  )
  const owner = await double(t, ({ path }, response) => response.end(path === '/getLogs' ? 'line\n' : 'gone'))
  const url = await serve(t, [stranger, owner])
  const client = clientOf(t, { url })
  t.equal(await client.delete({ metadata: { uid: uidOf(1), name: 'a', namespace: 'default' } }), 'gone')
  const { stream } = await client.logs(logRequest())
  t.equal(await text(stream), 'line\n')
})

t.test('log requests that the reference refuses are refused with 400 and the field', async (t) => {
  const plugin = await double(t, (_call, response) => response.end())
  const url = await serve(t, [plugin])
  const wrong: [object, string][] = [
    [{ ...logRequest(), Namespace: '../x' }, 'Namespace'],
    [{ ...logRequest(), PodUID: uidOf(1).toUpperCase().replace('4', 'A') }, 'PodUID'],
    [{ ...logRequest(), ContainerName: 'a/b' }, 'ContainerName'],
    [logRequest({ Tail: 1, Bytes: 1 }), 'Opts'],
    [logRequest({ SinceSeconds: 1, SinceTime: '2026-01-01T00:00:00Z' }), 'Opts'],
    [logRequest({ Tail: -1 }), 'Opts.Tail']
  ]
  for (const [body, field] of wrong) {
    const { status, body: said } = await raw(url, 'GET', '/getLogs', JSON.stringify(body))
    t.equal(status, 400, field)
    t.match(JSON.parse(said), { code: 'IL_INVALID_LOG_OPTIONS', message: new RegExp(`^${field}:`) })
  }
  t.equal(plugin.calls.length, 0)
})

t.test(
  'a follower has its headers before there is a line, and its leaving ends the call at the plugin',
  async (t) => {
    const left = defer()
    const plugin = await double(t, (_call, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' })
      response.flushHeaders()
      response.on('close', () => left.resolve())
    })
    const url = await serve(t, [plugin])
    const leave = new AbortController()
    const { stream } = await clientOf(t, { url }).logs(logRequest({ Follow: true }), { signal: leave.signal })
    stream.on('error', () => {})
    leave.abort()
    await left.promise
    t.pass('the plugin saw the end')
  }
)

t.test('a reader that stops reading stops the plugin: the log is not gathered on the way', async (t) => {
  let written = 0
  const chunk = Buffer.alloc(64 * 1024, 'x')
  const stalled = defer()
  const plugin = await double(t, (_call, response) => {
    response.writeHead(200)
    const push = () => {
      while (written < 512 * 1024 * 1024) {
        written += chunk.length
        if (!response.write(chunk)) {
          const stall = setTimeout(stalled.resolve, 500)
          return response.once('drain', () => {
            clearTimeout(stall)
            push()
          })
        }
      }
      response.end()
    }
    push()
  })
  const url = await serve(t, [plugin])
  const { stream } = await clientOf(t, { url }).logs(logRequest())
  await stalled.promise
  t.ok(written < 64 * 1024 * 1024, `${written} bytes were on the way`)
  stream.destroy()
})

t.test("a ping with any verb is the plugin's own answer", async (t) => {
  const plugin = await double(t, ({ method, path, body }, response) =>
    answer(response, { status: 'ok', asked: `${method} ${path} ${body}`, capabilities: ['watch'] })
  )
  const url = await serve(t, [plugin])
  for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH'])
    t.match(JSON.parse((await raw(url, method, '/pinglink')).body), { asked: 'GET /status []' }, method)
  const ping = await clientOf(t, { url }).ping({ node: 'vk' })
  t.equal(ping.ok, true)
  t.ok(ping.capabilities.has('watch'))
})

t.test('pings of several plugins are added up, and one that is down is named with 503', async (t) => {
  let secondUp = true
  const first = await double(t, (_call, response) =>
    answer(response, {
      resources: {
        cpu: '2',
        memory: '1Gi',
        ephemeralStorage: '1Gi',
        accelerators: [{ resourceType: 'nvidia.com/gpu', available: 1, free: 0, models: ['t4'] }],
        free: { cpu: '1' }
      },
      queues: [{ name: 'short', nodes: 2, maxSeconds: 60 }],
      capabilities: ['watch', 'status.batch'],
      taints: []
    })
  )
  const second = await double(t, (_call, response) =>
    secondUp
      ? answer(response, {
          resources: {
            cpu: '500m',
            memory: '2Gi',
            ephemeralStorage: '2Gi',
            accelerators: [{ resourceType: 'nvidia.com/gpu', available: '3', free: '2', models: ['a100'] }],
            free: { cpu: '2' }
          },
          capabilities: ['watch'],
          taints: [{ key: 'a', effect: 'NoSchedule' }]
        })
      : answer(response, { status: 'no' }, 503)
  )
  const url = await serve(t, [first, second])
  const client = clientOf(t, { url })
  t.match((await client.ping()).parsed, {
    resources: {
      cpu: '2500m',
      memory: '3Gi',
      ephemeralStorage: '3Gi',
      accelerators: [{ resourceType: 'nvidia.com/gpu', available: '4', free: '2', models: ['t4', 'a100'] }],
      free: { cpu: '3' }
    },
    queues: [{ name: 'short', nodes: 2, maxSeconds: 60 }],
    capabilities: ['watch'],
    taints: [{ key: 'a', effect: 'NoSchedule' }]
  })
  secondUp = false
  const down = await client.ping()
  t.equal(down.ok, false)
  t.equal(down.status, 503)
  t.match(down.body, /IL_PLUGINS_DOWN.*p1 \(503/)
})

t.test('a ping answer that is text is text, and healthy', async (t) => {
  const plugin = await double(t, (_call, response) => response.end('I am fine'))
  const url = await serve(t, [plugin])
  const ping = await clientOf(t, { url }).ping()
  t.equal(ping.ok, true)
  t.equal(ping.body, 'I am fine')
  t.equal(ping.parsed, undefined)
})

t.test(
  'bodies that are malformed, wrong or too large are refused as JSON without quoting them',
  async (t) => {
    const plugin = await double(t, (_call, response) => answer(response, {}))
    const url = await serve(t, [plugin], { bodyLimit: 2048 })
    const malformed = await raw(url, 'POST', '/create', '{"secret": hunter2}')
    t.equal(malformed.status, 400)
    t.match(JSON.parse(malformed.body), { code: 'IL_MALFORMED_JSON' })
    t.notMatch(malformed.body, 'hunter2')
    const wrong = await raw(url, 'GET', '/status', '[{"metadata":{"uid":{"hunter2":1}}}]')
    t.equal(wrong.status, 400)
    t.match(JSON.parse(wrong.body), {
      code: 'IL_INVALID_MESSAGE',
      message: '[0].metadata.uid: expected string, found an object'
    })
    const large = await raw(url, 'POST', '/create', JSON.stringify({ x: 'y'.repeat(4096) }))
    t.equal(large.status, 413)
    t.match(JSON.parse(large.body), { code: 'IL_BODY_TOO_LARGE', message: /2048 bytes; raise bodyLimit/ })
    const nowhere = await raw(url, 'GET', '/nothing')
    t.equal(nowhere.status, 404)
    t.match(JSON.parse(nowhere.body), {
      code: 'IL_ROUTE_NOT_FOUND',
      message: 'there is no GET /nothing here'
    })
  }
)

t.test('a client that aborts in the middle of a body does not harm the server', async (t) => {
  const plugin = await double(t, (_call, response) => answer(response, [statusOf(uidOf(1))]))
  const url = await serve(t, [plugin])
  await new Promise<void>((resolve) => {
    const req = http.request(new URL('/delete', url), {
      method: 'DELETE',
      headers: { 'content-length': '1000' }
    })
    req.on('error', () => resolve())
    req.write('{"metadata":', () => req.destroy())
    req.on('close', () => resolve())
  })
  t.equal((await clientOf(t, { url }).status([podOf({ uid: uidOf(1) })])).length, 1)
})

t.test('devices for resource claims are those of all plugins that lend any, each name once', async (t) => {
  const lending = (names: readonly string[], model: string) =>
    double(t, (call, response) => {
      if (call.path !== '/devices') return answer(response, { status: 'ok', capabilities: ['devices'] })
      answer(response, {
        devices: names.map((name) => ({ name, attributes: { model: { string: model } } })),
        sharedCounters: [{ name: `set-${model}`, counters: { part: { value: '1' } } }]
      })
    })
  const others = await double(t, (_call, response) => answer(response, { status: 'ok', capabilities: [] }))
  const url = await serve(t, [
    await lending(['a', 'b'], 'first'),
    others,
    await lending(['b', 'c'], 'second')
  ])
  const client = clientOf(t, { url })
  t.ok((await client.ping()).capabilities.has('devices'))
  const { devices, sharedCounters } = await client.devices()
  t.same(
    devices.map(({ name, attributes }) => [name, (attributes.model as { string: string }).string]),
    [
      ['a', 'first'],
      ['b', 'first'],
      ['c', 'second']
    ]
  )
  t.same(
    sharedCounters?.map(({ name }) => name),
    ['set-first', 'set-second']
  )
  t.notOk(
    others.calls.some(({ path }) => path === '/devices'),
    'who lends none is not asked'
  )
  const wrong = await double(t, ({ path }, response) =>
    answer(
      response,
      path === '/devices' ? { devices: [{ name: 'No Label' }] } : { capabilities: ['devices'] }
    )
  )
  await t.rejects(clientOf(t, { url: await serve(t, [wrong]) }).devices(), {
    message: /devices\[0\]/
  })
})

t.test('the document at /openapi.json has every live route and no other', async (t) => {
  const plugin = await double(t, (_call, response) => answer(response, []))
  const url = await serve(t, [plugin])
  const document = JSON.parse((await raw(url, 'GET', '/openapi.json')).body)
  t.same(Object.keys(document.paths).sort(), [
    '/attach',
    '/create',
    '/delete',
    '/devices',
    '/ephemeral',
    '/exec',
    '/getLogs',
    '/healthz',
    '/metrics',
    '/openapi.json',
    '/pinglink',
    '/portforward',
    '/readyz',
    '/status',
    '/updateCache',
    '/usage',
    '/watch'
  ])
  for (const [path, operations] of Object.entries<Record<string, unknown>>(document.paths))
    for (const method of ['get', 'post', 'put', 'delete', 'patch']) {
      if (path === '/watch') continue
      const { body, status } = await raw(url, method.toUpperCase(), path, method === 'get' ? undefined : '')
      const missing = status === 404 && body.includes('IL_ROUTE_NOT_FOUND')
      t.equal(missing, !(method in operations), `${method} ${path}`)
    }
})

t.test('metrics count calls by route; health and readiness answer', async (t) => {
  const plugin = await double(t, (_call, response) => answer(response, []))
  const url = await serve(t, [plugin])
  t.equal((await raw(url, 'GET', '/healthz')).status, 200)
  t.equal((await raw(url, 'GET', '/readyz')).status, 200)
  const { body, headers } = await raw(url, 'GET', '/metrics')
  t.match(headers['content-type'], /^text\/plain; version=0.0.4/)
  t.match(body, /interlink_api_requests_total\{route="\/readyz",method="GET",status="200"\} 1/)
  await plugin.close()
  t.equal((await raw(url, 'GET', '/readyz')).status, 503)
})

import t from 'tap'
import type { InterlinkError } from '../src/errors.ts'
import { clientOf, double, request, serve } from './helpers.ts'
import { answer, uidOf } from './plugin-double.ts'

const build = { ApptainerOptions: { executable: 'singularity' } } as never

t.test('the script of a builder goes to the plugin with the pod', async (t) => {
  const plugin = await double(t, (_call, response) => answer(response, { PodUID: uidOf(1), PodJID: '1' }))
  const builder = await double(t, (_call, response) => response.end('#!/bin/sh\necho built\n'))
  const url = await serve(t, [plugin], { jobScriptBuild: build })
  await clientOf(t, { url }).create({ ...request(), jobscriptURL: `${builder.url}/build` })
  t.equal(builder.calls[0]!.path, '/build')
  t.equal(JSON.parse(builder.calls[0]!.body).jobConfig.ApptainerOptions.executable, 'singularity')
  t.match(JSON.parse(plugin.calls[0]!.body), {
    jobScript: '#!/bin/sh\necho built\n',
    jobConfig: { ApptainerOptions: { executable: 'singularity', fakeroot: false } }
  })
})

t.test('where the admin has not configured it, or the builder fails, the plugin is not asked', async (t) => {
  const plugin = await double(t, (_call, response) => answer(response, { PodUID: uidOf(1), PodJID: '1' }))
  const builder = await double(t, (_call, response) => response.writeHead(500).end('hunter2'))
  const failure = async (url: string, jobscriptURL: string) =>
    (await clientOf(t, { url })
      .create({ ...request(), jobscriptURL })
      .catch((error: unknown) => error)) as InterlinkError
  const plain = await serve(t, [plugin])
  t.match(await failure(plain, builder.url), {
    code: 'IL_JOB_SCRIPT_NOT_CONFIGURED',
    status: 400,
    retry: 'no'
  })
  const configured = await serve(t, [plugin], { jobScriptBuild: build })
  t.match(await failure(configured, builder.url), {
    code: 'IL_JOB_SCRIPT_FAILED',
    status: 502,
    message: /it answered 500/
  })
  t.match(await failure(configured, 'file:///etc/passwd'), {
    code: 'IL_INVALID_MESSAGE',
    message: /jobscriptURL: expected an http or https URL/
  })
  t.equal(plugin.calls.length, 0)
})

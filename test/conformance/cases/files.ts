import { deepEqual, equal, match, ok } from 'node:assert/strict'
import type { Case } from '../run-cases.ts'
import { of } from '../workbench.ts'

const base64 = (text: string) => Buffer.from(text).toString('base64')

export const files: readonly Case[] = [
  {
    name: 'the files of a ConfigMap and a Secret are where they are mounted, with items and modes',
    async run({ run, shell }) {
      const pod = await run(
        {
          containers: [
            shell(
              'cat /etc/app/config.ini; cat /keys/id; stat -L -c %a /keys/id; ls /keys; cat /etc/app/deep/er; od -An -tx1 /etc/app/bytes',
              {
                volumeMounts: [
                  { name: 'cfg', mountPath: '/etc/app' },
                  { name: 'key', mountPath: '/keys', readOnly: true }
                ]
              }
            )
          ],
          volumes: [
            {
              name: 'cfg',
              configMap: {
                name: 'app',
                items: [
                  { key: 'config.ini', path: 'config.ini' },
                  { key: 'nested', path: 'deep/er' },
                  { key: 'bytes', path: 'bytes' }
                ]
              }
            },
            {
              name: 'key',
              secret: { secretName: 'ssh', defaultMode: 0o400, items: [{ key: 'k', path: 'id' }] }
            }
          ]
        },
        {
          configmaps: [
            {
              metadata: { name: 'app' },
              data: { 'config.ini': 'a = "b"\n', nested: 'deep\n', unused: 'x' },
              binaryData: { bytes: Buffer.from([0, 255, 10]).toString('base64') }
            }
          ],
          secrets: [{ metadata: { name: 'ssh' }, data: { k: base64('secret\n'), other: base64('no') } }]
        }
      )
      equal(of(await pod.ended()).state!.terminated!.exitCode, 0, await pod.log())
      equal(await pod.log(), 'a = "b"\nsecret\n400\nid\ndeep\n 00 ff 0a\n')
    }
  },
  {
    name: 'a subPath mounts one file, beside what is in the directory',
    async run({ run, shell }) {
      const pod = await run(
        {
          containers: [
            shell('cat /etc/one.conf; test -e /etc/passwd && echo beside', {
              volumeMounts: [{ name: 'cfg', mountPath: '/etc/one.conf', subPath: 'one' }]
            })
          ],
          volumes: [{ name: 'cfg', configMap: { name: 'cm' } }]
        },
        { configmaps: [{ metadata: { name: 'cm' }, data: { one: '1\n', two: '2\n' } }] }
      )
      equal(of(await pod.ended()).state!.terminated!.exitCode, 0, await pod.log())
      equal(await pod.log(), '1\nbeside\n')
    }
  },
  {
    name: 'a volume of files cannot be written to',
    async run({ run, shell }) {
      const pod = await run(
        {
          containers: [
            shell('exec 2>/dev/null; echo x >/cfg/one || echo refused; echo y >/cfg/new || echo refused', {
              volumeMounts: [{ name: 'cfg', mountPath: '/cfg' }]
            })
          ],
          volumes: [{ name: 'cfg', configMap: { name: 'cm' } }]
        },
        { configmaps: [{ metadata: { name: 'cm' }, data: { one: '1' } }] }
      )
      await pod.ended()
      equal(await pod.log(), 'refused\nrefused\n')
    }
  },
  {
    name: 'the token of the service account is where programs look for it',
    async run({ run, shell }) {
      const path = '/var/run/secrets/kubernetes.io/serviceaccount'
      const pod = await run(
        {
          containers: [
            shell(`cat ${path}/token ${path}/namespace`, {
              volumeMounts: [{ name: 'kube-api-access', mountPath: path, readOnly: true }]
            })
          ],
          volumes: [
            {
              name: 'kube-api-access',
              projected: {
                sources: [
                  { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
                  {
                    downwardAPI: {
                      items: [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }]
                    }
                  }
                ]
              }
            }
          ]
        },
        {
          projected: [
            { metadata: { name: 'kube-api-access' }, data: { token: 'tok\n', namespace: 'conformance\n' } }
          ]
        }
      )
      equal(of(await pod.ended()).state!.terminated!.exitCode, 0, await pod.log())
      match(await pod.log(), /^tok\nconformance\n?$/)
    }
  },
  {
    name: 'an emptyDir is shared by the containers of a pod, also in memory, and empty at first',
    async run({ run, shell }) {
      const volumeMounts = [
        { name: 'disk', mountPath: '/share' },
        { name: 'fast', mountPath: '/fast' }
      ]
      const pod = await run({
        initContainers: [
          shell('ls -A /share /fast | grep -v : | grep .; echo init >/share/a; echo init >/fast/b', {
            name: 'init',
            volumeMounts
          })
        ],
        containers: [
          shell('cat /share/a /fast/b; echo main >/share/done', { volumeMounts }),
          shell('until [ -e /there/done ]; do sleep 0.1; done; cat /there/done', {
            name: 'other',
            volumeMounts: [{ name: 'disk', mountPath: '/there' }]
          })
        ],
        volumes: [
          { name: 'disk', emptyDir: {} },
          { name: 'fast', emptyDir: { medium: 'Memory' } }
        ]
      })
      const status = await pod.ended()
      equal(await pod.log('init'), '')
      equal(await pod.log(), 'init\ninit\n', JSON.stringify(status))
      equal(await pod.log('other'), 'main\n')
    }
  },
  {
    name: 'a subPath of an emptyDir is made, and one that leads out of it by a link is not followed',
    async run({ run, shell }) {
      const pod = await run({
        initContainers: [
          shell('ln -s / /vol/out; ls /sub', {
            name: 'init',
            volumeMounts: [
              { name: 'v', mountPath: '/vol' },
              { name: 'v', mountPath: '/sub', subPath: 'a/b' }
            ]
          })
        ],
        containers: [
          shell('ls /mnt/escape', {
            volumeMounts: [{ name: 'v', mountPath: '/mnt/escape', subPath: 'out' }]
          })
        ],
        volumes: [{ name: 'v', emptyDir: {} }]
      })
      const status = await pod.ended()
      equal(of(status, 'init').state!.terminated!.exitCode, 0)
      ok(of(status).state!.terminated!.exitCode !== 0, await pod.log())
    }
  },
  {
    name: 'a volume can be mounted inside another',
    async run({ run, shell }) {
      const pod = await run(
        {
          containers: [
            shell('ls /data; cat /data/cfg/one; touch /data/mine && ls /data', {
              volumeMounts: [
                { name: 'cfg', mountPath: '/data/cfg' },
                { name: 'data', mountPath: '/data' }
              ]
            })
          ],
          volumes: [
            { name: 'data', emptyDir: {} },
            { name: 'cfg', configMap: { name: 'cm' } }
          ]
        },
        { configmaps: [{ metadata: { name: 'cm' }, data: { one: '1\n' } }] }
      )
      equal(of(await pod.ended()).state!.terminated!.exitCode, 0, await pod.log())
      deepEqual(await pod.log(), 'cfg\n1\ncfg\nmine\n')
    }
  }
]

import { deepEqual, equal, ok } from 'node:assert/strict'
import { expandedAnnotation } from '@interlink-ts/interlink-api/wire'
import type { Case } from '../run-cases.ts'
import { of } from '../workbench.ts'

const hostile = [
  `it's "quoted" \\ and \`not run\``,
  '$(touch /tmp/interlink-pwned) ${HOME} $HOME',
  '  two  spaces  and a\ttab ',
  'line one\nline two\n',
  '*',
  '-n',
  '--help',
  ';|&<>!{}[]#~',
  'žluťoučký kůň 🐎',
  '',
  '%s %d \\n \\x41'
]

/** Prints its arguments as they are, each ended by NUL, which no argument can hold. */
const printer = 'printf "%s\\0" "$@"'

export const environment: readonly Case[] = [
  {
    name: 'values of the environment arrive as they are, whatever is in them',
    async run({ run, shell }) {
      const env = hostile.map((value, index) => ({ name: `V${index}`, value }))
      const names = env.map(({ name }) => `"$${name}"`).join(' ')
      const pod = await run({ containers: [shell(`set -- ${names}; ${printer}`, { env })] })
      equal(of(await pod.ended()).state!.terminated!.exitCode, 0)
      deepEqual((await pod.log()).split('\0').slice(0, -1), hostile)
    }
  },
  {
    name: 'names that are no shell names are in the environment too',
    async run({ run, image }) {
      const names = ['a.b', 'a-b', '1st', 'with space', 'UPPER.lower-9']
      const env = names.map((name) => ({ name, value: `value of ${name}` }))
      const pod = await run({ containers: [{ name: 'main', image, command: ['env'], env }] })
      equal(of(await pod.ended()).state!.terminated!.exitCode, 0, await pod.log())
      const lines = (await pod.log()).split('\n')
      for (const name of names) ok(lines.includes(`${name}=value of ${name}`), name)
    }
  },
  {
    name: 'nothing of the environment of the plugin reaches a pod',
    async run({ run, image }) {
      process.env.INTERLINK_CONFORMANCE_SECRET = 'not for pods'
      const pod = await run({ containers: [{ name: 'main', image, command: ['env'] }] })
      await pod.ended()
      ok(!(await pod.log()).includes('not for pods'))
    }
  },
  {
    name: 'arguments arrive as they are, whatever is in them',
    async run({ run, image }) {
      const pod = await run(
        { containers: [{ name: 'main', image, command: ['/bin/sh', '-c', printer, 'sh'], args: hostile }] },
        { annotations: { [expandedAnnotation]: 'env,args' } }
      )
      equal(of(await pod.ended()).state!.terminated!.exitCode, 0)
      deepEqual((await pod.log()).split('\0').slice(0, -1), hostile)
    }
  },
  {
    name: 'an argument of 100 KiB arrives whole',
    async run({ run, image }) {
      const long = 'x'.repeat(100 * 1024)
      const pod = await run({
        containers: [{ name: 'main', image, command: ['/bin/sh', '-c', 'echo ${#1}', 'sh', long] }]
      })
      await pod.ended()
      equal(await pod.log(), `${long.length}\n`)
    }
  },
  {
    name: '$(VAR) of command and arguments is expanded once, and $$(VAR) is left as $(VAR)',
    async run({ run, image }) {
      const pod = await run({
        containers: [
          {
            name: 'main',
            image,
            command: ['/bin/sh', '-c', printer, 'sh'],
            args: ['$(GREETING) you', '$$(GREETING)', '$(UNKNOWN)', '$(NESTED)'],
            env: [
              { name: 'GREETING', value: 'hello' },
              { name: 'NESTED', value: '$(GREETING)' }
            ]
          }
        ]
      })
      await pod.ended()
      deepEqual((await pod.log()).split('\0').slice(0, -1), [
        'hello you',
        '$(GREETING)',
        '$(UNKNOWN)',
        '$(GREETING)'
      ])
    }
  }
]

import t from 'tap'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fingerprint, judgeHostKey, knownKeyTypes } from '../src/kit/transport/known-hosts.ts'

const wire = (type: string, body: string): Buffer => {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(type.length)
  return Buffer.concat([length, Buffer.from(type), Buffer.from(body)])
}
const key = wire('ssh-ed25519', 'the key')
const other = wire('ssh-ed25519', 'another')
const line = (patterns: string, of = key) => `${patterns} ssh-ed25519 ${of.toString('base64')} a comment\n`

t.test('a key is known by the name of its host, a changed one is told from an unknown', async (t) => {
  t.equal(judgeHostKey(line('login.hpc'), 'login.hpc', 22, key), 'known')
  t.equal(judgeHostKey(line('login.hpc'), 'LOGIN.hpc', 22, key), 'known')
  t.equal(judgeHostKey(line('login.hpc'), 'login.hpc', 22, other), 'changed')
  t.equal(judgeHostKey(line('login.hpc'), 'login.hpc', 2222, key), 'unknown')
  t.equal(judgeHostKey(line('[login.hpc]:2222'), 'login.hpc', 2222, key), 'known')
  t.equal(judgeHostKey(`# ${line('login.hpc')}\n`, 'login.hpc', 22, key), 'unknown')
  t.equal(judgeHostKey(line('login.hpc', other) + line('login.hpc'), 'login.hpc', 22, key), 'known')
})

t.test('patterns, negations and markers are read as sshd has them', async (t) => {
  t.equal(judgeHostKey(line('*.hpc,!bad.hpc'), 'login1.hpc', 22, key), 'known')
  t.equal(judgeHostKey(line('*.hpc,!bad.hpc'), 'bad.hpc', 22, key), 'unknown')
  t.equal(judgeHostKey(line('*.hpc'), 'loginxhpc', 22, key), 'unknown')
  t.equal(judgeHostKey(`@revoked ${line('*')}${line('login')}`, 'login', 22, key), 'revoked')
  t.equal(judgeHostKey(`@cert-authority ${line('*')}`, 'login', 22, key), 'unknown')
})

const keygen = existsSync('/usr/bin/ssh-keygen')
  ? false
  : 'ssh-keygen is missing; apt-get install openssh-client'
t.test('hashed names and fingerprints are those of OpenSSH', { skip: keygen }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'interlink-known-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, 'id')])
  const [type = '', encoded = ''] = readFileSync(join(dir, 'id.pub'), 'utf8').split(' ')
  const real = Buffer.from(encoded, 'base64')
  const file = join(dir, 'known_hosts')
  writeFileSync(file, `[login.hpc]:2222 ${type} ${encoded}\n`)
  execFileSync('ssh-keygen', ['-H', '-f', file], { stdio: 'ignore' })
  const text = readFileSync(file, 'utf8')
  t.match(text, /^\|1\|/)
  t.equal(judgeHostKey(text, 'login.hpc', 2222, real), 'known')
  t.equal(judgeHostKey(text, 'login.hpc', 22, real), 'unknown')
  t.same(knownKeyTypes(text, 'login.hpc', 2222), ['ssh-ed25519'])
  t.match(
    execFileSync('ssh-keygen', ['-l', '-f', join(dir, 'id.pub')], { encoding: 'utf8' }),
    fingerprint(real)
  )
})

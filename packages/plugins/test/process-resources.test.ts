import t from 'tap'
import { join } from 'node:path'
import { memoryLimit } from '../src/process/offered-resources.ts'

t.test('the memory that is offered is the least limit of the control groups above the plugin', async (t) => {
  const limits = (site: string, pods: string, plugin: string) => {
    const dir = t.testdir({
      own: '12:memory:/elsewhere\n0::/site/pods/plugin\n',
      groups: {
        site: {
          'memory.max': `${site}\n`,
          pods: { 'memory.max': `${pods}\n`, plugin: { 'memory.max': `${plugin}\n` } }
        }
      }
    })
    return memoryLimit(join(dir, 'groups'), join(dir, 'own'))
  }
  t.equal(await limits('max', '2048', '4096'), 2048, 'of a group between')
  t.equal(await limits('1024', 'max', '4096'), 1024, 'of the highest')
  t.equal(await limits('max', 'max', '512'), 512, 'of its own')
  t.equal(await limits('max', 'max', 'max'), Infinity, 'none')
  const dir = t.testdir({ own: '4:memory:/version/one\n' })
  t.equal(await memoryLimit(dir, join(dir, 'own')), Infinity, 'no group of version 2')
  t.equal(await memoryLimit(dir, join(dir, 'none')), Infinity, 'nothing to read')
})

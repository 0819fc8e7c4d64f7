import type { FastifyPluginAsync } from 'fastify'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import type { KubeletPods } from './pods-of.ts'

/**
 * `/pods` and `/runningpods/`: the API server's own objects, in which references to Secrets stay references.
 * What was resolved for the backend never comes here.
 */
export const podLists: FastifyPluginAsync<{ readonly pods: KubeletPods }> = async (app, { pods }) => {
  const listOf = (items: readonly Pod[]) => ({
    kind: 'PodList',
    apiVersion: 'v1',
    metadata: {},
    items: items.map((pod) => ({ kind: 'Pod', apiVersion: 'v1', ...pod }))
  })
  const running = () => pods.list().filter((pod) => pod.status?.phase === 'Running')
  app.get('/pods', async () => listOf(pods.list()))
  app.get('/pods/', async () => listOf(pods.list()))
  app.get('/runningpods', async () => listOf(running()))
  app.get('/runningpods/', async () => listOf(running()))
}

import type { FastifyPluginAsync } from 'fastify'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import type { PodView } from '../pods/types.ts'

/**
 * `/pods` and `/runningpods/`: the API server's own objects, in which references to Secrets stay references.
 * What was resolved for the backend never comes here.
 */
export const pods: FastifyPluginAsync<{ readonly view: PodView }> = async (app, { view }) => {
  const listOf = (items: readonly Pod[]) => ({
    kind: 'PodList',
    apiVersion: 'v1',
    metadata: {},
    items: items.map((pod) => ({ kind: 'Pod', apiVersion: 'v1', ...pod }))
  })
  const running = () => view.list().filter((pod) => pod.status?.phase === 'Running')
  app.get('/pods', async () => listOf(view.list()))
  app.get('/pods/', async () => listOf(view.list()))
  app.get('/runningpods', async () => listOf(running()))
  app.get('/runningpods/', async () => listOf(running()))
}

import { randomUUID } from 'node:crypto'
import type { InterlinkClient } from '@interlink-ts/interlink-api/client'
import { decode, type RetrievedPodData } from '@interlink-ts/interlink-api/wire'
import { eventually } from '../support/eventually.ts'

/** A pod of one container `main` that runs and does nothing. */
export async function idlePod(client: InterlinkClient) {
  const uid = randomUUID()
  const spec = {
    nodeName: 'bench',
    restartPolicy: 'Never',
    containers: [{ name: 'main', image: 'host', command: ['sleep', '100000'] }]
  }
  const metadata = { name: 'box', namespace: 'bench', uid }
  const { PodJID: jobId } = await client.create(
    decode('RetrievedPodData', { pod: { metadata, spec }, container: [] }) as RetrievedPodData
  )
  await eventually(
    async () => (await client.status([{ metadata }]))[0]?.containers[0]?.state?.running !== undefined,
    { deadlineMs: 60_000 }
  )
  return { uid, jobId, metadata }
}

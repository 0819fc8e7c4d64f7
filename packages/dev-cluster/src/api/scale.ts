import { at, type Json, type KubeObject } from '../object.ts'

/** The autoscaling/v1 Scale of a workload. */
export const scaleOf = (object: KubeObject): Json => ({
  kind: 'Scale',
  apiVersion: 'autoscaling/v1',
  metadata: {
    name: object.metadata.name,
    namespace: object.metadata.namespace,
    uid: object.metadata.uid,
    resourceVersion: object.metadata.resourceVersion,
    creationTimestamp: object.metadata.creationTimestamp
  },
  spec: { replicas: at<number>(object, 'spec', 'replicas') ?? 0 },
  status: { replicas: at<number>(object, 'status', 'replicas') ?? 0 }
})

/** A workload with the replicas of a Scale. */
export const scaled = (object: KubeObject, scale: Json): Json => ({
  ...object,
  metadata: { ...object.metadata, resourceVersion: at<string>(scale, 'metadata', 'resourceVersion') ?? '' },
  spec: { ...(object.spec as Json), replicas: at<number>(scale, 'spec', 'replicas') ?? 0 }
})

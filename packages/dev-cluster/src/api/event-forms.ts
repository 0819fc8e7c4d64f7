/** core/v1 and events.k8s.io/v1 show the same events; they are stored in the form of core/v1. */
import { at, type Json, type KubeObject } from '../object.ts'
import type { Resource } from '../resources.ts'

const modern = ({ kind, group }: Resource) => kind === 'Event' && group === 'events.k8s.io'

/** An object as the given resource shows it. */
export function shown(resource: Resource, object: KubeObject): KubeObject {
  if (!modern(resource))
    return object.apiVersion === 'events.k8s.io/v1' ? { ...object, apiVersion: 'v1' } : object
  const {
    involvedObject,
    message,
    source,
    firstTimestamp,
    lastTimestamp,
    count,
    reportingComponent,
    ...rest
  } = object
  return {
    ...rest,
    metadata: object.metadata,
    apiVersion: 'events.k8s.io/v1',
    regarding: involvedObject,
    note: message,
    reportingController: reportingComponent,
    deprecatedSource: source,
    deprecatedFirstTimestamp: firstTimestamp,
    deprecatedLastTimestamp: lastTimestamp,
    deprecatedCount: count
  }
}

/** What came in for the given resource, in the form that is stored. */
export function storable(resource: Resource, body: Json): Json {
  if (!modern(resource)) return body
  const {
    regarding,
    note,
    reportingController,
    deprecatedSource,
    deprecatedFirstTimestamp,
    deprecatedLastTimestamp,
    deprecatedCount,
    ...rest
  } = body
  const when = at<string>(body, 'series', 'lastObservedTime') ?? body.eventTime
  return {
    ...rest,
    involvedObject: regarding ?? body.involvedObject,
    message: note ?? body.message,
    reportingComponent: reportingController ?? body.reportingComponent,
    source: deprecatedSource ?? body.source ?? { component: reportingController },
    firstTimestamp: deprecatedFirstTimestamp ?? body.firstTimestamp ?? body.eventTime,
    lastTimestamp: deprecatedLastTimestamp ?? body.lastTimestamp ?? when,
    count: deprecatedCount ?? at(body, 'series', 'count') ?? body.count ?? 1
  }
}

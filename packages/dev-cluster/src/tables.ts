/** Objects as rows. Source: meta.k8s.io/v1 Table. */
import { age, columns, name } from './columns.ts'
import type { Json, KubeObject } from './object.ts'
import type { Resource } from './resources.ts'

/** A Table of objects; `includeObject` None, Metadata or Object. */
export function table(
  resource: Resource,
  objects: readonly KubeObject[],
  metadata: Json,
  includeObject = 'Metadata'
): Json {
  const shown = columns[resource.kind] ?? [name, age]
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: shown.map((column) => ({
      name: column.name,
      type: column.type ?? 'string',
      format: column.name === 'Name' ? 'name' : '',
      description: '',
      priority: column.priority ?? 0
    })),
    rows: objects.map((object) => ({
      cells: shown.map((column) => column.cell(object)),
      ...(includeObject === 'None'
        ? {}
        : {
            object:
              includeObject === 'Object'
                ? object
                : { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata }
          })
    }))
  }
}

import type { Refusal } from './plan.ts'

/** Something that a pod says to its site. */
export interface Annotation {
  /** As the pod has it, for messages. */
  readonly name: string
  readonly value: string
}

export const annotationField = (name: string): string => `metadata.annotations[${name}]`
export const refuseAnnotation = ({ name }: Annotation, message: string): Refusal => ({
  field: annotationField(name),
  message
})

import type { Plan } from '../kit/plan/plan.ts'
import { containerForm } from './container-form.ts'
import type { InstanceForm } from './instance-form.ts'
import { machineForm } from './machine-form.ts'
import { typeName } from './pod-wishes.ts'

export const formOf = ({ pod }: Pick<Plan, 'pod'>): InstanceForm =>
  pod.annotations[typeName] === 'vm' ? machineForm : containerForm

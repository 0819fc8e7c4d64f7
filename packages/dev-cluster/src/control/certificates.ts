/** Approves and signs the certificates of nodes: this cluster is for one person, who started both. */
import { at, now, type Json } from '../object.ts'
import { known } from '../resources.ts'
import type { Pki } from '../pki.ts'
import type { Controller } from './controller.ts'

const requests = known('certificates.k8s.io/v1', 'CertificateSigningRequest')
const signers: Readonly<Record<string, 'server' | 'client'>> = {
  'kubernetes.io/kubelet-serving': 'server',
  'kubernetes.io/kube-apiserver-client-kubelet': 'client',
  'kubernetes.io/kube-apiserver-client': 'client'
}

export const certificateController = (pki: Pki): Controller => ({
  resource: requests,
  reconcile(csr, { cluster, warn }) {
    const usage = signers[String(at(csr, 'spec', 'signerName'))]
    const conditions = at<Json[]>(csr, 'status', 'conditions') ?? []
    if (
      !usage ||
      at(csr, 'status', 'certificate') ||
      conditions.some((one) => one.type === 'Denied' || one.type === 'Failed')
    )
      return
    const { name } = csr.metadata
    const put = (status: Json) =>
      cluster.change(requests, undefined, name, (found) => ({
        ...found,
        status: { ...(found.status as Json), ...status }
      }))
    if (!conditions.some((one) => one.type === 'Approved'))
      return put({
        conditions: [
          ...conditions,
          {
            type: 'Approved',
            status: 'True',
            reason: 'AutoApproved',
            message: 'approved by the development cluster',
            lastUpdateTime: now()
          }
        ]
      })
    const pem = Buffer.from(String(at(csr, 'spec', 'request')), 'base64').toString()
    pki
      .sign(pem, usage, at<number>(csr, 'spec', 'expirationSeconds'))
      .then((certificate) => put({ certificate: Buffer.from(certificate).toString('base64') }))
      .catch((error: Error) => {
        warn({ err: error, name }, 'certificate request not signed')
        put({
          conditions: [
            ...conditions,
            {
              type: 'Failed',
              status: 'True',
              reason: 'SignerValidationFailure',
              message: error.message,
              lastUpdateTime: now()
            }
          ]
        })
      })
  }
})

import t, { type Test } from 'tap'
import { loadVkConfig } from '@interlink-ts/vk-core/config'

const load = (t: Test, text: string, env: Record<string, string> = {}, overrides = {}) => {
  const dir = t.testdir({ 'vk.yaml': text })
  return loadVkConfig({ path: `${dir}/vk.yaml`, env, overrides })
}

t.test('our own file: nodes inherit defaults, and say what differs', async (t) => {
  const config = await load(
    t,
    `
interlink: { url: unix:///run/api.sock }
defaults:
  labels: { zone: edge }
  taints: [{ key: maintenance, effect: NoExecute }]
  resources: { cpu: 8, memory: 64Gi }
nodes:
  - name: a
  - name: b
    interlink: { url: 'https://b:3000', tokenFile: /token }
    labels: { disk: nvme }
    resources: { cpu: 500m, example.com/qubits: 5 }
    kubelet: { port: 10251 }
kubelet: { address: 127.0.0.1, port: 10250 }
page: { port: 8080 }
`
  )
  const [a, b] = config.nodes
  t.match(a, {
    name: 'a',
    interlink: { url: 'unix:///run/api.sock', pingSeconds: 10 },
    labels: { zone: 'edge' },
    resources: { cpu: '8', memory: '64Gi', pods: '10000' },
    taints: [
      { key: 'virtual-node.interlink/no-schedule', value: 'true', effect: 'NoSchedule' },
      { key: 'maintenance', effect: 'NoExecute' }
    ]
  })
  t.match(b, {
    interlink: { url: 'https://b:3000', tokenFile: '/token' },
    labels: { zone: 'edge', disk: 'nvme' },
    resources: { cpu: '500m', memory: '64Gi', 'example.com/qubits': '5' },
    kubeletPort: 10251
  })
  t.match(config.kubelet, { address: '127.0.0.1', port: 10250, csr: true })
  t.match(config.page, { address: '127.0.0.1', port: 8080 })
})

t.test('the reference’s file and environment mean the same here', async (t) => {
  const config = await load(
    t,
    `
InterlinkURL: https://edge.example.org
InterlinkPort: 8443
VKTokenFile: /opt/interlink/token
HTTP: { Insecure: true }
TLS: { Enabled: true, CertFile: /c.crt, KeyFile: /c.key, CACertFile: /ca.crt }
DisableCSR: true
PodCIDR: { Subnet: 10.20.0.0/24 }
KubernetesApiAddr: k8s.example.org
KubernetesApiPort: 6443
VerboseLogging: true
NodeLabels: [ "site=edge", "note=a.b" ]
NodeTaints: [ { Key: gpu, Value: "true", Effect: Nonsense } ]
Resources:
  CPU: 128
  Memory: 512Gi
  Pods: 1000
  Accelerators:
    - { ResourceType: nvidia.com/gpu, Model: a100, Available: 4 }
    - { ResourceType: nvidia.com/gpu, Model: a100, Available: 2 }
    - { ResourceType: nvidia.com/mig-1g.5gb, Model: a100, Available: 7 }
    - { ResourceType: xilinx.com/fpga, Model: u55c, Available: 2 }
    - { ResourceType: intel.com/fpga, Available: 0 }
`,
    { NODENAME: 'ref', POD_IP: '10.0.0.7', KUBELET_PORT: '10250', KUBELET_URL: '0.0.0.0', KUBECONFIG: '/k' }
  )
  t.match(config, {
    kubeconfig: '/k',
    kubelet: { address: '0.0.0.0', port: 10250, csr: false, csrSigner: 'kubernetes.io/kubelet-serving' },
    pods: { kubernetesApi: { host: 'k8s.example.org', port: '6443' } }
  })
  t.match(config.nodes, [
    {
      name: 'ref',
      address: '10.0.0.7',
      podCIDR: '10.20.0.0/24',
      interlink: {
        url: 'https://edge.example.org:8443',
        tokenFile: '/opt/interlink/token',
        tls: { caFile: '/ca.crt', certFile: '/c.crt', keyFile: '/c.key', insecureSkipVerify: true }
      },
      labels: { site: 'edge', note: 'a.b', 'nvidia-gpu-type': 'a100', 'xilinx-fpga-type': 'u55c' },
      resources: {
        cpu: '128',
        memory: '512Gi',
        pods: '1000',
        'nvidia.com/gpu': '6',
        'nvidia.com/mig-1g.5gb': '7',
        'xilinx.com/fpga': '2'
      }
    }
  ])
  t.same(config.nodes[0]!.taints[1], { key: 'gpu', value: 'true', effect: 'NoSchedule' })
  t.notOk('intel.com/fpga' in config.nodes[0]!.resources, 'what has none of it is left out')
})

t.test('the values of the reference’s chart declare the same accelerators', async (t) => {
  const config = await load(
    t,
    `
nodeName: fpga-node
interlink: { address: http://interlink, port: 4000 }
virtualNode:
  resources:
    CPUs: 8
    memGib: 49
    pods: 100
    accelerators:
      - { resource_type: nvidia.com/gpu, model: t4, available: 1 }
      - { resource_type: xilinx.com/fpga, model: u55c, available: 2 }
  HTTPProxies: { HTTP: null, HTTPS: null }
  HTTP: { Insecure: true }
`
  )
  t.match(config.nodes[0], {
    name: 'fpga-node',
    interlink: { url: 'http://interlink:4000', tls: { insecureSkipVerify: true } },
    resources: { cpu: '8', memory: '49Gi', pods: '100', 'nvidia.com/gpu': '1', 'xilinx.com/fpga': '2' },
    labels: { 'nvidia-gpu-type': 't4', 'xilinx-fpga-type': 'u55c' }
  })
})

t.test('a name given on the command line renames the only node, or picks one of several', async (t) => {
  const one = 'interlink: { url: http://a }\nnodes: [{ name: x, labels: { l: v } }]'
  const renamed = await load(t, one, {}, { nodes: [{ name: 'y' }] })
  t.match(renamed.nodes, [{ name: 'y', labels: { l: 'v' } }])
  const several = 'interlink: { url: http://a }\nnodes: [{ name: x }, { name: y }]'
  t.match(await load(t, several, { NODENAME: 'y' }), { nodes: [{ name: 'y' }] })
  await t.rejects(load(t, several, { NODENAME: 'z' }), /no node is named "z"; there are x, y/)
})

t.test('an error names the file, the line, the key and what was expected', async (t) => {
  const wrong = (text: string) => load(t, text)
  await t.rejects(
    wrong('interlink: { url: http://a }\nnodes:\n  - name: x\n    lables: { a: b }\n'),
    /vk\.yaml:4: nodes\[0\]\.lables: there is no such key/
  )
  await t.rejects(
    wrong('interlink: { url: http://a }\nnodes: [{ name: x }]\nkubelet:\n  port: 99999\n'),
    /vk\.yaml:4: kubelet\.port: expected/
  )
  await t.rejects(wrong('interlink: { url: ftp://a }\nnodes: [{ name: x }]\n'), /vk\.yaml:1: interlink\.url/)
  await t.rejects(wrong('interlink: { url: http://a }\n'), /no node is named; give/)
  await t.rejects(wrong('nodes: [{ name: x }]\n'), /"x" has no interlink\.url/)
  await t.rejects(
    wrong('interlink: { url: http://a }\nnodes:\n  - name: x\n  - name: x\n'),
    /vk\.yaml:4: nodes\[1\]\.name: "x" is there twice/
  )
  await t.rejects(wrong('interlink: { url: http://a }\nnodes: [{ name: Not_A_Name }]\n'), /nodes\[0\]\.name/)
  await t.rejects(
    wrong('interlink: { url: http://a }\nnodes: [{ name: x }]\npage: { address: 0.0.0.0 }\n'),
    /vk\.yaml:3: page\.address: 0\.0\.0\.0 is reachable from outside/
  )
  await t.rejects(loadVkConfig({ path: '/does/not/exist.yaml' }), /cannot be read/)
})

t.test('what the cluster would refuse of a node is refused at start, whichever file says it', async (t) => {
  const node = (more: string) => `interlink: { url: http://a }\nnodes:\n  - name: x\n    ${more}\n`
  const cases: [string, RegExp][] = [
    [node('resources: { cpu: lots }'), /:4: nodes\[0\]\.resources\.cpu: expected a quantity such as/],
    [node('resources: { memory: 12XB }'), /:4: nodes\[0\]\.resources\.memory: expected a quantity/],
    [
      node('resources: { gpu: 1 }'),
      /:4: nodes\[0\]\.resources\["gpu"\]: expected cpu, memory, .* nvidia\.com\/gpu/
    ],
    [node('resources: { nvidia.com/gpu: 0.5 }'), /resources\["nvidia\.com\/gpu"\]: expected a whole number/],
    [node('taints: [{ key: "a b" }]'), /:4: nodes\[0\]\.taints\["a b"\]: expected a key/],
    [node('taints: [{ key: a, value: "b c" }]'), /taints\["a"\]\.value: expected a value/],
    [node('taints: [{ key: a, effect: No }]'), /:4: nodes\[0\]\.taints\[0\]\.effect: expected "NoSchedule"/],
    [node('labels: { "a b": c }'), /:4: nodes\[0\]\.labels\["a b"\]: expected a key/],
    [node(`labels: { a: ${'x'.repeat(64)} }`), /labels\["a"\]: expected a value of at most 63/],
    [node('annotations: { "": a }'), /annotations\[""\]: expected a key/],
    [node('interlink: { url: "http://a b" }'), /:4: nodes\[0\]\.interlink\.url: expected http:/],
    [node('kubelet: { port: -1 }'), /:4: nodes\[0\]\.kubelet\.port: expected/],
    ['nodes: [{ name: x.-y }]\n', /nodes\[0\]\.name: expected a DNS name in lower case/],
    [node('labels: {}') + 'kubelet: { certFile: /a }\n', /:5: kubelet: expected both certFile and keyFile/],
    ['nodes:\n\t- name: x\n', /:2: tab as indent/],
    ['nodes: &a [*a]\n', /:1: .*100 levels/],
    ['nodes: x\n', /:1: nodes: expected array, found a string/],
    ['- a\n', /:1: body: expected object, found an array/]
  ]
  for (const [text, message] of cases) await t.rejects(load(t, text), { code: 'IL_CONFIG', message }, text)
  for (const [text, message] of [
    ['InterlinkURL: http://a\nResources: { CPU: lots }\n', /resources\["cpu"\]: expected a quantity/],
    ['InterlinkURL: http://a\nNodeLabels: ["a b=c"]\n', /labels\["a b"\]: expected a key/],
    ['InterlinkURL: a\n', /interlink\.url: expected http:/]
  ] as const)
    await t.rejects(load(t, text, { NODENAME: 'x' }), { code: 'IL_CONFIG', message }, text)
})

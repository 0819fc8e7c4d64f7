// Draws what /live tells. Every text from the cluster is set as text, never as markup.

const byId = (id) => document.getElementById(id)
const stamp = (id) => byId(id).content.firstElementChild.cloneNode(true)
const setText = (element, text) => {
  if (element.textContent !== text) element.textContent = text
}
const make = (tag, text, className = '') => {
  const element = document.createElement(tag)
  element.textContent = text
  element.className = className
  return element
}

const states = ['waiting', 'running', 'succeeded', 'failed', 'ending']
const onlyNode = new URLSearchParams(location.search).get('node')
const pods = new Map()
const rows = new Map()
const nodes = new Map()
let clockOffset = 0
let total = 0
let shown = 'all'
let wanted = ''
let log

// Data

function connect() {
  const source = new EventSource('/live')
  source.addEventListener('snapshot', (event) => {
    const snapshot = JSON.parse(event.data)
    setLive('live')
    pods.clear()
    for (const pod of snapshot.pods) pods.set(pod.uid, pod)
    take(snapshot)
  })
  source.addEventListener('changes', (event) => {
    const changes = JSON.parse(event.data)
    for (const uid of changes.gone) pods.delete(uid)
    for (const pod of changes.pods) pods.set(pod.uid, pod)
    take(changes)
    for (const { uid } of changes.pods) if (rows.get(uid)?.open) refresh(uid)
  })
  source.addEventListener('error', () => setLive('lost'))
}

function take({ now, nodes: newNodes, total: newTotal }) {
  clockOffset = Date.parse(now) - Date.now()
  total = newTotal
  if (newNodes.length > 0) drawNodes(newNodes.filter(({ name }) => !onlyNode || name === onlyNode))
  drawPods()
}

function setLive(state) {
  byId('live').dataset.live = state
  setText(byId('live'), state === 'lost' ? 'connection lost, trying again' : state)
}

// Nodes

function drawNodes(list) {
  const section = byId('nodes')
  section.classList.toggle('many', list.length > 3)
  const names = new Set(list.map(({ name }) => name))
  for (const [name, element] of nodes) {
    if (names.has(name)) continue
    element.remove()
    nodes.delete(name)
  }
  for (const node of list) {
    let element = nodes.get(node.name)
    if (!element) {
      element = stamp('node-template')
      setText(element.querySelector('.node-name'), node.name)
      nodes.set(node.name, element)
      section.append(element)
    }
    element.classList.toggle('ready', node.ready)
    setText(element.querySelector('.node-state strong'), node.ready ? 'Ready' : 'Not ready')
    setText(element.querySelector('.node-message'), node.message)
    drawBars(element.querySelector('.bars'), node.resources)
  }
  document.title = list.length === 1 ? `${list[0].name} · interlink` : 'interlink'
}

function drawBars(list, resources) {
  const bars = [...list.children]
  resources.forEach(({ name, used, total: all }, index) => {
    const bar = bars[index] ?? list.appendChild(stamp('bar-template'))
    const [usedText, allText] = amounts(name, used, all)
    const share = all > 0 ? Math.min(1, used / all) : 0
    setText(bar.querySelector('dt'), labels[name] ?? name)
    setText(bar.querySelector('.used'), usedText)
    setText(bar.querySelector('.total'), `of ${allText}`)
    bar.classList.toggle('full', share > 0.9)
    const track = bar.querySelector('.track')
    track.setAttribute('aria-label', labels[name] ?? name)
    track.setAttribute('aria-valuemax', all)
    track.setAttribute('aria-valuenow', used)
    track.setAttribute(
      'aria-valuetext',
      `${usedText} used of ${allText}, ${amounts(name, all - used, all)[0]} free`
    )
    bar.title = `${amounts(name, Math.max(0, all - used), all)[0]} free`
    bar.querySelector('.fill').style.width = `${used > 0 ? Math.max(1, share * 100) : 0}%`
  })
  for (const bar of bars.slice(resources.length)) bar.remove()
}

const labels = { cpu: 'CPU cores', memory: 'Memory', pods: 'Pods', 'ephemeral-storage': 'Disk' }
const bytes = new Set(['memory', 'ephemeral-storage'])
const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

function amounts(name, used, all) {
  if (!bytes.has(name)) return [plain(used), plain(all)]
  return [size(used), size(all)]
}

const plain = (value) => value.toLocaleString('en', { maximumFractionDigits: 2 })

function size(value) {
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 })} ${units[unit]}`
}

// Pods

const urgency = { failed: 1, running: 0, waiting: 0, ending: 0, succeeded: 1 }

function drawPods() {
  const list = [...pods.values()].filter(({ node }) => !onlyNode || node === onlyNode)
  drawFilters(list)
  const visible = list
    .filter(({ state }) => shown === 'all' || state === shown)
    .filter((pod) => !wanted || `${pod.namespace}/${pod.name} ${pod.jobId}`.toLowerCase().includes(wanted))
    .sort(
      (a, b) =>
        urgency[a.state] - urgency[b.state] ||
        b.createdAt.localeCompare(a.createdAt) ||
        a.name.localeCompare(b.name)
    )
  const keep = new Set(visible.map(({ uid }) => uid))
  for (const [uid, row] of rows) {
    if (keep.has(uid)) continue
    if (log?.uid === uid) closeLog()
    row.remove()
    rows.delete(uid)
  }
  let before = null
  for (const pod of visible) {
    const row = rows.get(pod.uid) ?? addRow(pod.uid)
    drawRow(row, pod)
    const place = before ? before.nextElementSibling : byId('pods').firstElementChild
    // A row that is moved loses the focus inside it.
    if (place !== row && !row.contains(document.activeElement)) byId('pods').insertBefore(row, place)
    before = row
  }
  const empty = byId('empty')
  empty.hidden = visible.length > 0 && total <= list.length
  setText(empty, emptyText(visible.length, list.length))
}

function emptyText(visible, there) {
  if (visible > 0) return `The ${there} most telling of ${total} pods are shown.`
  return there === 0 ? 'No pod is here yet. One that selects this node appears by itself.' : 'No pod matches.'
}

function drawFilters(list) {
  const group = byId('filters')
  const counts = new Map([['all', list.length]])
  for (const { state } of list) counts.set(state, (counts.get(state) ?? 0) + 1)
  for (const state of ['all', ...states]) {
    let button = group.querySelector(`[data-state="${state}"]`)
    if (!button) {
      button = group.appendChild(document.createElement('button'))
      button.type = 'button'
      button.dataset.state = state
      button.addEventListener('click', () => {
        shown = shown === state ? 'all' : state
        drawPods()
      })
    }
    const count = counts.get(state) ?? 0
    setText(button, `${state[0].toUpperCase()}${state.slice(1)} ${count}`)
    button.hidden = count === 0 && state !== 'all' && state !== shown
    button.setAttribute('aria-pressed', String(shown === state))
  }
}

function addRow(uid) {
  const row = stamp('pod-template')
  rows.set(uid, row)
  byId('pods').append(row)
  row.addEventListener('toggle', () => {
    if (row.open) refresh(uid)
    else if (log?.uid === uid) closeLog()
  })
  return row
}

function drawRow(row, pod) {
  row.dataset.state = pod.state
  setText(row.querySelector('.state-text'), `${pod.state[0].toUpperCase()}${pod.state.slice(1)}`)
  setText(row.querySelector('.pod-name'), pod.name)
  const where = nodes.size > 1 ? `${pod.namespace} on ${pod.node}` : pod.namespace
  setText(row.querySelector('.namespace'), where)
  setText(row.querySelector('.job'), pod.jobId ? `job ${pod.jobId}` : '')
  setText(row.querySelector('.why'), pod.state === 'succeeded' ? '' : why(pod))
  drawTimes(row, pod)
  if (!row.open) return
  const message = row.querySelector('.message')
  message.hidden = !pod.message || why(pod).endsWith(pod.message.trim())
  setText(message, pod.message)
  row.querySelector('.containers').replaceChildren(...pod.containers.map(containerLine))
}

function why({ state, reason, message }) {
  const first = message.split('\n', 1)[0]
  if (state === 'failed') return [reason, first].filter(Boolean).join(': ')
  return reason
}

function containerLine(container) {
  const line = document.createElement('li')
  const { state, reason, exitCode, restarts, kind, ready } = container
  const words = [state === 'terminated' ? `${reason || 'Ended'}, exit code ${exitCode}` : reason || state]
  if (state === 'running' && ready) words.push('ready')
  if (restarts > 0) words.push(restarts === 1 ? '1 restart' : `${restarts} restarts`)
  if (kind === 'init') words.push('init container')
  line.append(make('span', container.name), make('span', words.join(', ')))
  return line
}

// Times

function drawTimes(row, { createdAt, startedAt, finishedAt, state }) {
  const now = Date.now() + clockOffset
  const ended = state === 'succeeded' || state === 'failed'
  const waited = span(createdAt, startedAt || (ended ? createdAt : now))
  const ran = startedAt ? span(startedAt, finishedAt || now) : ''
  setText(row.querySelector('.wait'), startedAt ? `waited ${waited}` : ended ? '' : `waiting ${waited}`)
  setText(row.querySelector('.run'), ran && `${ended ? 'ran' : 'running'} ${ran}`)
}

function span(from, to) {
  const start = Date.parse(from)
  const end = typeof to === 'number' ? to : Date.parse(to)
  let seconds = Math.max(0, Math.round((end - start) / 1000))
  if (Number.isNaN(seconds)) return ''
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${seconds % 60} s`
  seconds = Math.round(seconds / 60)
  if (seconds < 60 * 48) return `${Math.floor(seconds / 60)} h ${seconds % 60} m`
  return `${Math.round(seconds / 1440)} d`
}

setInterval(() => {
  for (const [uid, row] of rows) if (pods.has(uid)) drawTimes(row, pods.get(uid))
}, 1000)

// One pod, when somebody looks at it

async function refresh(uid) {
  const row = rows.get(uid)
  const pod = pods.get(uid)
  if (!row || !pod) return
  drawRow(row, pod)
  drawLogChoice(row, pod)
  if (log?.uid !== uid || (log.ended && pod.state !== log.state)) openLog(row, pod)
  const answer = await fetch(`/pods/${uid}/events`).catch(() => undefined)
  if (!answer?.ok) return
  const events = await answer.json()
  const list = row.querySelector('.events')
  list.replaceChildren(...(events.length > 0 ? events.map(eventLine) : [make('li', 'None so far.')]))
}

function eventLine({ at, type, reason, message }) {
  const line = document.createElement('li')
  const time = make('time', new Date(at).toLocaleTimeString())
  time.dateTime = at
  line.append(time, make('span', `${reason}: ${message}`, type === 'Warning' ? 'warning' : ''))
  return line
}

function drawLogChoice(row, pod) {
  const choice = row.querySelector('.log-choice')
  choice.hidden = pod.containers.length < 2
  if (choice.childElementCount === pod.containers.length) return
  choice.replaceChildren(
    ...pod.containers.map(({ name }) => {
      const button = make('button', name)
      button.type = 'button'
      button.addEventListener('click', () => openLog(row, pods.get(pod.uid) ?? pod, name))
      return button
    })
  )
}

const maxLogText = 200_000

async function openLog(row, pod, chosen) {
  const container = chosen ?? (log?.uid === pod.uid ? log.container : startingContainer(pod))
  closeLog()
  const mine = { uid: pod.uid, container, state: pod.state, ended: false, abort: new AbortController() }
  log = mine
  for (const button of row.querySelectorAll('.log-choice button'))
    button.setAttribute('aria-pressed', String(button.textContent === container))
  const pre = row.querySelector('.log')
  const note = (text) => {
    pre.classList.add('note')
    setText(pre, text)
  }
  note('…')
  try {
    const url = `/pods/${pod.uid}/log/${encodeURIComponent(container)}?tail=200&follow=true`
    const answer = await fetch(url, { signal: mine.abort.signal })
    if (!answer.ok) return note((await answer.json()).message)
    let text = ''
    for await (const part of decoded(answer.body)) {
      text = (text + part).slice(-maxLogText)
      const atEnd = pre.scrollHeight - pre.scrollTop - pre.clientHeight < 40
      pre.classList.remove('note')
      setText(pre, text)
      if (atEnd) pre.scrollTop = pre.scrollHeight
    }
    if (!text) note('It has written nothing.')
  } catch (error) {
    if (error.name !== 'AbortError') note('The log could not be read.')
  } finally {
    mine.ended = true
  }
}

async function* decoded(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    yield value
  }
}

/** The one that tells most: what failed, else what runs, else the first main container. */
function startingContainer({ containers }) {
  const main = containers.filter(({ kind }) => kind === 'main')
  const pick =
    containers.find(({ state, exitCode }) => state === 'terminated' && exitCode !== 0) ??
    main.find(({ state }) => state === 'running') ??
    main[0] ??
    containers[0]
  return pick?.name ?? ''
}

function closeLog() {
  log?.abort.abort()
  log = undefined
}

byId('search').addEventListener('input', (event) => {
  wanted = event.target.value.trim().toLowerCase()
  drawPods()
})

connect()

import t from 'tap'
import { execFileSync, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parse, render } from '../../packages/interlink-api/src/go-template/index.ts'
import { requireReal } from '../support/require-real.ts'

const program = fileURLToPath(new URL('go-template/main.go', import.meta.url))

const data = {
  name: 'trainer',
  none: null,
  zero: 0,
  empty: '',
  no: false,
  yes: true,
  pi: 3.5,
  tiny: 0.00001234,
  list: ['a', 'b', 'c'],
  numbers: [3, 1, 2],
  nested: [[1, 2], [3]],
  map: { b: 2, a: 1, c: { d: 'deep' } },
  lists: { x: [], y: [1] },
  odd: 'a "quoted" <b>&\'\n\ttab \u00e9 \u{1F600} \\ end'
}

/** Templates that Go and we are to render alike. */
const templates = [
  'plain text with { braces } and }}',
  '{{.name}} {{ .map.c.d }} {{$.name}}',
  'a  {{- .name -}}  b {{- /* said */ -}} c {{/* more */}} d',
  '{{- 3 -}} {{ -3 }} {{"a\\tb"}} {{`raw\\n`}} {{\'x\'}} {{0x10}} {{1e3}} {{1_000}}',
  '{{.list}} {{.map}} {{.nested}} {{.pi}} {{.tiny}} {{.yes}} {{.none}}|{{.missing}}',
  '{{if .name}}yes{{else}}no{{end}}{{if .empty}}yes{{else if .yes}}second{{else}}no{{end}}',
  '{{if and .yes .name}}{{.name}}{{end}} {{or .empty .zero "other"}} {{and .yes 0 "x"}} {{not .empty}}',
  '{{range .list}}<{{.}}>{{end}} {{range $i, $e := .list}}{{$i}}={{$e}},{{end}} {{range $e := .numbers}}{{$e}}{{end}}',
  '{{range $k, $v := .map}}{{$k}}:{{$v}};{{end}} {{range .lists.x}}x{{else}}none{{end}} {{range .none}}x{{else}}nil{{end}}',
  '{{range .numbers}}{{if eq . 1}}{{continue}}{{end}}{{if eq . 2}}{{break}}{{end}}{{.}}{{end}}',
  '{{with .map.c}}{{.d}} {{$.name}}{{end}}{{with .empty}}x{{else}}empty{{end}}{{with $x := .pi}}{{$x}}{{end}}',
  '{{$x := 1}}{{if true}}{{$x = 2}}{{$y := 3}}{{$y}}{{end}}{{$x}}{{range .list}}{{$x = .}}{{end}}{{$x}}',
  '{{define "T"}}[{{.}}]{{end}}{{template "T" .name}}{{template "T" .list}}{{template "T"}}',
  '{{block "B" .map}}{{.a}}{{end}}{{template "B" .map}}',
  '{{len .list}} {{len .name}} {{len .map}} {{len .odd}} {{index .list 1}} {{index .map "a"}} {{index .nested 0 1}}|{{index .map "z"}}',
  '{{slice .name 1 3}} {{slice .list 1}} {{slice .list 0 2}}',
  '{{print 1 2 "a" "b" 3 4 true}} {{println "x" 1}}{{print .name .list}}',
  '{{printf "%s|%d|%v|%q|%5d|%-5d|%05d|%x|%X|%t|%%|%+d" .name 7 .list .odd 42 42 -42 255 255 true 9}}',
  '{{printf "%6.2f|%e|%g|%8.3s|%-8s|%08.3f|%c|%U|%o|%b" 3.14159 1234.5 0.5 .name .name -1.5 65 65 8 5}}',
  '{{printf "%d %s" "x" 3}} {{printf "%d"}} {{printf "x" 1 "y"}} {{printf "%v %v" .none .map}}',
  '{{.name | printf "%s-%s" "pod"}} {{.list | len | printf "%03d"}} {{"a" | eq "a"}} {{(index .list 0) | print "x"}}',
  '{{eq 1 1}} {{eq .name "x" "trainer"}} {{ne 1 2}} {{lt 1 2}} {{le "a" "a"}} {{gt 2.5 1.5}} {{ge 1 2}} {{lt "b" "a"}}',
  '{{html .odd}} {{js .odd}} {{urlquery .odd "x"}} {{.odd | html | len}}',
  '{{(index .nested 0)}} {{len (index .nested 0)}} {{if (and (eq 1 1) (or false .name))}}ok{{end}}',
  '{{range 3}}{{.}}{{end}} {{range $i := 2}}{{$i}}{{end}}',
  '{{/* a comment with }} in it */}}after',
  'lines\n{{- range .list }}\n- {{ . }}\n{{- end }}\nend',
  '{{$a := .list}}{{range $i, $_ := $a}}{{if $i}}, {{end}}{{index $a $i}}{{end}}',
  '{{with $p := .map}}{{range $k, $v := $p}}{{$k}}{{end}}{{end}}{{true}} {{print nil}}'
]

/** What Go refuses, we refuse. */
const wrong = [
  '{{.name',
  '{{if .x}}',
  '{{end}}',
  '{{else}}',
  '{{.name.x}}',
  '{{nope 1}}',
  '{{$x}}',
  '{{index .list 9}}',
  '{{template "none"}}',
  '{{range .name}}{{end}}',
  '{{1 2}}',
  '{{ | .a}}',
  '{{( .name}}',
  '{{eq 1 "a"}}',
  '{{lt 1 "a"}}',
  '{{define "x"}}',
  '{{if}}x{{end}}',
  '{{"open}}',
  '{{.name}} {{ # }}',
  '{{break}}',
  '{{nil}}',
  '{{define "x"}}a{{end}}{{define "x"}}b{{end}}'
]

void t.test('templates are rendered as Go renders them', async (t) => {
  const missing = spawnSync('go', ['version']).status === 0 ? undefined : 'go is missing; install Go'
  if (!requireReal(t, missing)) return
  const cases = [...templates, ...wrong].map((template) => ({ template, data }))
  const output = execFileSync('go', ['run', program], {
    input: JSON.stringify(cases),
    env: { ...process.env, GO111MODULE: 'off', GOFLAGS: '' }
  })
  const results = JSON.parse(output.toString()) as { readonly text?: string; readonly error?: string }[]
  for (const [index, { template }] of cases.entries()) {
    const { text, error } = results[index]!
    const ours = () => render(parse(template), data)
    if (text === undefined) t.throws(ours, { name: 'TemplateError' }, `${template}: ${error}`)
    else t.equal(ours(), text, template)
  }
})

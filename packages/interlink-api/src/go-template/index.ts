/**
 * Go's text/template for data of JSON, https://pkg.go.dev/text/template: all actions and functions but `call`, and no
 * methods of the data.
 */
export { TemplateError } from './lexer.ts'
export { parse, type Templates } from './parser.ts'
export { render, type RenderOptions } from './render.ts'

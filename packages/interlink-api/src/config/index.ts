export { ConfigError, loadYamlConfig, parseYamlConfig, yamlKeys } from './yaml.ts'

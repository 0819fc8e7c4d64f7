export { followFiles, type FollowFilesOptions } from './follow-files.ts'
export { ConfigError, loadYamlConfig, parseYamlConfig, yamlKeys } from './yaml.ts'

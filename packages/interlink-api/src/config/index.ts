export { followFiles, type FollowFilesOptions } from './follow-files.ts'
export { makeDirectories, ownDirectory } from './make-directories.ts'
export { ConfigError, loadYamlConfig, parseYamlConfig, whyUnreadable, yamlKeys, yamlPlaces } from './yaml.ts'
export type { YamlPlace } from './yaml.ts'

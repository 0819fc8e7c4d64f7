import tseslint from 'typescript-eslint'
import importLite from 'eslint-plugin-import-lite'

export default tseslint.config(
  { ignores: ['**/dist/**', '**/.tap/**', '.artifacts/**', 'node_modules/**'] },
  ...tseslint.configs.recommended,
  {
    files: ['**/*.ts', '**/*.js', '**/*.mjs'],
    plugins: { 'import-lite': importLite },
    rules: {
      'import-lite/no-duplicates': 'error',
      'import-lite/first': 'error',
      'import-lite/newline-after-import': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
      eqeqeq: ['error', 'always', { null: 'ignore' }]
    }
  },
  { files: ['**/*.test.ts'], rules: { 'max-lines': 'off' } }
)

import neostandard, { plugins } from 'neostandard'

export default [
  ...neostandard({ ts: true, ignores: ['dist', 'dist-bench', '.tap', 'data'] }),
  {
    files: ['src/**/*.ts'],
    plugins: { typed: plugins['typescript-eslint'].plugin },
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      'typed/no-floating-promises': 'error',
      'typed/no-misused-promises': 'error',
      'typed/switch-exhaustiveness-check': 'error'
    }
  }
]

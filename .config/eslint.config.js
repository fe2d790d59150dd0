import { fileURLToPath } from 'node:url';
import jest from 'eslint-plugin-jest';
import tseslint from 'typescript-eslint';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Sizes above which readers stop; see also the checks of complexity and depth. */
const sizes = {
  'max-lines': ['error', { max: 300 }],
  'max-lines-per-function': ['error', { max: 60, IIFEs: true }],
  'max-params': ['error', { max: 3 }],
  'max-depth': ['error', { max: 3 }],
  complexity: ['error', { max: 15 }],
};

const correctness = {
  eqeqeq: ['error', 'always'],
  'no-console': 'error',
  'no-eval': 'error',
  'no-implicit-coercion': 'error',
  'no-param-reassign': 'error',
  'no-template-curly-in-string': 'error',
  'no-unreachable-loop': ['error', { ignore: ['ForOfStatement'] }],
  'prefer-const': 'error',
  'no-warning-comments': [
    'error',
    { terms: ['todo', 'fixme', 'xxx', 'eslint-disable', 'prettier-ignore'], location: 'anywhere' },
  ],
};

const types = {
  '@typescript-eslint/consistent-type-imports': [
    'error',
    { fixStyle: 'separate-type-imports', disallowTypeAnnotations: false },
  ],
  '@typescript-eslint/consistent-type-exports': 'error',
  '@typescript-eslint/explicit-function-return-type': [
    'error',
    { allowExpressions: true, allowTypedFunctionExpressions: true },
  ],
  '@typescript-eslint/no-explicit-any': 'error',
  '@typescript-eslint/no-floating-promises': 'error',
  '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
  '@typescript-eslint/only-throw-error': 'error',
  '@typescript-eslint/ban-ts-comment': ['error', { 'ts-expect-error': 'allow-with-description' }],
  '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
  // Nest's modules and controllers without state are classes by its design
  '@typescript-eslint/no-extraneous-class': ['error', { allowWithDecorator: true }],
  // numbers in messages read well as they are
  '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
  // an index that the line above has checked; everything else that is asserted must be explained or parsed
  '@typescript-eslint/no-non-null-assertion': 'off',
  // the database, the network and JSON bring what their types do not promise
  '@typescript-eslint/no-unnecessary-condition': 'off',
  // ports are objects of closures: none of their methods has a `this` to lose
  '@typescript-eslint/unbound-method': 'off',
  // the type parameters of the saga builder carry what an author may write
  '@typescript-eslint/no-unnecessary-type-parameters': 'off',
  '@typescript-eslint/no-unnecessary-type-arguments': 'off',
  '@typescript-eslint/no-unsafe-enum-assignment': 'off',
  '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
  // an assertion at a border says what is expected there, also where the compiler would let less pass
  '@typescript-eslint/no-unnecessary-type-assertion': 'off',
  '@typescript-eslint/non-nullable-type-assertion-style': 'off',
  // a name that is data, such as a header's or a variable's, may stand in brackets
  '@typescript-eslint/dot-notation': ['error', { allowIndexSignaturePropertyAccess: true }],
  // matters of taste, where both ways read well
  '@typescript-eslint/no-confusing-void-expression': 'off',
  '@typescript-eslint/no-meaningless-void-operator': 'off',
  '@typescript-eslint/no-invalid-void-type': 'off',
  '@typescript-eslint/consistent-indexed-object-style': 'off',
  '@typescript-eslint/consistent-type-definitions': 'off',
  '@typescript-eslint/prefer-function-type': 'off',
  '@typescript-eslint/prefer-optional-chain': 'off',
  '@typescript-eslint/unified-signatures': 'off',
  '@typescript-eslint/use-unknown-in-catch-callback-variable': 'off',
};

const noDefaultExport = {
  selector: 'ExportDefaultDeclaration',
  message: 'export by name, so that one thing has one name everywhere',
};
const noSql = {
  selector:
    ':matches(Literal[value=/^\\s*(select|insert into|update|delete from|create table|alter table) /], TemplateElement[value.raw=/^\\s*(select|insert into|update|delete from|create table|alter table) /])',
  message: "SQL lives in src/db, or in a participant's own store",
};

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', '.settle/', 'coverage/', 'test/replay/histories/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error', noInlineConfig: true } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { project: ['./tsconfig.json'], tsconfigRootDir: ROOT } },
    rules: { ...sizes, ...correctness, ...types, 'no-restricted-syntax': ['error', noDefaultExport] },
  },
  {
    files: ['src/**/*.ts', 'workflows/**/*.ts', 'activities/**/*.ts'],
    ignores: ['src/db/**', 'src/participant/**', 'src/producer/**', 'src/samples/**'],
    rules: { 'no-restricted-syntax': ['error', noDefaultExport, noSql] },
  },
  {
    files: ['src/**/*.ts', 'workflows/**/*.ts', 'activities/**/*.ts'],
    ignores: ['src/config.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'only src/config.ts reads the environment; take a Config' },
      ],
    },
  },
  {
    files: ['test/**/*.ts'],
    extends: [jest.configs['flat/recommended'], jest.configs['flat/style']],
    rules: {
      // a describe block or a checker is as long as its cases; the file's limit holds
      'max-lines-per-function': 'off',
      // the columns of a table of cases
      'max-params': ['error', { max: 5 }],
      'no-console': 'off',
      'jest/expect-expect': [
        'error',
        { assertFunctionNames: ['expect*', 'fc.assert', 'eventually', 'check*', 'assert*', 'Worker.runReplayHistory'] },
      ],
      'jest/no-disabled-tests': 'error',
      'jest/no-focused-tests': 'error',
      'jest/no-conditional-expect': 'off',
      'jest/no-standalone-expect': 'off',
      'jest/valid-title': 'error',
      '@typescript-eslint/no-unsafe-assignment': 'off',
    },
  },
  {
    // a contract that several files of tests hold to
    files: ['test/support/**/*.ts'],
    rules: { 'jest/no-export': 'off' },
  },
  {
    // its mistakes are the test, and have no types
    files: ['test/unit/saga-types.test.ts'],
    rules: {
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
    },
  },
  {
    // Jest takes the default export of these
    files: ['test/support/global-*.ts', 'test/support/environment.ts'],
    rules: { 'no-restricted-syntax': 'off', 'no-var': 'off' },
  },
  { files: ['**/*.js', '**/*.cjs'], rules: { ...sizes } },
);

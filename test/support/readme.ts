import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** The checkout. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The rows of the table whose first column holds names of settings: `name | default | description`. */
export function settingRows(markdown: string): string[] {
  const rows = markdown.split('\n').filter((line) => /^\|\s*`[A-Z][A-Z0-9_]+`\s*\|/.test(line));
  return rows.map(normalised);
}

/** A row as plain text, so that backticks and padding make no difference. */
export function normalised(row: string): string {
  const cells = row.replaceAll('`', '').replaceAll('\\|', '¦').split('|');
  return cells
    .slice(1, -1)
    .map((cell) => cell.trim())
    .join(' | ');
}

/** The list items, or numbered rows, under the heading that has the word `promise`, and not `no` or `not`. */
export function promises(markdown: string): string[] {
  const sections = markdown.split(/^(?=#+ )/m);
  const section = sections.find((each) => /^#+ .*promise/i.test(each) && !/^#+ .*\bnot?\b/i.test(each)) ?? '';
  return section
    .split(/^(?=(?:\d+\.|[-*]) |\| *\d)/m)
    .slice(1)
    .map((item) => item.trim());
}

/** Whether a promise names a test file with a test that carries its number, as in `promise 6: …`. */
export function isProven(promise: string): boolean {
  const number = /\d+/.exec(promise)?.[0] ?? '';
  const test = new RegExp(`\\bpromises? ${number}\\b`);
  return testsNamedIn(promise).some((path) => test.test(readFileSync(join(ROOT, path), 'utf8')));
}

function testsNamedIn(text: string): string[] {
  const named = [...text.matchAll(/test\/[\w./-]+\.test\.ts/g)].map(([path]) => path);
  return named.filter((path) => existsSync(join(ROOT, path)));
}

/** The files and folders of this checkout that a text links to, or names in backticks, and that are not there. */
export function missingPaths(markdown: string): string[] {
  const links = [...markdown.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)].map(([, path]) => path!);
  const names = [...markdown.matchAll(/`((?:src|workflows|activities|test)\/[\w./-]+)`/g)].map(([, path]) => path!);
  return [...links, ...names].filter((path) => !existsSync(join(ROOT, path)));
}

/** The fenced blocks of a language. */
export function codeBlocks(markdown: string, language: string): string[] {
  const fence = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm');
  return [...markdown.matchAll(fence)].map(([, code]) => code!);
}

/**
 * Compiles TypeScript blocks as if each were a file in `workflows`. `settle`, `settle/saga`, … are the package's own sources.
 *
 * @returns the compiler's complaints, none when all is well
 */
export function compile(blocks: readonly string[]): string[] {
  const sources = new Map(blocks.map((code, index) => [join(ROOT, 'workflows', `readme-block-${index}.ts`), code]));
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
    config: { compilerOptions: object };
  };
  const { options } = ts.convertCompilerOptionsFromJson(
    {
      ...config.compilerOptions,
      noEmit: true,
      noUnusedLocals: false,
      noUnusedParameters: false,
      paths: packageSources(),
    },
    ROOT,
  );
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => sources.has(path) || fileExists(path);
  host.readFile = (path) => sources.get(path) ?? readFile(path);
  host.getSourceFile = (path, target, ...rest) => {
    const code = sources.get(path);
    return code === undefined ? getSourceFile(path, target, ...rest) : ts.createSourceFile(path, code, target, true);
  };
  const program = ts.createProgram([...sources.keys()], options, host);
  return [...sources.keys()].flatMap((path) => complaints(program, path));
}

/** The sources of what `package.json` exports, by the name that it is imported under. */
function packageSources(): Record<string, string[]> {
  const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    exports: Record<string, string>;
  };
  const sourceOf = (built: string): string => built.replace('./dist/', './').replace(/\.js$/, '.ts');
  return Object.fromEntries(Object.entries(exports).map(([name, built]) => [join('settle', name), [sourceOf(built)]]));
}

function complaints(program: ts.Program, path: string): string[] {
  const source = program.getSourceFile(path)!;
  const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
  return found.map(({ start = 0, messageText }) => {
    const { line } = source.getLineAndCharacterOfPosition(start);
    return `'${source.text.split('\n')[line]?.trim()}': ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
  });
}

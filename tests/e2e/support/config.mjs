/**
 * The project's own `wrangler.toml`, rewritten for a test into a directory of its own: absolute
 * paths, no `[build]` (so nothing rebuilds or reloads in the middle of a test), no `.dev.vars`
 * beside it, and, if asked, no queue or another build.
 */
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');

/** `[section]` of a TOML header line, or null. */
const header = (line) => /^\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(#.*)?$/.exec(line)?.[1] ?? null;

/** Drops whole tables (`build`, `queues`, and what is below them) and keys of that name. */
function without(text, names) {
  const gone = (name) => names.some((n) => name === n || name.startsWith(`${n}.`));
  const kept = [];
  let dropping = false;
  let top = true;
  for (const line of text.split('\n')) {
    const section = header(line);
    if (section !== null) {
      dropping = gone(section);
      top = false;
    }
    const key = top ? /^\s*([\w.-]+)\s*=/.exec(line)?.[1] : null;
    if (!dropping && !(key && gone(key))) kept.push(line);
  }
  return kept.join('\n');
}

/**
 * Writes the derived configuration and returns its path.
 * @param dir   where to
 * @param queue false: no queue binding, no consumer
 * @param build directory of the built Worker, instead of that of the configuration
 */
export function deriveConfig({ dir, queue = true, build } = {}) {
  const source = path.join(ROOT, 'wrangler.toml');
  let text = without(fs.readFileSync(source, 'utf8'), queue ? ['build'] : ['build', 'queues']);
  const absolute = (_, before, value, after) => `${before}${path.resolve(ROOT, value)}${after}`;
  text = text.replace(/^(\s*main\s*=\s*")([^"]+)(")/m, absolute);
  text = text.replace(/(\bdirectory\s*=\s*")([^"]+)(")/g, absolute);
  if (build) text = text.replace(/^(\s*main\s*=\s*").*\/([^/"]+")/m, `$1${path.resolve(ROOT, build)}/$2`);
  fs.mkdirSync(dir, { recursive: true });
  const file = path.join(dir, 'wrangler.toml');
  fs.writeFileSync(file, text);
  return file;
}

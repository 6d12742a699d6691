// `node limit.mjs SECONDS command …`: ends it, with everything below it, when the time is over.
import { spawn } from 'node:child_process';

const [seconds, command, ...args] = process.argv.slice(2);
const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'], detached: true });
const end = (signal) => {
  try {
    process.kill(-child.pid, signal);
  } catch { /* it has ended */ }
};
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => { end(signal); process.exit(1); });
setTimeout(() => {
  console.error(`tertulia: not done after ${seconds} s: ${command} ${args.join(' ')}`);
  end('SIGTERM');
  setTimeout(() => { end('SIGKILL'); process.exit(124); }, 3000);
}, Number(seconds) * 1000);
child.on('error', (error) => { console.error(`tertulia: ${error.message}`); process.exit(1); });
child.on('exit', (code) => process.exit(code ?? 1));

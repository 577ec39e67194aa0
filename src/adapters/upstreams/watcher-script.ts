/**
 * Program of the watcher process (process-watcher.ts), given to `node -e`: as text, so that it needs no file of its own
 * and starts alike from sources and from a build. CommonJS, no dependencies.
 *
 * Arguments: the gateway's tag and its temporary folder. It says `ready` once no signal but SIGKILL ends it any more.
 * Standard input, a line each: `add <group>`, `drop <group>`, `sweep <child> <group>`; the last one is answered by
 * `swept <child>` once nothing of that child is left. At the end of input the gateway is gone,
 * however it went: everything that carries its tag, is in a group or session that it made, or descends from such a
 * process, is killed until nothing is found, and the gateway's temporary folder is removed.
 *
 * SIGKILL without a warning is right here: by then nobody is left to speak to these processes.
 */
export const WATCHER_SCRIPT = String.raw`'use strict';
const fs = require('node:fs');
const groups = new Set();
const sweeps = new Map();
// Known from the first instruction on: a gateway that dies before it has said a word is cleaned up after too.
const [, instance, folder] = process.argv;
let isOver = false;
let isSweeping = false;

function readProcesses() {
  let names;
  try { names = fs.readdirSync('/proc'); } catch { return []; }
  const found = [];
  for (const name of names) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid < 2 || pid === process.pid) continue;
    try {
      const stat = fs.readFileSync('/proc/' + name + '/stat', 'latin1');
      const [state, parent, group, session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (state === 'Z' || state === 'X') continue;
      let environment = '';
      try { environment = fs.readFileSync('/proc/' + name + '/environ', 'latin1'); } catch {}
      const tag = /(?:^|\0)REMIT_INSTANCE=([^\0]*)/.exec(environment);
      found.push({ pid, parent: Number(parent), group: Number(group), session: Number(session), tag: tag ? tag[1] : '' });
    } catch {}
  }
  return found;
}

function kill(pid) {
  try { process.kill(pid, 'SIGKILL'); } catch {}
}

/** Kills what matches, with its descendants; says how many there were. */
function killMatching(processes, matches) {
  const doomed = new Set(processes.filter(matches).map((one) => one.pid));
  for (let size = -1; size !== doomed.size; ) {
    size = doomed.size;
    for (const one of processes) if (doomed.has(one.parent)) doomed.add(one.pid);
  }
  for (const pid of doomed) kill(pid);
  return doomed.size;
}

function sweepOnce() {
  const processes = readProcesses();
  for (const [child, sweep] of sweeps) {
    const isOf = (one) => one.tag === child || one.group === sweep.group || one.session === sweep.group;
    sweep.clean = killMatching(processes, isOf) === 0 ? sweep.clean + 1 : 0;
    sweep.rounds += 1;
    if (sweep.clean < 2 && sweep.rounds < 200) continue;
    sweeps.delete(child);
    groups.delete(sweep.group);
    process.stdout.write('swept ' + child + '\n');
  }
  isSweeping = sweeps.size > 0;
  if (isSweeping && !isOver) setTimeout(sweepOnce, 10);
}

function endAll(rounds, clean) {
  for (const group of groups) kill(-group);
  const isOurs = (one) =>
    one.tag.startsWith(instance + '.') || groups.has(one.group) || groups.has(one.session);
  const cleanRounds = killMatching(readProcesses(), isOurs) === 0 ? clean + 1 : 0;
  // Several clean rounds: a child caught between fork and exec does not carry the tag yet.
  if (rounds < 400 && cleanRounds < 5) return void setTimeout(endAll, 25, rounds + 1, cleanRounds);
  try { if (folder) fs.rmSync(folder, { recursive: true, force: true }); } catch {}
  process.exit(0);
}

function obey(line) {
  const [verb, first, ...rest] = line.split(' ');
  if (verb === 'add') groups.add(Number(first));
  if (verb === 'drop') groups.delete(Number(first));
  if (verb !== 'sweep') return;
  sweeps.set(first, { group: Number(rest[0]), clean: 0, rounds: 0 });
  if (!isSweeping) { isSweeping = true; setImmediate(sweepOnce); }
}

let held = '';
process.stdin.setEncoding('utf8');
process.stdin.on('data', (text) => {
  const lines = (held + text).split('\n');
  held = lines.pop();
  lines.forEach(obey);
});
function end() {
  if (isOver) return;
  isOver = true;
  endAll(0, 0);
}
process.stdin.on('end', end);
process.stdin.on('error', end);
process.stdout.on('error', () => {});
// A terminal's Ctrl-C and a service manager's stop reach every process: this one outlives the gateway on purpose.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGPIPE']) process.on(signal, () => {});
process.stdout.write('ready\n');
`;

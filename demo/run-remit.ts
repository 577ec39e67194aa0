import { type ChildProcess, spawn } from 'node:child_process';

/** Runs the command line as a person would; rejects when it exits with another code than expected. */
export async function runRemit(
  args: readonly string[],
  input?: string,
  expectedCode = 0,
  program = 'bin/remit.js',
): Promise<{ stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdin.end(input ?? '');
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  if (code !== expectedCode)
    throw new Error(`remit ${args[0]} ${args[1] ?? ''} exited with ${code}:\n${stderr}${stdout}`);
  return { stdout, stderr };
}

export interface RunningProcess {
  readonly child: ChildProcess;
  readonly ready: { readonly url: string; readonly pid: number; readonly [field: string]: unknown };
  /** Everything it wrote, for the leak scan. */
  readonly output: () => string;
  stop(): Promise<number | null>;
}

/** Starts `remit up --json` and waits for its line that says it serves. */
export async function startRemitUp(
  config: string,
  more: readonly string[] = [],
  nodeOptions: readonly string[] = [],
): Promise<RunningProcess> {
  const child = spawn(process.execPath, [...nodeOptions, 'bin/remit.js', 'up', '--config', config, '--json', ...more], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  const ready = await new Promise<RunningProcess['ready']>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the gateway did not start within 30 s:\n${output}`)), 30_000);
    const see = (text: string): void => {
      output += text;
      const line = /^\{"event":"serving".*\}$/m.exec(output)?.[0];
      if (line === undefined) return;
      clearTimeout(timer);
      resolve(JSON.parse(line) as RunningProcess['ready']);
    };
    child.stdout.setEncoding('utf8').on('data', see);
    child.stderr.setEncoding('utf8').on('data', see);
    void exited.then((code) => {
      clearTimeout(timer);
      reject(new Error(`the gateway exited with ${code}:\n${output}`));
    });
  }).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });
  return {
    child,
    ready,
    output: () => output,
    stop() {
      if (child.exitCode === null) child.kill('SIGTERM');
      return exited;
    },
  };
}

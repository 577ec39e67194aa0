import { spawn } from 'node:child_process';
import { createServer } from 'node:net';

export interface Service {
  readonly pid: number;
  readonly stop: () => Promise<void>;
}

/** Starts a program that serves until it is stopped; resolves when it says that it is ready. */
export async function startService(
  program: string,
  args: readonly string[],
  options: { env?: Readonly<Record<string, string>>; ready: RegExp; timeoutMs?: number },
): Promise<Service> {
  const child = spawn(program, args, { env: { ...process.env, ...options.env }, stdio: ['ignore', 'pipe', 'pipe'] });
  // Whoever started it may be interrupted.
  const endToo = (): void => void child.kill('SIGKILL');
  process.once('exit', endToo);
  const exited = new Promise<void>((resolve) =>
    child.once('close', () => {
      process.off('exit', endToo);
      resolve();
    }),
  );
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 3_000);
    await exited;
    clearTimeout(timer);
  };
  let said = '';
  try {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${program} is not ready: ${said.slice(-500)}`)),
        options.timeoutMs ?? 20_000,
      );
      const hear = (text: string): void => {
        said = (said + text).slice(-20_000);
        if (!options.ready.test(said)) return;
        clearTimeout(timer);
        resolve();
      };
      child.stdout.setEncoding('utf8').on('data', hear);
      child.stderr.setEncoding('utf8').on('data', hear);
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`${program} ended with ${code}: ${said.slice(-500)}`)));
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { pid: child.pid as number, stop };
}

/** A port that was free a moment ago: for programs that do not take 0. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

import { request } from 'node:http';
import { type ErrorCode, RemitError } from '../domain/errors.ts';

/** Calls an operation of the gateway that runs on a data folder. @throws `ERR_GATEWAY_UNREACHABLE` when none does */
export async function callAdmin<T>(socketPath: string, operation: string, parameters: Readonly<Record<string, string>> = {}): Promise<T> {
  const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const query = new URLSearchParams(parameters).toString();
    const call = request({ socketPath, path: `/${operation}?${query}`, method: 'POST', timeout: 60_000 }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: body }));
      response.on('error', reject);
    });
    call.on('timeout', () => call.destroy(new Error('no answer within 60 s')));
    call.on('error', (cause) => {
      reject(
        new RemitError('ERR_GATEWAY_UNREACHABLE', 'no gateway is running on this data folder', {
          where: socketPath,
          hint: 'Start it with `remit up` (same --config), then run this again.',
          cause,
        }),
      );
    });
    call.end();
  });
  const body = JSON.parse(text) as T & { error?: { code: ErrorCode; message: string; where?: string; hint?: string } };
  if (status === 200) return body;
  const { error } = body;
  throw new RemitError(error?.code ?? 'ERR_INTERNAL', error?.message ?? `HTTP ${status}`, {
    ...(error?.where !== undefined && { where: error.where }),
    ...(error?.hint !== undefined && { hint: error.hint }),
  });
}

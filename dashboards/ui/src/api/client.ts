// Requests to the server, and whether it answers at all.
import { remember } from '../sentences';
import type { ApiProblem } from './types';

/** What a request failed with: the server's own words, or that it did not answer. */
export class ApiError extends Error {
  constructor(
    readonly kind: string,
    message: string,
    readonly position: ApiProblem['position'] = null,
  ) {
    super(message);
  }
}

/** How often a server that went away is asked again. */
const RETRY_MS = 3000;

type Listener = () => void;

/** Whether the server answers; read with `useSyncExternalStore`. */
class Connection {
  private gone = false;
  private goneSince = 0;
  private listeners = new Set<Listener>();
  private returned = new Set<Listener>();
  private timer: number | undefined;

  subscribe = (listener: Listener) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  isGone = () => this.gone;
  since = () => this.goneSince;

  /** Calls `listener` when the server answers again after it was gone. */
  onReturn(listener: Listener) {
    this.returned.add(listener);
    return () => this.returned.delete(listener);
  }

  answered() {
    if (!this.gone) return;
    this.gone = false;
    window.clearInterval(this.timer);
    this.listeners.forEach((listener) => listener());
    this.returned.forEach((listener) => listener());
  }

  silent() {
    if (this.gone) return;
    this.gone = true;
    this.goneSince = Date.now();
    this.timer = window.setInterval(this.retry, RETRY_MS);
    this.listeners.forEach((listener) => listener());
  }

  retry = () => {
    getJson('/api/v1/session').catch(() => undefined);
  };
}

export const connection = new Connection();

async function send(path: string, init: RequestInit): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers: { Accept: 'application/json', ...init.headers } });
  } catch (cause) {
    if (init.signal?.aborted) throw cause;
    connection.silent();
    throw new ApiError('gone', 'the server does not answer');
  }
  // A proxy in front answers for a server that is gone.
  if (response.status === 502 || response.status === 504) {
    connection.silent();
    throw new ApiError('gone', 'the server does not answer');
  }
  connection.answered();
  const text = await response.text();
  let body: unknown;
  try {
    body = text === '' ? null : JSON.parse(text);
  } catch {
    body = null;
  }
  if (!response.ok) throw problemOf(body, response.status);
  remember(body);
  return body;
}

function problemOf(body: unknown, status: number): ApiError {
  const error = (body as { error?: unknown } | null)?.error;
  if (typeof error === 'string') {
    // Prometheus's shape.
    const prometheus = body as { errorType?: string; position?: ApiProblem['position'] };
    return new ApiError(prometheus.errorType ?? 'invalid', error, prometheus.position ?? null);
  }
  if (error && typeof error === 'object') {
    const problem = error as ApiProblem;
    return new ApiError(problem.kind, problem.message, problem.position);
  }
  return new ApiError('internal', `HTTP ${status}`);
}

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await send(path, { signal })) as T;
}

export async function sendJson<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const init = { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' }, signal };
  return (await send(path, init)) as T;
}

/** Puts or removes a thing. */
export async function changeJson<T>(method: 'PUT' | 'DELETE', path: string, body?: unknown): Promise<T> {
  const init = { method, body: body === undefined ? undefined : JSON.stringify(body), headers: { 'Content-Type': 'application/json' } };
  return (await send(path, init)) as T;
}

/** `path?a=1&b=2`, leaving out what is undefined, null or empty. */
export function withParams(path: string, params: Record<string, string | number | boolean | null | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== '') search.set(name, String(value));
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

// Where policies are found in the page.

/** Stands for the name of a policy that is yet to be written; no policy can be called so. */
export const NEW_POLICY = '*new';

/** The page of a policy; a new one may begin with a service. */
export function policyPath(name: string, service = ''): string {
  const params = new URLSearchParams({ tab: 'policies', policy: name });
  if (service) params.set('for', service);
  return `/autoscaling?${params}`;
}

/** The replay of a policy, on its last day. */
export function replayPath(name: string): string {
  return `/autoscaling?${new URLSearchParams({ tab: 'replay', policy: name, from: 'now-1d', run: '1' })}`;
}

/** Where the server has a policy. */
export const policyApi = (name: string) => `/api/v1/scaling/policies/${encodeURIComponent(name)}`;

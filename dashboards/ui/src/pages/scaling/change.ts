// A change that a person makes: sent, answered, or refused in words.
import { useState } from 'react';
import { ApiError } from '../../api/client';

export interface ChangeState {
  /** Why the last one was refused, or empty. */
  problem: string;
  busy: boolean;
  run: (send: () => Promise<unknown>) => void;
}

/** `onConflict` is called when someone else was quicker. */
export function useChange(onDone: () => void, onConflict?: () => void): ChangeState {
  const [problem, setProblem] = useState('');
  const [busy, setBusy] = useState(false);
  const run = (send: () => Promise<unknown>) => {
    setBusy(true);
    send()
      .then(() => {
        setProblem('');
        onDone();
      })
      .catch((cause: Error) => {
        setProblem(cause.message);
        if (cause instanceof ApiError && cause.kind === 'conflict') onConflict?.();
      })
      .finally(() => setBusy(false));
  };
  return { problem, busy, run };
}

// A replay as lines over time and as rows of a table.
import type { Replay, ReplayOutcome } from '../../api/types';
import { summarise, type Frame, type Line, type LineKind } from '../../chart/frame';

/** Hues of the load and of each way to scale: the same in all replays. */
const COLOURS: Record<ReplayOutcome['by'] | 'load', number> = { load: 0, policy: 1, hpa: 2, fixed: 6, actual: 4 };

/** Ranges that are offered, as a duration before now; the last is the longest that the server takes. */
export const REPLAY_RANGES = ['6h', '1d', '7d', '30d'] as const;

function timesOf(replay: Replay): number[] {
  return replay.load.map((_, at) => (replay.start_ms + at * replay.step_ms) / 1000);
}

function line(key: ReplayOutcome['by'] | 'load', label: string, kind: LineKind, values: number[]): Line {
  return { key, label, labels: {}, kind, colour: COLOURS[key], values, ...summarise(values) };
}

/** The load, and what the policy's replicas carry at their target. */
export function loadFrame(replay: Replay, words: { load: string; capacity: string }): Frame {
  const ours = replay.outcomes.find((outcome) => outcome.by === 'policy');
  const lines = [line('load', words.load, 'line', replay.load)];
  if (ours) lines.push(line('policy', words.capacity, 'step', ours.ready.map((ready) => ready * replay.per_replica)));
  return { times: timesOf(replay), lines, hidden: 0 };
}

/** Replicas of every way to scale. */
export function replicasFrame(replay: Replay, name: (by: ReplayOutcome['by']) => string): Frame {
  const lines = replay.outcomes.map((outcome) => line(outcome.by, name(outcome.by), 'step', outcome.wanted));
  return { times: timesOf(replay), lines, hidden: 0 };
}

/** By how much the policy's replica-hours differ from another's: -0.2 is a fifth fewer; null when there is nothing to compare. */
export function saved(replay: Replay, than: ReplayOutcome['by']): number | null {
  const of = (by: ReplayOutcome['by']) => replay.outcomes.find((outcome) => outcome.by === by)?.replica_hours ?? 0;
  return of(than) > 0 && of('policy') > 0 ? of('policy') / of(than) - 1 : null;
}

/** The most replicas that were asked for. */
export const mostOf = (outcome: ReplayOutcome) => outcome.wanted.reduce((most, wanted) => Math.max(most, wanted), 0);

/** A text that goes from the editor of a policy to its replay. */
let carried: { name: string; text: string } | null = null;

/** Takes a text along that is not kept yet. */
export function carryText(name: string, text: string) {
  carried = { name, text };
}

/** The text that was taken along for a policy, once. */
export function takeText(name: string): string | null {
  const text = carried?.name === name ? carried.text : null;
  carried = null;
  return text;
}

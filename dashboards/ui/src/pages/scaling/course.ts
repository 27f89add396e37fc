// What would have been: a scaler that only watches against what really ran.
import type { Frame, Line } from '../../chart/frame';

/** What a number of replicas came to over a range. */
export interface Course {
  replicaHours: number;
  /** Times the number changed. */
  changes: number;
  /** Part of the time in which the load was more than the replicas carry at their target; null when that is not known. */
  shortRatio: number | null;
}

/** Sums up a line of replicas; only the times count at which all `beside` lines are known as well, so that two are comparable. */
export function courseOf(line: Line, frame: Frame, beside: Line[], load: (number | null)[] | null, perReplica: number | null): Course | null {
  const stepHours = ((frame.times[1] ?? 0) - (frame.times[0] ?? 0)) / 3600;
  let replicaHours = 0;
  let changes = 0;
  let known = 0;
  let judged = 0;
  let short = 0;
  let before: number | null = null;
  line.values.forEach((value, at) => {
    if (value === null || beside.some((other) => (other.values[at] ?? null) === null)) return;
    known += 1;
    replicaHours += value * stepHours;
    if (before !== null && value !== before) changes += 1;
    before = value;
    const demand = load?.[at] ?? null;
    if (demand === null || perReplica === null) return;
    judged += 1;
    if (demand > value * perReplica) short += 1;
  });
  if (known === 0) return null;
  return { replicaHours, changes, shortRatio: judged > 0 ? short / judged : null };
}

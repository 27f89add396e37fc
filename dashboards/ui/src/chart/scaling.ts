// What a service's replicas carry, as a line over its load.
import { summarise, type Frame, type Line } from './frame';

/** Selects a series that the autoscaler writes about a service. */
export function scalingSeries(name: 'wanted' | 'ready' | 'decided', service: { cluster: string; service: string }): string {
  return `max(tidewatch_scaling_${name}_replicas{cluster=${JSON.stringify(service.cluster)}, service=${JSON.stringify(service.service)}})`;
}

/** Adds what the wanted replicas carry at their target; where nothing tells of replicas, it is a gap. */
export function withCapacity(frame: Frame, replicas: Frame, perReplica: number | null, label: string): Frame {
  const wanted = replicas.lines[0];
  if (perReplica === null || !wanted) return frame;
  const at = new Map(replicas.times.map((time, index) => [time, wanted.values[index] ?? null]));
  const values = frame.times.map((time) => {
    const count = at.get(time) ?? null;
    return count === null ? null : count * perReplica;
  });
  // The load has the first hue; the capacity that of the replicas, unless it is the same.
  const line: Line = { key: 'capacity', label, labels: {}, kind: 'step', colour: wanted.colour || 1, values, ...summarise(values) };
  const lines = frame.lines.map((other) => ({ ...other, colour: 0 }));
  return { ...frame, lines: [...lines, line] };
}

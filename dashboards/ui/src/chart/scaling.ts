// Lines that are made here from a service's decisions: its replicas over time and what they carry.
import type { Decision, ScaledService } from '../api/types';
import type { Steps } from '../api/useApi';
import { summarise, type Frame, type Line } from './frame';

/** Replicas wanted at each step: what the decisions say, and what is wanted now after the last one. */
export function replicaFrame(decisions: Decision[], service: ScaledService, steps: Steps, nowMs: number, label: string): Frame {
  const length = Math.max(0, Math.floor((steps.endMs - steps.startMs) / steps.stepMs) + 1);
  const times = Array.from({ length }, (_, at) => (steps.startMs + at * steps.stepMs) / 1000);
  // Only what was carried out changed the replicas.
  const done = decisions
    .filter((decision) => decision.acted_at_ms !== null && decision.state !== 'failed')
    .sort((a, b) => a.time_ms - b.time_ms);
  const values = times.map((time) => {
    const ms = time * 1000;
    // What will be wanted is not known.
    if (ms > nowMs) return null;
    const before = done.filter((decision) => (decision.acted_at_ms ?? decision.time_ms) <= ms).at(-1);
    if (before) return before === done.at(-1) ? (service.wanted ?? before.to) : before.to;
    return done[0]?.from ?? service.wanted;
  });
  const line: Line = { key: 'wanted', label, labels: {}, kind: 'step', colour: 1, values, ...summarise(values) };
  return { times, lines: service.wanted === null && done.length === 0 ? [] : [line], hidden: 0 };
}

/** Adds what the replicas carry at their target. */
export function withCapacity(frame: Frame, replicas: Frame, perReplica: number | null, label: string): Frame {
  const wanted = replicas.lines[0];
  if (perReplica === null || !wanted) return frame;
  const values = frame.times.map((time) => {
    const n = wanted.values[replicas.times.indexOf(time)] ?? null;
    return n === null ? null : n * perReplica;
  });
  const line: Line = { key: 'capacity', label, labels: {}, kind: 'step', colour: wanted.colour, values, ...summarise(values) };
  // The load keeps its own hue beside it.
  const lines = frame.lines.map((other) => ({ ...other, colour: 0 }));
  return { ...frame, lines: [...lines, line] };
}

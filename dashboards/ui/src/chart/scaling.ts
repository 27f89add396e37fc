// Lines that are made here from a service's decisions: its replicas over time and what they carry.
import type { BatchResult, Decision, ScaledService } from '../api/types';
import type { Steps } from '../api/useApi';
import { summarise, type Frame, type Line, type LineKind, type Part } from './frame';

/** Replicas wanted at each step: what the decisions say, and what is wanted now after the last one. */
export function replicaFrame(decisions: Decision[], service: ScaledService, steps: Steps, words: { wanted: string }): Frame {
  const length = Math.max(0, Math.floor((steps.endMs - steps.startMs) / steps.stepMs) + 1);
  const times = Array.from({ length }, (_, at) => (steps.startMs + at * steps.stepMs) / 1000);
  // Only what was carried out changed the replicas.
  const done = decisions
    .filter((decision) => decision.acted_at_ms !== null && decision.state !== 'failed')
    .sort((a, b) => a.time_ms - b.time_ms);
  const values = times.map((time) => {
    const ms = time * 1000;
    const before = done.filter((decision) => (decision.acted_at_ms ?? decision.time_ms) <= ms).at(-1);
    if (before) return before === done.at(-1) ? (service.wanted ?? before.to) : before.to;
    return done[0]?.from ?? service.wanted;
  });
  const line: Line = { key: 'wanted', label: words.wanted, labels: {}, kind: 'step', colour: 1, values, ...summarise(values) };
  return { times, lines: service.wanted === null && done.length === 0 ? [] : [line], hidden: 0 };
}

/** Adds what the replicas carry at their target. */
export function withCapacity(frame: Frame, replicas: Frame, perReplica: number | null, label: string): Frame {
  const wanted = replicas.lines[0];
  if (perReplica === null || !wanted) return frame;
  const values = frame.times.map((time) => {
    const at = replicas.times.indexOf(time);
    const n = wanted.values[at] ?? null;
    return n === null ? null : n * perReplica;
  });
  const line: Line = { key: 'capacity', label, labels: {}, kind: 'step', colour: wanted.colour, values, ...summarise(values) };
  // The load keeps its own hue beside it.
  const lines = frame.lines.map((other) => ({ ...other, colour: 0 }));
  return { ...frame, lines: [...lines, line] };
}

/** Labels by which a forecast's series tell which edge they are. */
const EDGE_LABELS = ['bound', 'quantile', 'edge', 'band', 'part'];

/** A forecast's result as mean and band: by a label that names the edge, else all of it is the mean. */
export function forecastParts(result: BatchResult, legend: string): Part[] {
  const kindOf = (labels: Record<string, string>): LineKind => {
    const word = EDGE_LABELS.map((name) => labels[name]).find(Boolean) ?? '';
    const quantile = Number(word);
    if (/low/.test(word) || (word !== '' && quantile < 0.5)) return 'lower';
    if (/up|high/.test(word) || quantile > 0.5) return 'upper';
    return 'mean';
  };
  return (['mean', 'lower', 'upper'] as const).map((kind) => ({
    result: { ...result, matrix: result.matrix.filter((series) => kindOf(series.labels) === kind) },
    legend,
    kind,
  }));
}

// Autoscaling: what is scaled, by which policies, what holds it, and what it costs.
import { lazy, Suspense } from 'react';
import { useLive } from '../api/live';
import type { FreezeWindow, ScaledService, Stopped } from '../api/types';
import { useApi } from '../api/useApi';
import { useWords } from '../i18n';
import { useParam } from '../ui/links';
import { Ready, Skeleton } from '../ui/Panel';
import { Tabs, useTab } from '../ui/Tabs';
import { Sentence, Time } from './parts';
import { Cost } from './scaling/Cost';
import { holdsOf } from './scaling/held';
import { Holds } from './scaling/Holds';
import { Policies } from './scaling/Policies';
import { ScaledServices } from './scaling/ScaledServices';
import { StopSwitch } from './scaling/Switches';

/** With the editor of policies, which brings a good deal of code. */
const PolicyPage = lazy(() => import('./scaling/PolicyPage'));
const ReplayPage = lazy(() => import('./scaling/ReplayPage'));

const VIEWS = ['services', 'policies', 'replay', 'holds', 'cost'] as const;

export interface ScalingData {
  services: ScaledService[];
  stopped: Stopped | null;
  freeze_windows: FreezeWindow[];
}

export function Autoscaling() {
  const loaded = useApi<ScalingData>('/api/v1/scaling/services');
  useLive(['decision', 'services'], loaded.reload);
  return (
    <Ready loaded={loaded} rows={8}>
      {(data) => <Body data={data} reload={loaded.reload} />}
    </Ready>
  );
}

function Body({ data, reload }: { data: ScalingData; reload: () => void }) {
  const { t } = useWords();
  const view = useTab(VIEWS);
  const [policy] = useParam('policy');
  const { services, stopped } = data;
  const acting = services.filter((candidate) => candidate.mode === 'act').length;
  const held = services.filter((service) => holdsOf(service.held, t).length > 0);
  const frozen = services.filter((service) => service.held.frozen_since_ms !== null);
  return (
    <>
      <Sentence
        kind={stopped ? 'muted' : frozen.length ? 'critical' : services.length ? 'ok' : 'unknown'}
        aside={services.length > 0 && <StopSwitch stopped={stopped} onDone={reload} />}
      >
        {stopped ? (
          <>
            {t('scaling.stopped', { actor: stopped.actor })} <Time ms={stopped.since_ms} relative />
          </>
        ) : services.length ? (
          <>
            {t('scaling.sentence', { count: services.length, acting })}
            {frozen.length > 0 ? (
              <> {t('scaling.sentence_frozen', { count: frozen.length, service: frozen[0]?.service })}</>
            ) : (
              held.length > 0 && <> {t('scaling.sentence_held', { count: held.length, service: held[0]?.service })}</>
            )}
          </>
        ) : (
          t('scaling.none')
        )}
      </Sentence>
      <Tabs
        label={t('nav.autoscaling')}
        tabs={VIEWS.map((id) => ({
          id,
          title: t(`scaling.view.${id}`),
          count: id === 'services' ? services.length : id === 'holds' && held.length + Number(stopped !== null) > 0 ? held.length + Number(stopped !== null) : undefined,
        }))}
      />
      {view === 'services' && <ScaledServices data={data} reload={reload} />}
      {view === 'policies' &&
        (policy ? (
          <Suspense fallback={<Skeleton rows={8} visible={false} />}>
            <PolicyPage key={policy} />
          </Suspense>
        ) : (
          <Policies />
        ))}
      {view === 'replay' && (
        <Suspense fallback={<Skeleton rows={8} visible={false} />}>
          <ReplayPage />
        </Suspense>
      )}
      {view === 'holds' && <Holds data={data} reload={reload} />}
      {view === 'cost' && <Cost />}
    </>
  );
}

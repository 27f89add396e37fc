import { lazy, Suspense, type ComponentType } from 'react';
import { Router, Routes } from './router';
import { Frame } from './frame/Frame';
import { SessionProvider } from './frame/session';
import { Overview } from './pages/Overview';
import { TimeProvider } from './time/TimeContext';
import { Skeleton } from './ui/Panel';

type Pages = typeof import('./pages/all');

/** A page that is loaded when it is first gone to. */
function later(name: keyof Pages): ComponentType {
  return lazy(() => import('./pages/all').then((pages) => ({ default: pages[name] })));
}

const ROUTES: [string, ComponentType][] = [
  ['/', Overview],
  ['/services', later('Services')],
  ['/services/:service', later('Service')],
  ['/hosts', later('Hosts')],
  ['/hosts/:host', later('Host')],
  ['/explore', later('Explore')],
  ['/logs', later('Logs')],
  ['/alerts', later('Alerts')],
  ['/tickets/:id', later('TicketPage')],
  ['/autoscaling', lazy(() => import('./pages/Autoscaling').then(({ Autoscaling }) => ({ default: Autoscaling })))],
  ['/reports', later('Reports')],
  ['/targets', later('Targets')],
  ['/status', later('Status')],
];

const NotFound = later('NotFound');

export function App() {
  return (
    <Router>
      <TimeProvider>
        <SessionProvider>
          <Frame>
            <Suspense fallback={<Skeleton rows={6} visible={false} />}>
              <Routes routes={ROUTES} fallback={NotFound} />
            </Suspense>
          </Frame>
        </SessionProvider>
      </TimeProvider>
    </Router>
  );
}

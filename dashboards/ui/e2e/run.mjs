// The UI in a real browser, against a running server.
//
//   TIDEWATCH_URL=http://127.0.0.1:9090 OUT=screenshots node e2e/run.mjs
//
// With ADVISING=SERVICE it also approves that service's waiting decision and switches its mode; with SPARE=SERVICE it writes
// that service a policy and removes it again; with PICTURES=DIR it makes the README's pictures there.
//
// Visits every page at two widths, in both themes and languages; writes a screenshot of each; prints one line per group of
// checks and, last, `N passed, N failed`.
import { chromium } from 'playwright-core';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { axeProblems, foreignSentences, layoutProblems, untranslated } from './checks.mjs';

const require = createRequire(import.meta.url);
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const server = (process.env.TIDEWATCH_URL ?? 'http://127.0.0.1:9090').replace(/\/$/, '');
const out = path.resolve(process.env.OUT ?? 'e2e-out');
/** Only pages whose name contains it, for work on one page. */
const only = process.env.ONLY ?? '';
/** A service that asks a person before it is scaled, with a decision that waits; without it nothing is approved. */
const advising = process.env.ADVISING ?? '';
/** A service that runs and has no policy; without it none is written. */
const spare = process.env.SPARE ?? '';
/** Folder of the README's pictures; without it none are made. */
const pictures = process.env.PICTURES ?? '';

const WIDTHS = [
  { name: '1440', width: 1440, height: 900 },
  { name: '390', width: 390, height: 844 },
];
const THEMES = ['light', 'dark'];
const LANGUAGES = ['en', 'zh'];
/** A page that is not ready by then is a failure. */
const READY_MS = 15_000;
/** What Tidewatch records by itself is there by then: twice the least that is waited for. */
const RECORDED_MS = 240_000;

const words = Object.fromEntries(
  await Promise.all(LANGUAGES.map(async (language) => [language, JSON.parse(await readFile(path.join(root, `src/locales/${language}.json`), 'utf8'))])),
);
const axeSource = await readFile(require.resolve('axe-core/axe.min.js'), 'utf8');

/** Results by group, in the order in which they were first checked. */
const groups = new Map();

function check(group, subject, problems) {
  if (!groups.has(group)) groups.set(group, { passed: 0, failed: [] });
  const entry = groups.get(group);
  const list = problems.filter(Boolean);
  if (list.length === 0) entry.passed += 1;
  else entry.failed.push(`${subject}: ${list.join('; ')}`);
}

async function api(route) {
  const response = await fetch(server + route);
  return response.ok ? response.json() : null;
}

/** Every page, and those details of which the server has something to show. */
async function pageList() {
  const pages = [
    ['overview', '/'],
    ['services', '/services'],
    ['hosts', '/hosts'],
    ['metrics', `/explore?q=${encodeURIComponent('up')}&q=${encodeURIComponent('node_memory_MemAvailable_bytes')}`],
    ['metrics-table', `/explore?q=${encodeURIComponent('node_load1')}&view=table`],
    ['metrics-error', `/explore?q=${encodeURIComponent('sum(up) + ?')}`],
    ['metrics-start', '/explore'],
    ['logs', '/logs'],
    ['logs-patterns', '/logs?tab=patterns'],
    ['alerts', '/alerts'],
    ['alerts-tickets', '/alerts?tab=tickets'],
    ['alerts-history', '/alerts?tab=history'],
    ['alerts-rules', '/alerts?tab=rules'],
    ['autoscaling', '/autoscaling'],
    ['autoscaling-policies', '/autoscaling?tab=policies'],
    ['autoscaling-policy-new', '/autoscaling?tab=policies&policy=*new'],
    ['autoscaling-replay', '/autoscaling?tab=replay&from=now-1d'],
    ['autoscaling-holds', '/autoscaling?tab=holds'],
    ['autoscaling-cost', '/autoscaling?tab=cost&from=now-1d'],
    ['reports', '/reports'],
    ['targets', '/targets'],
    ['status', '/status'],
  ];
  const hosts = (await api('/api/v1/hosts'))?.hosts ?? [];
  if (hosts[0]) pages.push(['host', `/hosts/${encodeURIComponent(hosts[0].host)}`]);
  const services = (await api('/api/v1/services'))?.services ?? [];
  const service = services.find((row) => row.autoscaled) ?? services[0];
  if (service) pages.push(['service', `/services/${encodeURIComponent(service.service)}`]);
  const decided = service && (await api(`/api/v1/scaling/decisions?service=${encodeURIComponent(service.service)}&changes_only=true&limit=1`))?.decisions?.[0];
  if (decided) pages.push(['autoscaling-decision', `/autoscaling?service=${encodeURIComponent(service.service)}&decision=${decided.id}&from=now-15m`]);
  const tickets = (await api('/api/v1/tickets?limit=10'))?.tickets ?? [];
  if (tickets[0]) pages.push(['ticket', `/tickets/${tickets[0].id}`]);
  return pages.filter(([name]) => name.includes(only));
}

/** A page of the browser that keeps count of what goes wrong. */
async function openPage(browser, viewport, language) {
  const context = await browser.newContext({ viewport: { width: viewport.width, height: viewport.height }, reducedMotion: 'reduce', locale: 'en-GB' });
  await context.addInitScript(
    ([chosen]) => {
      // Once per tab, so that a switch of the language within a test lasts. Nothing refreshes on its own meanwhile.
      if (window.top !== window || sessionStorage.getItem('e2e')) return;
      sessionStorage.setItem('e2e', '1');
      localStorage.setItem('tidewatch.language', chosen);
      localStorage.setItem('tidewatch.refresh', '0');
    },
    [language],
  );
  const page = await context.newPage();
  const state = { errors: [], failures: [], pending: new Set() };
  page.on('console', (message) => {
    // The preview of a report runs no scripts, on purpose; the browser says so when it is driven from outside.
    if (message.type() === 'error' && !/allow-scripts/.test(message.text())) state.errors.push(message.text());
  });
  page.on('pageerror', (error) => state.errors.push(error.message));
  page.on('request', (request) => {
    if (request.resourceType() !== 'eventsource') state.pending.add(request);
  });
  page.on('requestfinished', (request) => state.pending.delete(request));
  page.on('requestfailed', (request) => {
    state.pending.delete(request);
    const reason = request.failure()?.errorText ?? '';
    // A request that the page gave up itself, because something newer was wanted, has not failed.
    if (reason !== 'net::ERR_ABORTED') state.failures.push(`${request.url()} ${reason}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 400) state.failures.push(`${response.status()} ${response.url()}`);
  });
  return { page, state, close: () => context.close() };
}

/** Waits until the page has what it asked for. */
async function ready({ page, state }) {
  const deadline = Date.now() + READY_MS;
  let quiet = 0;
  while (quiet < 3) {
    const done = state.pending.size === 0 && (await page.evaluate(() => Boolean(document.querySelector('main > *')) && !document.querySelector('main .skeleton')));
    quiet = done ? quiet + 1 : 0;
    if (Date.now() > deadline) return `not ready after ${READY_MS / 1000} s: ${[...state.pending].map((request) => request.url()).join(' ')}`;
    await page.waitForTimeout(25);
  }
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  return '';
}

const shoot = ({ page }, name) => page.screenshot({ path: path.join(out, `${name}.png`), caret: 'initial' });

async function goto(tab, route) {
  tab.state.errors.length = 0;
  tab.state.failures.length = 0;
  await tab.page.goto(server + route, { waitUntil: 'domcontentloaded' });
  return ready(tab);
}

/** As a link within the app goes. */
async function within(tab, route) {
  if (tab.page.url() === 'about:blank') return goto(tab, route);
  tab.state.errors.length = 0;
  tab.state.failures.length = 0;
  await tab.page.evaluate((to) => {
    history.pushState(null, '', to);
    dispatchEvent(new PopStateEvent('popstate'));
  }, route);
  return ready(tab);
}

async function matrix(browser) {
  const pages = await pageList();
  for (const viewport of WIDTHS) {
    for (const language of LANGUAGES) {
      const tab = await openPage(browser, viewport, language);
      // Every page is loaded afresh once, as from a link; then gone to within the app, which is far quicker.
      const go = viewport === WIDTHS[0] && language === LANGUAGES[0] ? goto : within;
      for (const [name, route] of pages) {
        await tab.page.emulateMedia({ colorScheme: 'light' });
        const late = await go(tab, route);
        for (const theme of THEMES) {
          const subject = `${name} ${viewport.name} ${theme} ${language}`;
          if (theme === 'dark') {
            await tab.page.emulateMedia({ colorScheme: 'dark' });
            await ready(tab);
          }
          check('pages are ready', subject, [late]);
          check('nothing sticks out or is cut', subject, await tab.page.evaluate(layoutProblems));
          check('every text has its words', subject, await tab.page.evaluate(untranslated, Object.keys(words.en)));
          if (language === 'zh') check('the server’s sentences are Chinese too', subject, await tab.page.evaluate(foreignSentences));
          // Contrast and structure do not depend on the language.
          if (language === (viewport.name === '390' ? 'zh' : 'en')) {
            if (!(await tab.page.evaluate(() => 'axe' in window))) await tab.page.evaluate(axeSource);
            check('axe finds no violation', subject, await tab.page.evaluate(axeProblems));
          }
          await shoot(tab, `${name}-${viewport.name}-${theme}-${language}`);
        }
        const subject = `${name} ${viewport.name} ${language}`;
        check('no error on the console', subject, tab.state.errors.slice(0, 3));
        check('no request fails', subject, tab.state.failures.slice(0, 3));
      }
      await tab.close();
    }
  }
}

/** Runs steps that throw when they fail. */
async function scenario(group, tab, steps) {
  for (const [subject, step] of steps) {
    try {
      await step();
      check(group, subject, []);
    } catch (cause) {
      check(group, subject, [String(cause.message ?? cause).split('\n')[0]]);
    }
  }
}

const heading = (tab, text) => tab.page.locator('h1', { hasText: text }).waitFor({ timeout: READY_MS });

async function rail(browser) {
  const tab = await openPage(browser, WIDTHS[0], 'en');
  await goto(tab, '/');
  const entries = await tab.page.locator('.rail .rail-link').allTextContents();
  check('rail entries lead somewhere', 'there are ten', [entries.length === 10 ? '' : `${entries.length} entries: ${entries.join(', ')}`]);
  await scenario(
    'rail entries lead somewhere',
    tab,
    entries.map((entry) => [
      entry,
      async () => {
        await tab.page.locator('.rail .rail-link', { hasText: entry }).click();
        await heading(tab, entry);
        const problem = await ready(tab);
        if (problem) throw new Error(problem);
        const text = await tab.page.locator('main').innerText();
        if (text.trim().length < 10) throw new Error('the page is empty');
        if (/There is no such page/.test(text)) throw new Error('leads nowhere');
      },
    ]),
  );
  check('no error on the console', 'rail', tab.state.errors.slice(0, 3));
  await tab.close();
}

async function keyboard(browser) {
  const tab = await openPage(browser, WIDTHS[0], 'en');
  const { page } = tab;
  const hosts = (await api('/api/v1/hosts'))?.hosts ?? [];
  await goto(tab, '/services');
  const goes = (key, title) => [
    `g ${key}`,
    async () => {
      await page.keyboard.press('g');
      await page.keyboard.press(key);
      await heading(tab, title);
    },
  ];
  await scenario('keys do what they say', tab, [
    goes('o', 'Overview'),
    goes('m', 'Metrics'),
    goes('s', 'Services'),
    goes('h', 'Hosts'),
    goes('l', 'Logs'),
    goes('a', 'Alerts & tickets'),
    goes('c', 'Autoscaling'),
    goes('r', 'Reports'),
    goes('t', 'Targets'),
    goes('u', 'Status'),
    [
      '? and Esc',
      async () => {
        await page.keyboard.press('?');
        await page.locator('dialog.help').waitFor({ timeout: READY_MS });
        await shoot(tab, 'help-1440-light-en');
        await page.keyboard.press('Escape');
        await page.locator('dialog.help').waitFor({ state: 'detached', timeout: READY_MS });
      },
    ],
    [
      '/ finds a page',
      async () => {
        await page.keyboard.press('/');
        await page.locator('dialog.palette').waitFor({ timeout: READY_MS });
        await page.keyboard.type('autosc');
        await page.waitForTimeout(300);
        await shoot(tab, 'palette-1440-light-en');
        await page.keyboard.press('Enter');
        await heading(tab, 'Autoscaling');
      },
    ],
    [
      'Ctrl K opens, Esc closes',
      async () => {
        await page.keyboard.press('Control+k');
        await page.locator('dialog.palette').waitFor({ timeout: READY_MS });
        await page.keyboard.press('Escape');
        await page.locator('dialog.palette').waitFor({ state: 'detached', timeout: READY_MS });
      },
    ],
    [
      '- widens the range, z goes back',
      async () => {
        await page.keyboard.press('-');
        await page.waitForURL(/from=now-2h/, { timeout: READY_MS });
        await page.keyboard.press('z');
        await page.waitForURL((url) => !url.searchParams.has('from'), { timeout: READY_MS });
      },
    ],
    [
      'the range stays from page to page',
      async () => {
        await page.keyboard.press('-');
        await page.waitForURL(/from=now-2h/, { timeout: READY_MS });
        await page.keyboard.press('g');
        await page.keyboard.press('h');
        await page.waitForURL(/\/hosts\?.*from=now-2h/, { timeout: READY_MS });
      },
    ],
    [
      'j goes to a row, Enter opens it',
      async () => {
        // A server that has just started knows no host yet.
        if (!hosts.length) return;
        await page.locator('main tbody tr[data-row]').first().waitFor({ timeout: READY_MS });
        await page.keyboard.press('j');
        while (!(await page.evaluate(() => document.activeElement?.tagName === 'TR'))) await page.keyboard.press('j');
        await page.keyboard.press('Enter');
        await page.waitForURL(/\/hosts\/.+/, { timeout: READY_MS });
      },
    ],
    [
      'j and k go through rows',
      async () => {
        await page.keyboard.press('g');
        await page.keyboard.press('m');
        await heading(tab, 'Metrics');
        const rows = page.locator('main [data-row]');
        await rows.first().waitFor({ timeout: READY_MS });
        const at = () => rows.evaluateAll((list) => list.indexOf(document.activeElement));
        for (const [key, expected] of [['j', 0], ['j', 1], ['k', 0]]) {
          await page.keyboard.press(key);
          if ((await at()) !== expected) throw new Error(`${key} leads to row ${await at()}, not ${expected}`);
        }
      },
    ],
    [
      'f leads to the filter',
      async () => {
        await page.keyboard.press('g');
        await page.keyboard.press('s');
        await heading(tab, 'Services');
        await ready(tab);
        await page.keyboard.press('f');
        if (!(await page.evaluate(() => document.activeElement?.matches('[data-filter]')))) throw new Error('the filter is not focused');
      },
    ],
  ]);
  check('no error on the console', 'keyboard', tab.state.errors.slice(0, 3));
  await tab.close();
}

async function queries(browser) {
  const tab = await openPage(browser, WIDTHS[0], 'en');
  const { page } = tab;
  await goto(tab, '/explore');
  await scenario('a query mistake is shown at its character', tab, [
    [
      'the editor takes a query',
      async () => {
        await page.locator('[data-editor="promql"] .cm-content').click({ timeout: READY_MS });
        await page.keyboard.type('sum(up) + ');
        await page.keyboard.press('Escape');
        await page.keyboard.type('?');
        await page.locator('.query-tools .primary').click();
        await page.locator('.mistake').waitFor({ timeout: READY_MS });
      },
    ],
    [
      'in words, with line and column',
      async () => {
        const text = await page.locator('.mistake').innerText();
        if (!/line 1, column 11/.test(text)) throw new Error(`it says “${text}”`);
      },
    ],
    [
      'underlined in the editor',
      async () => {
        const marked = await page.locator('[data-editor="promql"] .cm-mistake').innerText({ timeout: READY_MS });
        if (marked !== '?') throw new Error(`“${marked}” is underlined`);
      },
    ],
    [
      'a right query takes it away and draws',
      async () => {
        await page.locator('[data-editor="promql"] .cm-content').click();
        await page.keyboard.press('Control+a');
        await page.keyboard.type('vector(1)');
        await page.keyboard.press('Escape');
        await page.keyboard.press('Control+Enter');
        await page.locator('.mistake').waitFor({ state: 'detached', timeout: READY_MS });
        await page.locator('figure.chart .uplot').waitFor({ timeout: READY_MS });
      },
    ],
    [
      'dragging on the chart zooms, z goes back',
      async () => {
        const box = await page.locator('figure.chart .u-over').boundingBox();
        await page.mouse.move(box.x + box.width * 0.3, box.y + 60);
        await page.mouse.down();
        await page.mouse.move(box.x + box.width * 0.6, box.y + 60, { steps: 4 });
        await page.mouse.up();
        await page.waitForURL(/from=\d+/, { timeout: READY_MS });
        await page.locator('h1').click();
        await page.evaluate(() => document.activeElement?.blur());
        await page.keyboard.press('z');
        await page.waitForURL((url) => !url.searchParams.has('from'), { timeout: READY_MS });
      },
    ],
  ]);
  check('no error on the console', 'queries', tab.state.errors.slice(0, 3));
  await tab.close();
}

async function language(browser) {
  const tab = await openPage(browser, WIDTHS[0], 'en');
  const { page } = tab;
  await goto(tab, '/');
  await scenario('the language switches in place', tab, [
    [
      'en to zh',
      async () => {
        await page.getByRole('button', { name: words.en['frame.language'], exact: true }).click();
        await page.getByRole('button', { name: '中文' }).click();
        await heading(tab, words.zh['nav.overview']);
        await ready(tab);
        const entries = await page.locator('.rail .rail-link').allTextContents();
        const wanted = Object.entries(words.zh).filter(([key]) => /^nav\.[a-z]+$/.test(key)).map(([, text]) => text);
        const foreign = entries.filter((entry) => !wanted.includes(entry));
        if (foreign.length) throw new Error(`not translated: ${foreign.join(', ')}`);
        if ((await page.locator('html').getAttribute('lang')) !== 'zh-Hans') throw new Error('the document says another language');
      },
    ],
    [
      'kept over a reload',
      async () => {
        await page.reload();
        await heading(tab, words.zh['nav.overview']);
      },
    ],
  ]);
  check('no error on the console', 'language', tab.state.errors.slice(0, 3));
  await tab.close();
}

/** Lines appear as they are written, stand still while paused, and go on. */
async function liveTail(browser) {
  const tab = await openPage(browser, WIDTHS[0], 'en');
  const { page } = tab;
  const text = (key) => words.en[key];
  await goto(tab, '/logs');
  const newest = () => page.locator('.log-rows .log-item').first().innerText();
  /** A line is written that nobody wrote before; the server says which lines are new. */
  const changes = async (from) => {
    const deadline = Date.now() + READY_MS;
    while (Date.now() < deadline) {
      const now = await newest();
      if (now !== from) return;
      await page.waitForTimeout(50);
    }
    throw new Error('no new line within 15 s');
  };
  let stood = '';
  await scenario('logs are followed live', tab, [
    [
      'lines appear',
      async () => {
        await page.getByRole('button', { name: text('logs.live_start') }).click();
        await page.waitForURL(/live=1/, { timeout: READY_MS });
        await page.locator('.log-rows .log-item').first().waitFor({ timeout: READY_MS });
        await changes(await newest());
      },
    ],
    [
      'paused they stand still while others wait',
      async () => {
        await page.getByRole('button', { name: text('logs.pause'), exact: true }).click();
        await page.getByText(/paused; .*[1-9].* lines? waits?/).waitFor({ timeout: READY_MS });
        stood = await newest();
        await page.waitForTimeout(1000);
        if ((await newest()) !== stood) throw new Error('a line came while paused');
      },
    ],
    [
      'resumed they go on',
      async () => {
        await page.getByRole('button', { name: text('logs.resume'), exact: true }).click();
        await changes(stood);
        await shoot(tab, 'logs-live-1440-light-en');
      },
    ],
    [
      'stopped the search is back',
      async () => {
        await page.getByRole('button', { name: text('logs.live_stop') }).click();
        await page.waitForURL((url) => !url.searchParams.has('live'), { timeout: READY_MS });
        await page.locator('.histogram, .log-histogram, figure, .facets').first().waitFor({ timeout: READY_MS });
      },
    ],
  ]);
  check('no error on the console', 'live tail', tab.state.errors.slice(0, 3));
  await tab.close();
}

/** A person approves a decision, then says how far the autoscaler may go; the server is asked what became of it. */
async function scaling(browser) {
  const tab = await openPage(browser, WIDTHS[0], 'en');
  const { page } = tab;
  const text = (key) => words.en[key];
  const until = async (what, is) => {
    const deadline = Date.now() + 2 * READY_MS;
    while (Date.now() < deadline) {
      if (await is()) return;
      await page.waitForTimeout(100);
    }
    throw new Error(`${what}: not within ${(2 * READY_MS) / 1000} s`);
  };
  const service = async () => (await api('/api/v1/scaling/services'))?.services.find((row) => row.service === advising);
  const decision = async (id) => (await api(`/api/v1/scaling/decisions?service=${encodeURIComponent(advising)}&limit=100`))?.decisions.find((row) => row.id === id);
  const waiting = (await api(`/api/v1/scaling/decisions?service=${encodeURIComponent(advising)}&limit=100`))?.decisions.find((row) => row.state === 'awaiting_approval');
  const modeButton = (mode) => page.locator('.mode .segments button', { hasText: text(`mode.${mode}`) });
  const sets = (mode) => [
    `mode ${mode}`,
    async () => {
      await modeButton(mode).click();
      if (mode === 'act') {
        await page.locator('dialog').waitFor({ timeout: READY_MS });
        await page.locator('dialog').getByRole('button', { name: text('mode.act'), exact: true }).click();
      }
      await until(`the server says ${mode}`, async () => (await service())?.mode === mode);
      await page.locator(`.mode .segments button[aria-pressed="true"]`, { hasText: text(`mode.${mode}`) }).waitFor({ timeout: READY_MS });
    },
  ];
  await goto(tab, `/autoscaling?service=${encodeURIComponent(advising)}&from=now-15m${waiting ? `&decision=${waiting.id}` : ''}`);
  await page.evaluate(axeSource);
  check('axe finds no violation', 'a decision that waits', await page.evaluate(axeProblems));
  await shoot(tab, 'autoscaling-waiting-1440-light-en');
  await scenario('a person decides on the page', tab, [
    [
      'a decision waits and is approved',
      async () => {
        if (!waiting) throw new Error(`no decision of ${advising} waits`);
        await page.getByRole('button', { name: text('decision.approve') }).first().click({ timeout: READY_MS });
        await until('it is carried out', async () => ['acted', 'verified'].includes((await decision(waiting.id))?.state));
        await until('the replicas are wanted', async () => ((await service())?.wanted ?? 0) >= waiting.to);
      },
    ],
    [
      'the page shows it',
      async () => {
        await page.locator('.decisions').getByText(new RegExp(`${text('decision.acted')}|${text('decision.verified')}`)).first().waitFor({ timeout: READY_MS });
      },
    ],
    sets('observe'),
    sets('advise'),
    sets('act'),
    [
      'everything is stopped, and goes on',
      async () => {
        for (const [key, stopped] of [['scaling.stop_all', true], ['scaling.start_all', false]]) {
          await page.locator('.sentence-aside').getByRole('button', { name: text(key) }).click({ timeout: READY_MS });
          await page.locator('dialog').getByRole('button', { name: text(key), exact: true }).click({ timeout: READY_MS });
          await until(key, async () => ((await api('/api/v1/scaling/services'))?.stopped !== null) === stopped);
        }
      },
    ],
  ]);
  check('no error on the console', 'scaling', tab.state.errors.slice(0, 3));
  await tab.close();
}

/** A person writes a policy with a mistake, mends and saves it, changes it, and removes it; a direction is paused meanwhile. */
async function policies(browser) {
  const tab = await openPage(browser, WIDTHS[0], 'en');
  const { page } = tab;
  const text = (key) => words.en[key];
  const name = spare;
  const write = async (yaml) => {
    const editor = page.locator('[data-editor="yaml"] .cm-content');
    await editor.click({ timeout: READY_MS });
    await page.keyboard.press('Control+a');
    await page.keyboard.insertText(yaml);
  };
  const save = page.getByRole('button', { name: text('policy.save'), exact: true });
  const confirm = async (verb, why) => {
    await page.locator('dialog input').fill(why);
    await page.locator('dialog').getByRole('button', { name: verb, exact: true }).click({ timeout: READY_MS });
  };
  const kept = () => api(`/api/v1/scaling/policies/${name}`);
  const is = async (what, holds) => {
    const deadline = Date.now() + READY_MS;
    while (!(await holds())) {
      if (Date.now() > deadline) throw new Error(`${what}: not within ${READY_MS / 1000} s`);
      await page.waitForTimeout(100);
    }
  };
  await goto(tab, '/autoscaling?tab=policies&policy=*new');
  await page.evaluate(axeSource);
  await scenario('a person writes a policy', tab, [
    [
      'a mistake is said with its line',
      async () => {
        await write(`service: ${name}\nmode: observe\nmin: 5\nmax: 2\ntargets: [{kind: rps, value: 100}]\n`);
        await page.locator('.verdict', { hasText: 'Line 4' }).waitFor({ timeout: READY_MS });
        if (!(await save.isDisabled())) throw new Error('it can be saved');
        check('axe finds no violation', 'a policy with a mistake', await page.evaluate(axeProblems));
        await shoot(tab, 'autoscaling-policy-mistake-1440-light-en');
      },
    ],
    [
      'it is mended and saved with a reason',
      async () => {
        await write(`service: ${name}\nmode: observe\nmax: 2\ntargets: [{kind: rps, value: 100}]\n`);
        await save.click({ timeout: READY_MS });
        await page.locator('dialog .diff').waitFor({ timeout: READY_MS });
        check('axe finds no violation', 'a policy is saved', await page.evaluate(axeProblems));
        await shoot(tab, 'autoscaling-policy-save-1440-light-en');
        await confirm(text('policy.save'), 'browser test');
        await is('version 1', async () => (await kept())?.policy?.version === 1);
        await page.locator('.policy-name', { hasText: name }).waitFor({ timeout: READY_MS });
      },
    ],
    [
      'a change is the next version',
      async () => {
        await write(`service: ${name}\nmode: observe\nmax: 3\ntargets: [{kind: rps, value: 100}]\n`);
        await page.keyboard.press('Control+Enter');
        await is('the page may save', async () => (await page.locator('dialog').count()) > 0 || (await page.keyboard.press('Control+Enter'), false));
        await confirm(text('policy.save'), '');
        await is('version 2', async () => (await kept())?.policy?.version === 2);
        await page.locator('.version-row', { hasText: 'Version 2' }).click({ timeout: READY_MS });
        await page.locator('.diff-added', { hasText: 'max: 3' }).waitFor({ timeout: READY_MS });
      },
    ],
    [
      'it is removed, and its versions stay',
      async () => {
        await page.getByRole('button', { name: text('policy.delete'), exact: true }).click({ timeout: READY_MS });
        await confirm(text('policy.delete'), 'done');
        await is('it is gone', async () => (await kept())?.policy === null);
        await page.locator('.version-row').nth(2).waitFor({ timeout: READY_MS });
      },
    ],
    [
      'a direction is paused and resumed',
      async () => {
        const first = (await api('/api/v1/scaling/services'))?.services[0]?.service;
        const paused = async () => (await api('/api/v1/scaling/services'))?.services.find((row) => row.service === first)?.held.paused.in;
        await goto(tab, `/autoscaling?service=${encodeURIComponent(first)}`);
        for (const [key, closed] of [['pause.close.in', true], ['pause.open.in', false]]) {
          await page.locator('.mode').getByRole('button', { name: text(key) }).click({ timeout: READY_MS });
          await confirm(text(key), 'browser test');
          await is(key, async () => (await paused()) === closed);
        }
      },
    ],
    [
      'all of it stands in the history',
      async () => {
        await goto(tab, '/autoscaling?tab=holds');
        for (const words of ['Saved version 2 of the policy', 'Removed the policy', 'Paused scale-in']) {
          await page.locator('.changes', { hasText: words }).first().waitFor({ timeout: READY_MS });
        }
        await shoot(tab, 'autoscaling-history-1440-light-en');
      },
    ],
  ]);
  check('no error on the console', 'policies', tab.state.errors.slice(0, 3));
  await tab.close();
}

/** Waits until enough was recorded of a service for a replay: two minutes of load are the least, and this browser may be faster. */
async function recorded(service) {
  const deadline = Date.now() + RECORDED_MS;
  for (;;) {
    const body = JSON.stringify({ service });
    const response = await fetch(`${server}/api/v1/scaling/replay`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
    if (response.ok) return;
    if (Date.now() > deadline) throw new Error(`no load to replay within ${RECORDED_MS / 1000} s: ${await response.text()}`);
    await new Promise((done) => setTimeout(done, 1000));
  }
}

/** A person replays a policy on what was recorded. */
async function replays(browser) {
  await recorded((await api('/api/v1/scaling/policies')).policies[0].service);
  const tab = await openPage(browser, WIDTHS[0], 'en');
  const { page } = tab;
  const text = (key) => words.en[key];
  await goto(tab, '/autoscaling?tab=replay&from=now-30m');
  await page.evaluate(axeSource);
  await scenario('a person replays a policy', tab, [
    [
      'the ways to scale stand side by side',
      async () => {
        await page.getByRole('button', { name: text('replay.run'), exact: true }).click({ timeout: READY_MS });
        await page.locator('.scaling-status', { hasText: 'replica-hours' }).waitFor({ timeout: READY_MS });
        for (const by of ['policy', 'hpa', 'fixed']) await page.locator('td', { hasText: text(`replay.by.${by}`) }).first().waitFor({ timeout: READY_MS });
        check('axe finds no violation', 'a replay', await page.evaluate(axeProblems));
        await shoot(tab, 'autoscaling-replay-done-1440-light-en');
      },
    ],
  ]);
  check('no error on the console', 'replays', tab.state.errors.slice(0, 3));
  await tab.close();
}

/** What the README shows. */
async function takePictures(browser) {
  const service = (await api('/api/v1/services'))?.services.filter((row) => row.autoscaled).find((row) => row.service !== advising)?.service ?? '';
  const query = 'sum by (service) (rate(haproxy_backend_http_requests_total{service!=""}[10s]))';
  const shots = [
    ['overview', '/'],
    ['services', '/services'],
    ['hosts', '/hosts'],
    ['metrics', `/explore?q=${encodeURIComponent(query)}`],
    ['logs', '/logs?q=status:200'],
    ['alerts', '/alerts'],
    ['scaling', `/autoscaling?service=${encodeURIComponent(service)}`],
    ['reports', '/reports'],
    ['targets', '/targets'],
    ['status', '/status'],
  ];
  await mkdir(pictures, { recursive: true });
  const tab = await openPage(browser, WIDTHS[0], 'en');
  for (const [name, route] of shots) {
    const late = await goto(tab, `${route}${route.includes('?') ? '&' : '?'}from=now-5m`);
    check('pictures are made', name, [late]);
    await tab.page.screenshot({ path: path.join(pictures, `${name}.png`) });
  }
  await tab.close();
}

async function unknownPage(browser) {
  const tab = await openPage(browser, WIDTHS[0], 'en');
  await scenario('an unknown page says so', tab, [
    [
      '/no-such-page',
      async () => {
        await goto(tab, '/no-such-page');
        await tab.page.getByText(words.en['not_found.title']).waitFor({ timeout: READY_MS });
      },
    ],
  ]);
  await tab.close();
}

await mkdir(out, { recursive: true });
const started = Date.now();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
  if (pictures) await takePictures(browser);
  // What needs the load comes first: it does not last for ever.
  if (advising) for (const part of [scaling, liveTail]) await part(browser);
  if (spare) await policies(browser);
  await matrix(browser);
  if (!only) for (const part of [rail, keyboard, queries, language, unknownPage, replays]) await part(browser);
} finally {
  await browser.close();
}

let passed = 0;
let failed = 0;
for (const [group, result] of groups) {
  passed += result.passed;
  failed += result.failed.length;
  console.log(`${result.failed.length ? 'FAILED' : 'ok'}  ${group}: ${result.passed} of ${result.passed + result.failed.length}`);
  for (const failure of result.failed) console.log(`        ${failure}`);
}
console.log(`screenshots in ${out}, ${Math.round((Date.now() - started) / 1000)} s`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);

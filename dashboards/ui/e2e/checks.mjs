// What is asserted of a page as it stands in the browser.

/** Runs in the page: what is cut off or sticks out, as short descriptions. */
export function layoutProblems() {
  const problems = [];
  const root = document.scrollingElement;
  if (root.scrollWidth > window.innerWidth + 1) problems.push(`the page is ${root.scrollWidth} px wide in a window of ${window.innerWidth}`);

  const name = (element) => `${element.tagName.toLowerCase()}${typeof element.className === 'string' && element.className ? '.' + element.className.trim().split(/\s+/).join('.') : ''}`;
  const seen = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = node.textContent.trim();
    const owner = node.parentElement;
    if (!text || !owner || owner.closest('.sr, script, noscript, [hidden], .skip') || !owner.checkVisibility({ visibilityProperty: true })) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const rect = range.getBoundingClientRect();
    if (rect.width === 0) continue;
    let ellipsis = false;
    for (let box = owner; box && box !== document.body; box = box.parentElement) {
      const style = getComputedStyle(box);
      if (style.clipPath === 'inset(50%)') {
        ellipsis = true;
        break;
      }
      if (style.textOverflow === 'ellipsis') ellipsis = true;
      // What scrolls is not cut.
      if (/auto|scroll/.test(style.overflowX + style.overflowY)) {
        ellipsis = true;
        break;
      }
      if (!/hidden|clip/.test(style.overflowX)) continue;
      const edge = box.getBoundingClientRect();
      if (!ellipsis && (rect.right > edge.right + 1.5 || rect.left < edge.left - 1.5 || rect.bottom > edge.bottom + 3)) {
        seen.add(`“${text.slice(0, 40)}” is cut by ${name(box)}`);
        break;
      }
    }
    if (!ellipsis && (rect.right > window.innerWidth + 1 || rect.left < -1)) seen.add(`“${text.slice(0, 40)}” sticks out of the window`);
  }
  return [...problems, ...[...seen].slice(0, 5)];
}

/** Runs in the page: texts that are keys of the catalogue, so have no words. */
export function untranslated(keys) {
  const known = new Set(keys);
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = node.textContent.trim();
    if (known.has(text) || /^[a-z_]+\.[a-z_.]+\.[a-z_]+$/.test(text) && text.startsWith('chart.')) found.push(text);
  }
  for (const element of document.querySelectorAll('[aria-label], [title], [placeholder]')) {
    for (const attribute of ['aria-label', 'title', 'placeholder']) {
      const text = element.getAttribute(attribute);
      if (text && known.has(text)) found.push(text);
    }
  }
  return found.slice(0, 5);
}

/** Runs in the page, shown in Chinese: what the server says that is still English. */
export function foreignSentences() {
  const said = document.querySelectorAll('.scaling-status, .decision-why, .decision-result, .decision-detail td:last-child');
  const texts = [...said].map((element) => element.textContent.trim());
  return texts.filter((text) => /[a-z]{3,} [a-z]{2,}/.test(text) && !/[\u4e00-\u9fff]/.test(text)).slice(0, 3);
}

/** Runs in the page, after axe's own code: its violations in short. */
export async function axeProblems() {
  const result = await window.axe.run(document, {
    iframes: false,
    resultTypes: ['violations'],
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  });
  return result.violations.map((violation) => `${violation.id} (${violation.nodes.length}): ${violation.nodes.slice(0, 2).map((node) => node.target.join(' ')).join(' | ')} ${violation.nodes[0]?.any?.[0]?.message ?? ''}`);
}

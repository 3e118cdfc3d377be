// Looking at a page as strictly as a person with a screen reader, a small screen and a dark room would:
// axe-core, no scrolling sideways, no complaint of the browser; and a picture, narrow and wide, light
// and dark.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const LOOKS = [[1280, 'light'], [1280, 'dark'], [320, 'light'], [320, 'dark']];
// The style knows nothing of scripts: each width and each scheme once.
const FEWER_LOOKS = [[1280, 'light'], [320, 'dark']];

// What is asked of a page. It is asked in a world of its own: the page's rules about scripts stay in
// force for the page, and a page without scripts stays without.
const QUESTION = `(async () => {
  await Promise.all(document.getAnimations().map((animation) => animation.finished));
  const found = await axe.run(document, { runOnly: ${JSON.stringify(RULES)}, resultTypes: ['violations'] });
  return JSON.stringify({
    faults: found.violations.map(({ id, help, nodes }) => ({
      id, help, at: nodes.map((node) => node.html.slice(0, 200) + ' ' + node.failureSummary),
    })),
    width: document.scrollingElement.scrollWidth,
    isTouched: !!document.querySelector('.look, body > [role=status]'),
  });
})()`;

/** What was looked at, by anybody. */
export const seen = { paths: new Set(), pages: 0, faults: [] };

/** Somebody's eyes: they look at each page of `page`, and keep pictures under `folder`. */
export class Eyes {
  constructor(page, scripts, folder) {
    Object.assign(this, { page, scripts, folder, complaints: [], refused: new Set(), status: null });
    page.on('response', (response) => {
      const request = response.request();
      if (!request.isNavigationRequest() || response.frame() !== page.mainFrame()) return;
      this.status = response.status();
      if (this.status >= 400) this.refused.add(response.url());
    });
    page.on('console', (message) => {
      // Chromium also reports a page whose status says no; whether it may is what `look` is told.
      const isOfPage = message.text().startsWith('Failed to load resource')
        && this.refused.has(message.location().url);
      if (message.type() === 'error' && !isOfPage) this.complaints.push(message.text());
    });
    page.on('pageerror', (error) => this.complaints.push(String(error)));
  }

  /** Looks at the page that is open, which was answered with this status. */
  async look(name, status = 200) {
    assert.equal(this.status, status, `${name}: ${this.page.url()} answered ${this.status}`);
    seen.paths.add(new URL(this.page.url()).pathname);
    seen.pages += 1;
    this.devtools ??= await this.page.context().newCDPSession(this.page);
    const { devtools } = this;
    // A page that was opened without scripts has been read and drawn without them by now.
    await this.#allowScripts(devtools, true);
    const ask = await this.#ownWorld(devtools);
    for (const [width, colorScheme] of this.scripts ? LOOKS : FEWER_LOOKS) {
      await this.page.setViewportSize({ width, height: 900 });
      await this.page.emulateMedia({ colorScheme });
      const at = `${name}, ${width} px, ${colorScheme}, scripts ${this.scripts ? 'on' : 'off'}`;
      const told = JSON.parse(await ask(QUESTION));
      assert.equal(told.isTouched && !this.scripts, false, `${at}: a script has run`);
      seen.faults.push(...told.faults.map((fault) => ({ page: at, ...fault })));
      if (told.width > width) seen.faults.push({ page: at, help: `is ${told.width} px wide` });
      const file = `${name}-${width}-${colorScheme}${this.scripts ? '' : '-no-script'}.png`;
      await this.page.screenshot({ path: `${this.folder}/${file}`, fullPage: true });
    }
    await this.#allowScripts(devtools, false);
    assert.deepEqual(this.complaints, [], `${name}: the browser complained`);
  }

  async #allowScripts(devtools, allowed) {
    if (this.scripts) return;
    // It counts only as a change of what this very connection has said before.
    for (const value of [allowed, !allowed]) await devtools.send('Emulation.setScriptExecutionDisabled', { value });
  }

  async #ownWorld(devtools) {
    const { frameTree } = await devtools.send('Page.getFrameTree');
    const world = { frameId: frameTree.frame.id, worldName: 'eyes' };
    const { executionContextId } = await devtools.send('Page.createIsolatedWorld', world);
    const ask = async (expression) => {
      const question = { expression, contextId: executionContextId, awaitPromise: true, returnByValue: true };
      const { result, exceptionDetails } = await devtools.send('Runtime.evaluate', question);
      assert.ok(!exceptionDetails, exceptionDetails?.exception?.description);
      return result.value;
    };
    await ask(`${AXE}; undefined`);
    return ask;
  }
}

// A person in Chromium: from the sample app through Keywright to the upstream and back, then out.
// Keeps a picture of each page.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const { APP, ISSUER, UPSTREAM, USERNAME, PASSWORD, SCRIPTS, PICTURES } = process.env;
const complaints = [];

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--no-first-run',
  ],
});
try {
  const context = await browser.newContext({ javaScriptEnabled: SCRIPTS === 'on' });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  const picture = (name) =>
    page.screenshot({ path: `${PICTURES}/scripts-${SCRIPTS}-${name}.png`, fullPage: true });
  const at = (address) => page.waitForURL((url) => url.href.startsWith(address));
  const press = (name) =>
    page.getByRole('link', { name }).or(page.getByRole('button', { name })).first().click();

  await page.goto(APP);
  await picture('1-app');
  await press(/sign in/i);
  await at(UPSTREAM);
  await picture('2-upstream');
  await page.fill('input[name=username]', USERNAME);
  await page.fill('input[name=password]', PASSWORD);
  await page.click('form:has(input[name=password]) button[type=submit]');
  await at(APP);
  await picture('3-signed-in');
  const shown = await page.textContent('body');
  assert.match(shown, /verified/i);
  for (const part of ['"iss"', ISSUER, '"sub"', USERNAME]) {
    assert.ok(shown.includes(part), `${part} is not shown`);
  }

  await press(/sign out/i);
  await at(APP);
  await picture('4-signed-out');
  assert.ok(!(await page.textContent('body')).includes('"sub"'), 'tokens are still shown');
  assert.deepEqual(complaints, [], 'the browser complained');
} finally {
  await browser.close();
}

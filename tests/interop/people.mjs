// One walk of people through the pages of Keywright, with JavaScript and, where no passkey is
// involved, at the same time without. Every page on the way is looked at (people-looks.mjs).
// WALK names the walk, MODES says how; prints what was looked at as one line of JSON.
import assert from 'node:assert/strict';
import * as accounts from './people-accounts.mjs';
import { Person, launch, startApp } from './people-cast.mjs';
import { seen } from './people-looks.mjs';
import * as signingIn from './people-signing-in.mjs';

const walk = { ...signingIn, ...accounts }[process.env.WALK];
const app = await startApp();
const browser = await launch();

async function goes(mode) {
  const another = () => Person.at(browser, mode === 'on');
  const person = await another();
  try {
    await walk({ person, another, app });
    await person.leave();
  } catch (error) {
    await person.page.screenshot({ path: `${process.env.PICTURES}/FAILED-${process.env.WALK}-${mode}.png`, fullPage: true });
    throw new Error(`with JavaScript ${mode}, at ${person.page.url()}: ${error.stack}`);
  }
}

try {
  const ends = await Promise.allSettled(process.env.MODES.split(' ').map(goes));
  for (const { reason } of ends) if (reason) throw reason;
  assert.deepEqual(seen.faults, [], 'what is wrong with the pages');
  console.log(JSON.stringify({ paths: [...seen.paths], pages: seen.pages }));
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await browser.close();
  app.stop();
}

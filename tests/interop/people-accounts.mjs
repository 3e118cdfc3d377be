// Walks of people at their own pages: what they are called, what they have, and the end of it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { OTHER_PASSWORD, confirm, introspect, join, mailTo, PASSWORD } from './people-cast.mjs';

export async function changes({ person }) {
  const username = await join(person, 'bea');
  await confirm(person, username);
  await person.open('/account');
  await person.look('account');
  await person.press('Change your name');
  await person.look('profile');
  await person.fill({ Username: 'admin' });
  await person.press('Save');
  await person.look('profile-refused', 422);
  await person.fill({ Username: username, Name: 'Bea Example' });
  await person.press('Save');
  await person.says(/Bea Example/);
  await person.open('/account/profile');
  await person.choose('A picture', 'text/plain', Buffer.from('no picture'));
  await person.press('Upload');
  await person.look('picture-refused', 422);
  await person.open('/account/profile');
  await person.choose('A picture', 'image/png', await person.page.screenshot());
  await person.press('Upload');
  await person.look('profile-with-picture');
  await person.press('Remove your picture');

  await person.open('/account/password');
  await person.look('password');
  await person.fill({ 'Current password': 'not the password', 'New password': OTHER_PASSWORD });
  await person.press('Change the password');
  await person.look('password-wrong', 422);
  await person.fill({ 'Current password': PASSWORD, 'New password': 'password' });
  await person.press('Change the password');
  await person.look('password-weak', 422);
  await person.fill({ 'Current password': PASSWORD, 'New password': OTHER_PASSWORD });
  await person.press('Change the password');
  await person.look('password-changed');

  await person.open('/account/email');
  await person.look('email');
  await person.fill({ 'New address': `${username}@example.org` });
  await person.press('Send a link there');
  await person.look('email-refused', 422);
  await person.fill({ 'New address': `${username}@example.com` });
  await person.press('Send a link there');
  await person.look('email-asked');
  await person.open((await mailTo(`${username}@example.com`, '/verify-email')).link);
  await person.press('Yes, confirm it');
  const undo = await mailTo(`${username}@example.org`, '/verify-email', /undo/i);
  await person.open(undo.link);
  await person.look('email-undo');
  await person.press('Undo the change');
  await person.look('email-undone');
}

export async function belongings({ person }) {
  const username = await join(person, 'kate');
  await person.open('/account/apps');
  await person.look('apps');
  await person.press('Disconnect Notes');
  await person.open('/account/apps');
  await person.look('apps-none');
  await person.fromApp('prompt=consent');
  await person.is('/consent');
  await person.look('consent');
  await person.press('Agree');
  await person.arrives(username);
  await person.open('/account/activity');
  await person.look('activity');
  await person.open('/account');
  const [file] = await Promise.all([
    person.page.waitForEvent('download'),
    person.page.getByRole('button', { name: 'Download your data' }).click(),
  ]);
  assert.ok((await readFile(await file.path(), 'utf8')).includes(username));
  await person.press('Connect Elsewhere');
  await person.look('link-away', 503);
}

export async function token({ person, app }) {
  await join(person, 'gail');
  await person.open('/account/tokens');
  await person.look('tokens-none');
  await person.fill({ 'What is it for?': 'backup' });
  await person.press('Make the token');
  await person.look('token-without-scope', 422);
  await person.page.locator('input[name="scope.notes:read"]').check();
  await person.press('Make the token');
  await person.look('token-made');
  const secret = (await person.page.locator('#token').innerText()).trim();
  assert.equal((await introspect(app, secret)).active, true);
  await person.open('/account/everywhere');
  await person.look('everywhere-with-tokens');
  await person.open('/account/tokens');
  await person.look('tokens');
  await person.press('Revoke backup');
  assert.deepEqual(await introspect(app, secret), { active: false });
}

export async function sessions({ person, another }) {
  const username = await join(person, 'fred');
  const other = await another();
  for (const ending of ['End session', 'End all others']) {
    await other.open('/account');
    await other.signIn(username);
    await other.is('/account');
    await person.open('/account');
    await person.look(ending === 'End session' ? 'account-two-sessions' : 'account-two-sessions-again');
    await person.press(ending);
    await person.is('/account');
    await other.open('/account');
    await other.is('/login');
  }
  await other.signIn(username);
  await other.press('Sign out everywhere');
  await other.look('everywhere');
  await other.press('Sign out everywhere');
  await other.look('signed-out-everywhere');
  await other.leave();
  await person.open('/account');
  await person.is('/login');
}

export async function deletion({ person }) {
  const username = await join(person, 'iris');
  await confirm(person, username);
  await person.open('/account');
  await person.press('Delete your account');
  await person.look('delete');
  await person.fill({ [`Type your username, ${username}`]: 'somebody' });
  await person.press('Delete my account');
  await person.look('delete-not-confirmed', 422);
  await person.fill({ [`Type your username, ${username}`]: username });
  await person.press('Delete my account');
  await person.look('deleted');
  await person.fromApp();
  await person.signIn(username);
  await person.says(/There is a problem/);
  const { link } = await mailTo(`${username}@example.org`, '/account/keep');
  await person.open(link);
  await person.look('keep');
  await person.press('Keep the account');
  await person.look('kept');
  await person.open(link);
  await person.look('keep-again', 410);
  await person.fromApp();
  await person.signIn(username);
  await person.arrives(username);
}

/** The pages of passkeys also have to say what they cannot do without a script. */
export async function passkeysWithout({ person }) {
  await join(person, 'lisa');
  await person.open('/account/passkeys');
  await person.says(/needs a script/);
  await person.look('passkeys-none');
  await person.signOut();
  await person.fromApp();
  await person.open(person.page.url().replace('/login?', '/login/passkey?'));
  await person.says(/needs a script/);
  await person.look('sign-in-passkey');
}

export async function passkeys({ person, another }) {
  const device = await virtualAuthenticator(person);
  const username = await join(person, 'edna');
  await person.open('/account/passkeys');
  await person.look('passkeys-none');
  await device.knowsPerson(false);
  await person.page.getByRole('button', { name: 'Add a passkey' }).click();
  await person.page.getByText('has not made a passkey').waitFor();
  await person.look('passkey-not-made');
  await device.knowsPerson(true);
  await person.fill({ 'Name of the device (if you like)': 'Laptop' });
  await person.press('Add a passkey');
  await person.look('passkey-added');
  await person.page.getByText('Rename').first().click();
  await person.fill({ 'New name': 'Old laptop' });
  await person.look('passkey-rename');
  await person.press(/^Rename$/);
  await person.says(/Old laptop/);
  await person.signOut();

  // Nobody touches the device, and nothing happens; then the field for the name suggests the passkey.
  await device.isTouched(false);
  await person.fromApp();
  await person.look('sign-in-offering-passkeys');
  await device.isTouched(true);
  await person.fromApp();
  await person.arrives(username);
  await person.open('/account');
  await person.says(/Signed in with a passkey/);
  // A browser that suggests none has the button.
  await person.page.addInitScript(() => {
    window.PublicKeyCredential.isConditionalMediationAvailable = async () => false;
  });
  for (const [page, button] of [['/login', 'Use a passkey'], ['/login/passkey', 'Continue']]) {
    await person.signOut();
    await person.fromApp();
    await person.open(person.page.url().replace('/login?', `${page}?`));
    await person.look(`sign-in-passkey-${button.split(' ')[0].toLowerCase()}`);
    await person.press(button);
    await person.arrives(username);
  }

  const other = await another();
  await other.open('/account');
  await other.signIn(username);
  await other.open('/account/passkeys');
  await other.press('Remove Old laptop');
  await other.look('passkey-removed');
  await other.leave();
  await person.signOut();
  await person.fromApp();
  await person.press('Use a passkey');
  await person.look('passkey-refused', 400);
}

/** A device with a sensor that knows its owner, in place of a real one (CTAP 2). */
async function virtualAuthenticator(person) {
  const devtools = await person.context.newCDPSession(person.page);
  await devtools.send('WebAuthn.enable', { enableUI: false });
  const options = {
    protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true,
    isUserVerified: true, automaticPresenceSimulation: true,
  };
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', { options });
  return {
    isTouched: (enabled) => devtools.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled }),
    knowsPerson: (isUserVerified) => devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified }),
  };
}

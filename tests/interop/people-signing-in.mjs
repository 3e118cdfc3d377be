// Walks of people who come: making an account, signing in, getting back in.
import assert from 'node:assert/strict';
import { Authenticator, GIVEN, MAIL, OTHER_PASSWORD, PASSWORD, PHONE, confirm, join, mailTo } from './people-cast.mjs';

export async function signUp({ person }) {
  const username = person.name('anna');
  await person.fromApp();
  await person.look('sign-in-of-app');
  await person.press('Create one');
  await person.look('sign-up');
  await person.fill({ Username: username, 'Email (optional)': `${username}@example.org`, Password: 'password' });
  await person.press('Create account');
  await person.look('sign-up-weak-password', 422);
  await person.fill({ Password: PASSWORD });
  await person.press('Create account');
  await person.arrives(username);

  await person.open('/account/email');
  await person.look('email-not-confirmed');
  const former = (await mailTo(`${username}@example.org`, '/verify-email')).link;
  await person.press('Send the link again');
  await person.look('email-sent-again');
  const { link } = await mailTo(`${username}@example.org`, '/verify-email', /./, former);
  await person.page.goto(MAIL);
  await person.look('mail');
  await person.open(link);
  await person.look('confirm-address');
  await person.press('Yes, confirm it');
  await person.look('address-confirmed');
  await person.open(link);
  await person.look('confirm-address-again', 410);
  await person.open('/account');
  await person.says(/Verified/);

  await person.open('/logout');
  await person.look('sign-out');
  await person.press('Sign out');
  await person.look('signed-out');
  await person.fromApp();
  await person.press('Create one');
  await person.fill({ Username: username, Password: PASSWORD });
  await person.press('Create account');
  await person.look('sign-up-name-taken', 422);
}

export async function signIn({ person, another }) {
  await person.open('/account');
  await person.look('sign-in');
  await person.signIn(GIVEN.known, 'not the password');
  await person.look('sign-in-wrong-password', 400);
  await person.signIn(GIVEN.known);
  await person.is('/account');
  await person.fromApp('prompt=select_account');
  await person.look('sign-in-continue');
  await person.press('Continue as');
  await person.arrives(GIVEN.known);

  await person.fromApp('response_mode=form_post');
  if (!person.scripts) {
    await person.look('handing-over');
    await person.press('Continue');
  }
  await person.arrives(GIVEN.known);

  const stranger = await another();
  await person.fromApp('prompt=login');
  await stranger.open(person.page.url());
  await stranger.look('sign-in-of-another-browser', 403);
  await stranger.open('/account');
  await stranger.press('Continue with Elsewhere');
  await stranger.look('upstream-away', 503);
  await stranger.open('/upstream/elsewhere/callback?code=x&state=nobody');
  await stranger.look('upstream-answer-unknown', 400);
  await stranger.leave();

  await person.open('/login?flow=gone');
  await person.look('sign-in-over', 400);
  await person.open('/nothing/here');
  await person.look('not-found', 404);
  await person.open('/authorize?client_id=nobody');
  await person.look('app-unknown', 400);
  await person.open('/account/profile');
  await person.context.clearCookies();
  await person.press('Save');
  await person.look('form-not-ours', 403);
}

export async function recovery({ person }) {
  const username = await join(person, 'hugo');
  await confirm(person, username);
  await person.signOut();
  await person.fromApp();
  await person.press('Forgot your password?');
  await person.look('recovery');
  await person.fill({ 'Username or email': username });
  await person.press('Send the mail');
  await person.look('recovery-code-asked');
  const { link, text } = await mailTo(`${username}@example.org`, '/recovery');
  const [, code] = /code: ?(\d[\d ]+\d)/.exec(text);
  const digits = code.replace(/ /g, '');
  await person.fill({ 'Code from the mail': digits.replace(/./g, (digit) => (Number(digit) + 1) % 10) });
  await person.press('Next');
  await person.look('recovery-code-wrong', 422);
  await person.fill({ 'Code from the mail': digits });
  await person.press('Next');
  await person.look('recovery-password');
  await person.fill({ 'New password': 'password' });
  await person.press('Change the password');
  await person.look('recovery-weak-password', 422);
  await person.fill({ 'New password': OTHER_PASSWORD });
  await person.press('Change the password');
  await person.look('recovered');
  await person.open(link);
  await person.look('recovery-link-gone', 410);
  await person.open('/recovery?asked=nothing');
  await person.look('recovery-code-over', 410);
  await person.fromApp();
  await person.signIn(username, OTHER_PASSWORD);
  await person.arrives(username);
}

export async function invitation({ person }) {
  const given = GIVEN[person.scripts ? 'on' : 'off'];
  const username = person.name('jane');
  await person.open(given.invitation);
  await person.look('invitation');
  await person.press('Create an account');
  await person.look('sign-up-invited');
  await person.fill({ Username: username, Password: PASSWORD });
  await person.press('Create account');
  await person.open('/account');
  await person.says(/Groups visitors/);
  await person.open(given.invitation);
  await person.look('invitation-used', 410);
  await person.open(given.administration);
  await person.look('invitation-to-administer');
  await person.press(`Accept as ${username}`);
  await person.is('/account');
  await person.look('account-of-administrator');
}

/** Whoever must have a second step sets it up on the way. */
export async function enrolment({ person }) {
  const { guarded } = GIVEN[person.scripts ? 'on' : 'off'];
  await person.open('/account');
  await person.signIn(guarded);
  await person.is('/login/second-factor');
  await person.look('second-step-to-set-up');
  const phone = new Authenticator(await person.page.locator('#key').innerText());
  await person.fill({ 'Six digits': '000000' });
  await person.press('Set up');
  await person.look('second-step-not-set-up', 400);
  await person.fill({ 'Six digits': await phone.code(), [PHONE]: 'Phone' });
  await person.press('Set up');
  await person.look('second-step-codes');
  await person.press('I have kept them');
  await person.is('/account');
}

export async function secondStep({ person, another }) {
  const username = await join(person, 'cora');
  const elsewhere = await another();
  await elsewhere.open('/account');
  await elsewhere.signIn(username);
  await elsewhere.open('/account/profile');

  await person.open('/account/two-step');
  await person.look('two-step-none');
  await person.press('Add an authenticator app');
  await person.look('two-step-set-up');
  const phone = new Authenticator(await person.page.locator('#key').innerText());
  await person.fill({ 'Six digits': '000000' });
  await person.press('Set up');
  await person.look('two-step-wrong-code', 400);
  await person.fill({ 'Six digits': await phone.code(), [PHONE]: 'Phone' });
  await person.press('Set up');
  await person.look('two-step-codes');
  const codes = (await person.page.locator('#all-codes').innerText()).trim().split('\n');
  assert.equal(codes.length, 10);

  // What was signed in by one step alone may not change the account any more.
  await elsewhere.press('Save');
  await elsewhere.look('sign-in-again-first', 403);
  await elsewhere.open('/account/profile');
  await elsewhere.is('/login');
  await elsewhere.signIn(username);
  await elsewhere.look('second-step');
  await elsewhere.fill({ 'Six digits': '000000' });
  await elsewhere.press('Continue');
  await elsewhere.look('second-step-wrong', 400);
  await elsewhere.press('Use a recovery code');
  await elsewhere.look('second-step-recovery-code');
  await elsewhere.fill({ 'Recovery code': codes[0] });
  await elsewhere.press('Continue');
  await elsewhere.is('/account/profile');
  await elsewhere.leave();

  const third = await another();
  await third.fromApp();
  await third.signIn(username);
  await third.press('Use a recovery code');
  await third.fill({ 'Recovery code': codes[0] });
  await third.press('Continue');
  await third.look('second-step-code-used', 400);
  await third.press('Use your authenticator app');
  await third.fill({ 'Six digits': await phone.code() });
  await third.page.getByLabel('Do not ask on this device').check();
  await third.press('Continue');
  await third.arrives(username);
  // This device is remembered.
  await third.signOut();
  await third.fromApp();
  await third.signIn(username);
  await third.arrives(username);
  await third.leave();

  await person.open('/account/two-step');
  await person.press('Make new recovery codes');
  await person.look('two-step-new-codes');
  await person.press('Remove Phone');
  await person.look('two-step-removed');
}

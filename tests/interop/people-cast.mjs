// Who takes part in the walks: a sample app, the mails that were shown instead of being sent, an
// authenticator app, and people at their browsers.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import * as client from 'openid-client';
import { chromium } from 'playwright-core';
import { Eyes } from './people-looks.mjs';

export const { ISSUER, MAIL, APP, APP_SECRET, PICTURES } = process.env;
/** What was made before the walks: accounts, and links that are good once. */
export const GIVEN = JSON.parse(process.env.GIVEN);
export const PASSWORD = 'seven purple herons 41';
export const OTHER_PASSWORD = 'eleven quiet otters 93';
export const PHONE = 'Name of the app or device (if you like)';
const PATIENCE = 30_000;

/** A browser in which people have windows of their own. */
export const launch = () => chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--no-first-run'],
});

/** Somebody at a browser of their own. */
export class Person {
  static async at(browser, scripts) {
    const context = await browser.newContext({ javaScriptEnabled: scripts, reducedMotion: 'reduce' });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    return Object.assign(new Person(), { context, page, scripts, eyes: new Eyes(page, scripts, PICTURES) });
  }

  /** The name of an account that this walk alone uses. */
  name(stem) {
    return this.scripts ? stem : `${stem}-plain`;
  }

  look(name, status) {
    return this.eyes.look(name, status);
  }

  async open(address) {
    await this.page.goto(new URL(address, ISSUER).href);
  }

  /** Types into the fields of these labels. */
  async fill(fields) {
    for (const [label, text] of Object.entries(fields)) {
      await this.page.getByLabel(label, { exact: true }).fill(text);
    }
  }

  /** Presses the button or follows the link of this name, and waits for the page behind it. */
  async press(name, within = this.page) {
    const what = within.getByRole('button', { name }).or(within.getByRole('link', { name })).first();
    await Promise.all([this.page.waitForNavigation({ waitUntil: 'load' }), what.click()]);
  }

  /** Chooses a file. */
  async choose(label, mimeType, buffer) {
    await this.page.getByLabel(label).setInputFiles({ name: 'a file', mimeType, buffer });
  }

  /** What the page says. */
  async says(words) {
    const text = await this.page.locator('body').innerText();
    assert.match(text.replace(/\s+/g, ' '), words, this.page.url());
  }

  /** Fails unless the page is that of this path. */
  is(path) {
    assert.equal(new URL(this.page.url()).pathname, path);
  }

  /** Goes from the app to the page on which one chooses how to sign in. */
  async fromApp(more = '') {
    await this.page.goto(`${APP}/sign-in?${more}`);
  }

  /** Gives a password on that page. */
  async signIn(username, password = PASSWORD) {
    await this.fill({ 'Email or username': username, Password: password });
    await this.press(/^Sign in$/);
  }

  /** Fails unless the app has been told that this is who has signed in. */
  async arrives(username) {
    await this.page.waitForURL(`${APP}/**`);
    await this.says(new RegExp(`You are ${username} here`));
  }

  async signOut() {
    await this.open('/account');
    await this.press('Sign out');
  }

  async leave() {
    assert.deepEqual(this.eyes.complaints, [], 'the browser complained');
    await this.context.close();
  }
}

/** Makes an account by the sign-up form; whoever does so is signed in. */
export async function join(person, stem) {
  const username = person.name(stem);
  await person.fromApp();
  await person.press('Create one');
  await person.fill({ Username: username, 'Email (optional)': `${username}@example.org`, Password: PASSWORD });
  await person.press('Create account');
  await person.arrives(username);
  return username;
}

/** Confirms the address of an account by the mail that went there. */
export async function confirm(person, username) {
  await person.open((await mailTo(`${username}@example.org`, '/verify-email')).link);
  await person.press('Yes, confirm it');
}

/**
 * The newest mail to an address that says such words and whose link leads to a path, once it is there:
 * its link and its text. A link that is known from a former mail is not meant.
 */
export async function mailTo(address, path, words = /./, former = null) {
  for (const start = Date.now(); Date.now() - start < PATIENCE;) {
    const text = await (await fetch(MAIL)).text();
    const mails = text.split('<section').filter((mail) => mail.includes(`>${address}</bdi>`) && words.test(mail));
    for (const mail of mails) {
      const links = [...mail.matchAll(/<a href="([^"]+)"/g)].map(([, link]) => link.replaceAll('&#38;', '&').replaceAll('&amp;', '&'));
      const link = links.find((one) => new URL(one).pathname === path && one !== former);
      if (link) return { link, text: mail };
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`no mail to ${address} that leads to ${path}`);
}

/** An authenticator app (RFC 6238). It gives each code once, as people do. */
export class Authenticator {
  constructor(key) {
    const bits = [...key.replace(/\s|=/g, '')].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c.toUpperCase()).toString(2).padStart(5, '0')).join('');
    this.key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
    this.last = 0;
  }

  /** A code that has not been given: that of the step before while it still counts. */
  async code() {
    const seconds = () => Date.now() / 1000;
    const step = () => Math.floor(seconds() / 30);
    // A code that ends in a moment could come too late.
    while (this.last >= step() || (this.last < step() - 1 && seconds() % 30 > 25)) {
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    this.last = Math.max(this.last + 1, step() - 1);
    const counter = Buffer.alloc(8);
    counter.writeBigUInt64BE(BigInt(this.last));
    const digest = createHmac('sha1', this.key).update(counter).digest();
    const at = digest[19] & 15;
    return String((digest.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
  }
}

/** An app that signs people in through Keywright, by a certified library, and says who they are. */
export async function startApp() {
  const insecure = { execute: [client.allowInsecureRequests] };
  const config = await client.discovery(new URL(ISSUER), 'notes', {}, client.ClientSecretBasic(APP_SECRET), insecure);
  const begun = new Map();
  const begin = async (more) => {
    const [verifier, state] = [client.randomPKCECodeVerifier(), client.randomState()];
    begun.set(state, verifier);
    return client.buildAuthorizationUrl(config, {
      redirect_uri: `${APP}/callback`, scope: 'openid profile', state, code_challenge_method: 'S256',
      code_challenge: await client.calculatePKCECodeChallenge(verifier), ...Object.fromEntries(more),
    });
  };
  const finish = async (url) => {
    const state = url.searchParams.get('state');
    if (url.searchParams.has('error')) return `The answer was ${url.searchParams.get('error')}`;
    const tokens = await client.authorizationCodeGrant(config, url, { pkceCodeVerifier: begun.get(state), expectedState: state });
    const person = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
    return `You are ${person.preferred_username} here`;
  };
  const body = async (request) => {
    let text = '';
    for await (const part of request) text += part;
    return text;
  };
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, APP);
    try {
      if (url.pathname === '/sign-in') {
        return response.writeHead(303, { location: (await begin(url.searchParams)).href }).end();
      }
      if (request.method === 'POST') url.search = await body(request);
      const said = url.pathname === '/callback' ? await finish(url) : 'The app';
      response.writeHead(200, { 'content-type': 'text/html' }).end(`<!DOCTYPE html><title>App</title><link rel="icon" href="data:,"><p>${said}`);
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  });
  await new Promise((resolve) => server.listen(Number(new URL(APP).port), 'localhost', resolve));
  return { config, stop: () => { server.close(); server.closeAllConnections(); } };
}

/** What Keywright tells the app about a token (RFC 7662). */
export const introspect = (app, token) => client.tokenIntrospection(app.config, token);

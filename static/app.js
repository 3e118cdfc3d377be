// Every page works without this script; it only adds comfort.

// A button to look at a typed password. It is hidden again before the form is sent.
for (const secret of document.querySelectorAll('.secret input')) {
  const look = document.createElement('button');
  look.type = 'button';
  look.className = 'look';
  const show = (on) => {
    secret.type = on ? 'text' : 'password';
    look.textContent = on ? 'Hide' : 'Show';
    look.setAttribute('aria-label', on ? 'Hide password' : 'Show password');
  };
  look.addEventListener('click', () => show(secret.type === 'password'));
  secret.form.addEventListener('submit', () => show(false));
  show(false);
  secret.after(look);
}

// Copy buttons appear only where the browser can copy.
if (navigator.clipboard) {
  const said = document.createElement('p');
  said.className = 'hidden';
  said.setAttribute('role', 'status');
  document.body.append(said);
  for (const button of document.querySelectorAll('[data-copy]')) {
    const label = button.firstChild;
    const words = label.data;
    button.hidden = false;
    button.addEventListener('click', async () => {
      let answer = 'Copied';
      try {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      } catch {
        answer = 'Not copied';
      }
      label.data = said.textContent = answer;
      setTimeout(() => {
        label.data = words;
        said.textContent = '';
      }, 3000);
    });
  }
}

// A double click sends a form once.
for (const form of document.forms) {
  let sent = -Infinity;
  form.addEventListener('submit', (event) => {
    if (event.timeStamp - sent < 1000) event.preventDefault();
    else sent = event.timeStamp;
  });
}

// Passkeys need the browser: a form carries what it is asked, and brings its answer back. Where the page
// asks for a name, passkeys are among what the field suggests.
const keys = window.PublicKeyCredential;
if (keys && keys.parseRequestOptionsFromJSON) {
  for (const offer of document.querySelectorAll('[data-passkey-offer]')) offer.hidden = false;
  for (const form of document.querySelectorAll('form[data-passkey]')) {
    const stop = new AbortController();
    const ask = async (more) => {
      const { publicKey } = JSON.parse(form.dataset.options);
      const made = form.dataset.passkey === 'create'
        ? await navigator.credentials.create({ publicKey: keys.parseCreationOptionsFromJSON(publicKey) })
        : await navigator.credentials.get({ publicKey: keys.parseRequestOptionsFromJSON(publicKey), ...more });
      form.elements.credential.value = JSON.stringify(made);
      form.submit();
    };
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      stop.abort();
      ask().catch(() => {
        form.querySelector('.problem').hidden = false;
      });
    });
    if (document.querySelector('[autocomplete~="webauthn"]') && keys.isConditionalMediationAvailable) {
      keys.isConditionalMediationAvailable()
        .then((can) => can && ask({ mediation: 'conditional', signal: stop.signal }))
        .catch(() => {});
    }
  }
}

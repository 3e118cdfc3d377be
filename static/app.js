// Every page works without this script; it only adds comfort.

// A button to look at a typed password. It is hidden again before the form is sent.
const secret = document.querySelector('.secret input');
if (secret) {
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

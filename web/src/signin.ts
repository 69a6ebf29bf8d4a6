// signin.js lets a customer sign in by a passkey on the page that links a wallet, or add one. Without it the page works
// by name and password. It reads no field that a customer types into.
//
// What it needs stands in the form #passkey-form: data-ceremony (get | create), data-options (JSON), and the text for
// when it comes to nothing.

const form = document.querySelector<HTMLFormElement>('#passkey-form');

async function ceremony(form: HTMLFormElement): Promise<PublicKeyCredential> {
  const { publicKey } = JSON.parse(form.dataset['options'] ?? '{}');
  const credential =
    form.dataset['ceremony'] === 'create'
      ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(publicKey) })
      : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey) });
  if (!(credential instanceof PublicKeyCredential)) {
    throw new Error('no credential');
  }
  return credential;
}

if (form && 'PublicKeyCredential' in window && 'parseRequestOptionsFromJSON' in PublicKeyCredential) {
  const field = form.querySelector<HTMLInputElement>('input[name=credential]');
  const notes = form.querySelector<HTMLElement>('.notes');
  let running = false;
  form.hidden = false;
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (running || !field || !notes) {
      return;
    }
    running = true;
    notes.textContent = '';
    ceremony(form)
      .then((credential) => {
        field.value = JSON.stringify(credential.toJSON());
        form.submit();
      })
      .catch(() => {
        // Whoever pressed "cancel" knows why; of the rest a customer can do nothing but take another way.
        running = false;
        notes.textContent = notes.dataset['failed'] ?? '';
      });
  });
}

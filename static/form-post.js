// OAuth 2.0 Form Post Response Mode: hand the answer to the app at once. The method is taken from
// the prototype, because a field named "submit" would hide the form's own.
const form = document.getElementById('handover');
if (form) HTMLFormElement.prototype.submit.call(form);

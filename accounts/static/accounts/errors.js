// Bring whoever sent a form that was refused to what was wrong: a screen reader then says it.
document.addEventListener("DOMContentLoaded", () => {
  const field = document.querySelector('[aria-invalid="true"]:not([type="hidden"])');
  const errors = document.querySelector(".errorlist");
  if (errors && !field) errors.tabIndex = -1;
  (field || errors)?.focus();
});

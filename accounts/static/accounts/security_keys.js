// Say on the page why a security key was not used; allauth's own script says it to the console alone.
document.addEventListener("allauth.error", (event) => {
  const place = document.getElementById("security_key_error");
  if (!place) return;
  event.preventDefault();
  const { exception } = event.detail;
  const wasCancelled = exception && exception.name === "NotAllowedError";
  place.textContent = wasCancelled
    ? "The security key was not used: it was cancelled, or took too long. Try again."
    : "The security key could not be used here.";
  place.hidden = false;
});

// Swagger UI over the API's document. No key stays in the browser, and nothing is asked of another server.
"use strict";

const place = document.getElementById("swagger-ui");
const CSRF_COOKIE = /(?:^|; )csrftoken=([^;]+)/;

/** A session's requests need the token that its cookie has; those with a key do not mind it. */
function addCsrfToken(request) {
  const token = document.cookie.match(CSRF_COOKIE)?.[1];
  if (token && (request.method ?? "GET") !== "GET") request.headers["X-CSRFToken"] = token;
  return request;
}

/** Swagger UI has links within its buttons, which no assistive technology can tell apart: only the text stays. */
const WithoutNestedLinks = ({ React }) => ({
  components: { DeepLink: ({ text }) => React.createElement("span", null, text) },
});

const NAMES = [
  [".examples-select-element", () => "Example"],
  [".body-param__text", () => "Request body"],
  [".close-modal", () => "Close"],
  [".auth-container .authorize", (button) => `${button.textContent} with this`],
  [".auth-container .modal-btn:not(.authorize)", (button) => button.textContent],
  [".model-box-control:not(:has(:not(.model-toggle)))", () => "Show or hide its members"],
  ["tr :is(select, textarea, input):not(.examples-select-element)", nameOfParameter],
];

function nameOfParameter(field) {
  const row = field.closest("tr");
  return row.dataset.paramName ?? row.querySelector(".parameter__name")?.textContent;
}

const ROLES = [
  [".information-container", "region", "Introduction"],
  [".modal-ux", "dialog", "Available authorizations"],
];

/** Names controls that have no label, lets the keyboard scroll what scrolls, and puts headings in their order. */
function mendAccessibility() {
  for (const [selector, name] of NAMES) {
    for (const control of place.querySelectorAll(selector)) {
      const found = name(control);
      if (found && control.getAttribute("aria-label") !== found) control.setAttribute("aria-label", found);
    }
  }
  for (const [selector, role, name] of ROLES) {
    for (const part of place.querySelectorAll(`${selector}:not([role])`)) {
      part.setAttribute("role", role);
      part.setAttribute("aria-label", name);
    }
  }
  for (const code of place.querySelectorAll("pre:not([tabindex])")) code.tabIndex = 0;
  for (const heading of place.querySelectorAll("h4:not([aria-level])")) heading.setAttribute("aria-level", "3");
}

window.ui = SwaggerUIBundle({
  url: place.dataset.document,
  domNode: place,
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [WithoutNestedLinks],
  layout: "BaseLayout",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
  requestInterceptor: addCsrfToken,
});
new MutationObserver(mendAccessibility).observe(place, { childList: true, subtree: true });

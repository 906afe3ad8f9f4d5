// Shows a guide's Markdown by the renderer that Swagger UI has in it. Without JavaScript it is read as it was written.
"use strict";

const place = document.getElementById("guide");
const source = place.textContent;

/** The anchors of headings, as GitHub makes them: links between guides are written for both. */
function slug(text) {
  return text.trim().toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").replace(/\s/g, "-");
}

function finish() {
  for (const heading of place.querySelectorAll("h1, h2, h3, h4")) {
    heading.id = slug(heading.textContent);
  }
  for (const link of place.querySelectorAll("a[target]")) {
    if (link.origin === location.origin) link.removeAttribute("target");
  }
  for (const wide of place.querySelectorAll("pre, table")) {
    const frame = document.createElement("div"); // it scrolls by itself, also with the keyboard
    frame.className = "wide";
    frame.tabIndex = 0;
    wide.replaceWith(frame);
    frame.append(wide);
  }
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

SwaggerUIBundle({
  domNode: place,
  spec: { openapi: "3.0.3", info: { title: "", version: "" }, paths: {} },
  layout: "Guide",
  validatorUrl: null,
  plugins: [
    ({ React }) => ({
      components: {
        Guide: ({ getComponent }) => {
          React.useEffect(finish, []);
          return React.createElement(getComponent("Markdown", true), { source });
        },
      },
    }),
  ],
});

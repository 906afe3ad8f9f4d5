"""A frontend in TypeScript that must compile against the types generated from our API document."""

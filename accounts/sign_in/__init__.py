"""How people sign in: allauth's flows, with what is the service's own about them."""

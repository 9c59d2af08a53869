"""The HTTP API: what a published version knows, asked by a shop's website, mailer and till."""

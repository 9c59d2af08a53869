"""Documents to keep or to mail: one HTML file each that asks no other host, runs no script, and prints well."""

"""The loop on the machine: look, redact, diff, deliver."""

"""Questions to a fleet: a small filter language, parsed to a tree and judged on what is known of each machine."""

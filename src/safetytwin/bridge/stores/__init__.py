"""Where frames, events and series are kept: one interface, one test-suite."""

"""What looks at the machine: one file per collector behind one interface."""

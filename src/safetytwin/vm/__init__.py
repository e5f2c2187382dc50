"""The twin that runs: a virtual machine of the same shape as a machine, that follows it."""

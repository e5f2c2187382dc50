"""Several bridges on one store: any of them is a door, one of them owns each machine and answers for it."""

// Which of its kind an item is.

const INITS = new Set(["systemd", "openrc", "sysv", "runit", "s6", "supervisord"]);

export const isContainer = (service) => !INITS.has(service.type);
export const isUnit = (service) => INITS.has(service.type);

/** Disks that count: not shown twice, and not made of memory or of an image, which is always full. */
export const isRealDisk = (disk) => !disk.bind_of && disk.kind !== "memory" && disk.kind !== "image";

export const isRealInterface = (one) => one.kind !== "loopback" && one.kind !== "veth";

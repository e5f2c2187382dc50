"""What is known of file system types: which hold data, and which may hang when asked."""

import re

# autofs among them: asking one mounts what is behind it.
_PSEUDO = frozenset(
    (
        "autofs bdev binder binfmt_misc bpf cgroup cgroup2 configfs cpuset debugfs devfs devpts devtmpfs dmabuf"
        " efivarfs fdescfs functionfs fuse.gvfsd-fuse fuse.lxcfs fuse.portal fusectl hugetlbfs inotifyfs linprocfs"
        " linsysfs mqueue nfsd none nsfs pipefs proc procfs pstore resctrl rootfs rpc_pipefs secretmem securityfs"
        " selinuxfs smackfs sockfs sysfs tracefs usbfs"
    ).split()
)
_LOCAL = frozenset(
    (
        "adfs affs apfs bcachefs befs bfs btrfs ecryptfs exfat ext2 ext3 ext4 f2fs ffs hfs hfsplus jffs2 jfs minix"
        " msdos nilfs2 ntfs ntfs3 refs reiserfs ubifs udf ufs vfat xfs zfs zonefs"
    ).split()
)
_IMAGE = frozenset(("cramfs", "cd9660", "erofs", "fuse.snapfuse", "fuse.squashfuse", "iso9660", "romfs", "squashfs"))
_MEMORY = frozenset(("ramfs", "tmpfs"))
_OVERLAY = frozenset(("aufs", "fuse.fuse-overlayfs", "overlay", "overlayfs", "unionfs"))
_NETWORK = frozenset(
    (
        "9p acfs afs beegfs ceph cifs coda davfs fhgfs gfs gfs2 glusterfs gpfs kafs lustre ncpfs nfs nfs4 ocfs2"
        " orangefs panfs prl_fs pvfs2 smb3 smbfs vboxsf virtiofs vmhgfs wekafs"
        " fuse.beegfs fuse.ceph fuse.cephfs fuse.davfs2 fuse.gcsfuse fuse.glusterfs fuse.juicefs fuse.mfs"
        " fuse.mount-s3 fuse.moosefs fuse.rclone fuse.s3fs fuse.seaweedfs fuse.sshfs fuse.vmhgfs-fuse"
    ).split()
)
# What container engines and systemd mount for what they run: shown by the containers, and gone with them.
_PRIVATE = re.compile(
    r"/(proc|sys)(/|$)"
    r"|/run/credentials/"
    r"|(/var)?/run/(containerd|containers|docker|netns|user/\d+/(containerd|containers|docker|credentials))(/|$)"
    r"|/var/lib/(containerd|containers|docker|kubelet/pods|lxcfs)/"
    r"|.*/overlay2?/[0-9a-z]+/merged$"
)
_FILES_OF_CONTAINERS = frozenset(
    ("/dev/console", "/dev/termination-log", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/run/.containerenv")
)


def kind_of(fstype: str, device: str | None = None) -> str | None:
    """Return local, network, memory, overlay, image or fuse; None for what holds no data (proc, autofs, …).

    A type that is not known is network where device has the form host:path or //host/share, and local otherwise.
    """
    if fstype in _PSEUDO:
        return None
    for kind, types in (
        ("local", _LOCAL),
        ("memory", _MEMORY),
        ("overlay", _OVERLAY),
        ("image", _IMAGE),
        ("network", _NETWORK),
    ):
        if fstype in types:
            return kind
    if fstype.startswith(("nfs", "smb", "cifs")):
        return "network"
    if fstype.startswith("fuse"):
        return "fuse"
    remote = device is not None and (device.startswith("//") or re.match(r"[\w.-]{2,}:/", device) is not None)
    return "network" if remote else "local"


def may_hang(fstype: str) -> bool:
    """Return whether a path on it may wait for a server or another process: all but the types known not to."""
    if fstype in _PSEUDO:
        return fstype == "autofs" or fstype.startswith("fuse.")
    return fstype not in _LOCAL and fstype not in _MEMORY and fstype not in {"overlay", "squashfs", "iso9660", "erofs"}


def is_private(fstype: str, mountpoint: str) -> bool:
    """Return whether a mount is an engine's or the kernel's own affair, or one of a container's own files."""
    if mountpoint in _FILES_OF_CONTAINERS:
        return True
    return kind_of(fstype) in {"memory", "overlay"} and _PRIVATE.match(mountpoint) is not None

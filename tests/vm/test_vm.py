"""The daemon on other kernels than this machine's: boot the distribution's kernel in a virtual machine.

Usage: test_vm.py v1|v2     the guest's cgroup hierarchies
DAVIT_BINARY: the program; DAVIT_KERNEL: the directory of scripts/fetch-kernel, filled if it is not yet.

Goal: what depends on the kernel (overlayfs' mount interface, cgroups v1 and pure v2, the mount API, the
network's BPF programs) works on the oldest kernel that is supported. Method: an initial file system of
busybox and davit; guest.sh checks and prints, this reads what it printed. Everything is emulated, so it
runs where KVM is not.
"""

import gzip
import os
import pathlib
import re
import stat
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SECONDS_MAX = 900
SKIPPED = 77


class Archive:
    """A cpio archive in the "newc" form, as the kernel unpacks it."""

    def __init__(self):
        self.bytes = bytearray()
        self.inode = 0

    def add(self, name, mode, data=b""):
        self.inode += 1
        encoded = name.encode() + b"\0"
        fields = [self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0]
        self.bytes += b"070701" + "".join(f"{field:08x}" for field in fields).encode() + encoded
        self._pad()
        self.bytes += data
        self._pad()

    def directory(self, name):
        self.add(name, stat.S_IFDIR | 0o755)

    def file(self, name, path, mode=0o755):
        self.add(name, stat.S_IFREG | mode, pathlib.Path(path).read_bytes())

    def finish(self):
        self.add("TRAILER!!!", 0)
        return gzip.compress(bytes(self.bytes), compresslevel=1)

    def _pad(self):
        self.bytes += b"\0" * (-len(self.bytes) % 4)


def libraries_of(program):
    listed = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return sorted(set(re.findall(r"(/\S+) \(0x", listed)))


def initial_files(binary, kernel):
    archive = Archive()
    made = set()

    def directories(path):
        for parent in reversed(pathlib.PurePosixPath(path).parents):
            if str(parent) not in (".", "/") and parent not in made:
                made.add(parent)
                archive.directory(str(parent))

    for name in ("bin", "proc", "sys", "dev", "new", "lib", "lib64"):
        made.add(pathlib.PurePosixPath(name))
        archive.directory(name)
    archive.file("init", HERE / "init.sh")
    archive.file("guest.sh", HERE / "guest.sh")
    for module in sorted(kernel.glob("*.ko")):
        archive.file(module.name, module)
    archive.file("bin/busybox", "/bin/busybox")
    archive.file("bin/davit", binary)
    for library in libraries_of(binary):
        # Where the loader looks without a cache, whatever this machine's layout.
        name = library.lstrip("/")
        if not name.startswith("lib64/"):
            name = "lib/x86_64-linux-gnu/" + pathlib.PurePosixPath(library).name
        directories(name)
        archive.file(name, library)
    return archive.finish()


def boot(mode, kernel, initrd):
    command = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "2G", "-nographic",
               "-no-reboot", "-nic", "none", "-kernel", str(kernel / "vmlinuz"), "-initrd", initrd,
               "-append", f"console=ttyS0 quiet panic=1 davit.cgroup={mode}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=SECONDS_MAX)
    return done.stdout.decode(errors="replace")


def main():
    mode = sys.argv[1]
    binary = os.environ["DAVIT_BINARY"]
    kernel = pathlib.Path(os.environ["DAVIT_KERNEL"])
    if os.uname().machine != "x86_64":
        print("skipped: the guest is x86_64")
        return SKIPPED
    subprocess.run([ROOT / "scripts" / "fetch-kernel", kernel], check=True)
    with tempfile.NamedTemporaryFile(prefix="davit-vm-") as initrd:
        initrd.write(initial_files(binary, kernel))
        initrd.flush()
        output = boot(mode, kernel, initrd.name)
    checks = re.findall(r"CHECK (\w+) (ok|failed.*)", output)
    failed = [name for name, outcome in checks if outcome != "ok"]
    wanted = len(re.findall(r"^check ", (HERE / "guest.sh").read_text(), re.MULTILINE))
    if failed or len(checks) != wanted or "GUEST END" not in output:
        print(output)
        print(f"failed: {failed or 'the guest did not reach its end'}")
        return 1
    print(re.search(r"kernel .*", output).group(0).strip())
    for name, outcome in checks:
        print(f"{name}: {outcome}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""An engine as a user starts one: with a keeper, below which the daemon is killed by its pid."""

import contextlib
import os
import pathlib
import signal

from harness import Engine, eventually


class KeptEngine(Engine):
    """self.process is the keeper."""

    KEEPER_OPTIONS = ()

    def daemon(self):
        """The daemon's pid; None while there is none."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for pid in children.read_text().split():
            with contextlib.suppress(OSError):
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if words[1:2] == [b"daemon"]:
                    return int(pid)
        return None

    def crash(self):
        """Kill the daemon, and wait for the next one."""
        before = self.daemon()
        os.kill(before, signal.SIGKILL)
        self.another_daemon(before)

    def another_daemon(self, before):
        eventually(lambda: self.daemon() not in (None, before) and self.answers(), "another daemon")
        self._watch()

    @contextlib.contextmanager
    def no_daemon(self):
        """What is in the body happens while none runs."""
        daemon = self.daemon()
        self.process.send_signal(signal.SIGSTOP)
        os.kill(daemon, signal.SIGKILL)
        eventually(lambda: "State:\tZ" in pathlib.Path(f"/proc/{daemon}/status").read_text(),
                   "the daemon has ended")
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)
            self.another_daemon(daemon)

    def counts(self):
        """What must be the same once all containers are gone."""
        def fds(pid):
            return len(os.listdir(f"/proc/{pid}/fd"))

        cgroups = sum(len(names) for folder, names, _ in os.walk("/sys/fs/cgroup") if "/davit" in folder)
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        mounts = len(pathlib.Path("/proc/self/mountinfo").read_text().splitlines())
        return {"keeper's descriptors": fds(self.process.pid), "daemon's descriptors": fds(self.daemon()),
                "cgroups": cgroups, "children": len(children.split()), "mounts": mounts}

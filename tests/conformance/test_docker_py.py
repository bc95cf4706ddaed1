"""The verbs of a container's life, through docker-py.

Goal: a client that is not Docker's own, and in Python, finds what it expects: its objects, its
exceptions, its streams. Method: Debian's python3-docker, as scripts use it.
"""

import io
import itertools
import os
import tarfile
import threading

from engine_rows import all_called
from harness import Skip, case, check, contains, equal, eventually, main, start_engine

try:
    import docker
except ImportError:
    docker = None


def client_of(engine):
    return docker.DockerClient(base_url="unix://" + engine.socket, timeout=60)


def sleeper(client, **options):
    return client.containers.run("bb", ["sleep", "1000"], detach=True, network_mode="none",
                                 **options)


def refused(call, *arguments, status, **options):
    try:
        call(*arguments, **options)
    except docker.errors.APIError as problem:
        equal(problem.status_code, status, str(problem))
        return problem.explanation
    raise AssertionError(f"{call} was not refused")


@case()
def pause_and_rename(engine):
    client = client_of(engine)
    container = sleeper(client, name="first")
    container.pause()
    container.reload()
    equal(container.status, "paused")
    equal([one.id for one in client.containers.list(filters={"status": "paused"})], [container.id])
    contains(refused(container.exec_run, ["true"], status=409), "unpause the container before exec")
    contains(refused(container.pause, status=409), "already paused")
    container.unpause()
    container.reload()
    equal(container.status, "running")
    equal(container.exec_run(["echo", "here"]).output, b"here\n")
    container.rename("second")
    equal(client.containers.get("second").id, container.id)
    other = sleeper(client, name="first")
    contains(refused(other.rename, "second", status=409), "is already in use by container")
    try:
        client.containers.get("nosuch")
        raise AssertionError("found")
    except docker.errors.NotFound as problem:
        contains(problem.explanation, "No such container: nosuch")


@case()
def restart_kill_and_wait(engine):
    client = client_of(engine)
    container = sleeper(client)
    before = container.attrs["State"].get("Pid")
    container.restart(timeout=0)
    container.reload()
    check(container.attrs["State"]["Running"], "it runs again")
    check(container.attrs["State"]["Pid"] != before, "another process")
    outcome = []
    waiter = threading.Thread(target=lambda: outcome.append(
        container.wait(condition="next-exit", timeout=60)))
    waiter.start()
    container.kill()
    waiter.join(60)
    # Whichever came first: the wait saw this exit, or waits for the next one.
    if not outcome:
        container.start()
        container.kill()
        waiter.join(60)
    equal(outcome[0]["StatusCode"], 137)
    equal(container.wait()["StatusCode"], 137)
    container.remove()
    equal(client.containers.list(all=True), [])


@case()
def top_diff_and_stats(engine):
    client = client_of(engine)
    container = client.containers.run(
        "bb", ["sh", "-c", "mkdir /made; echo > /made/file; while :; do :; done"], detach=True,
        network_mode="none")
    eventually(lambda: any(change["Path"] == "/made/file" for change in container.diff() or []),
               "the change is there")
    check({"Path": "/made", "Kind": 1} in container.diff(), f"{container.diff()}")
    listed = container.top()
    equal(len(listed["Processes"]), 1)
    contains(listed["Processes"][0][-1], "while :; do :; done")
    equal(container.top(ps_args="-o pid,comm")["Titles"], ["PID", "COMMAND"])
    once = container.stats(stream=False)
    equal((once["id"], once["name"]), (container.id, container.attrs["Name"]))
    check(once["cpu_stats"]["cpu_usage"]["total_usage"] >
          once["precpu_stats"]["cpu_usage"]["total_usage"], "it works")
    samples = list(itertools.islice(container.stats(decode=True), 2))
    equal(samples[1]["preread"], samples[0]["read"])


@case()
def update_and_prune(engine):
    client = client_of(engine)
    container = sleeper(client, mem_limit="64m", memswap_limit="128m")
    equal(container.update(mem_limit="32m", cpu_shares=300), {"Warnings": None})
    container.reload()
    host = container.attrs["HostConfig"]
    equal((host["Memory"], host["CpuShares"]), (32 * 1024 * 1024, 300))
    contains(refused(container.update, mem_limit=1, status=400), "Minimum memory limit")
    gone = client.containers.create("bb", ["true"], network_mode="none", labels={"a": "b"})
    answer = client.containers.prune(filters={"label": "a=c"})
    equal(answer["ContainersDeleted"], None)
    answer = client.containers.prune(filters={"label": "a=b"})
    equal(answer, {"ContainersDeleted": [gone.id], "SpaceReclaimed": 0})
    equal([one.id for one in client.containers.list(all=True)], [container.id])


@case()
def logs_and_events(engine):
    client = client_of(engine)
    seen = []
    events = client.events(decode=True, filters={"type": "container"})

    def read():
        for event in events:
            seen.append(event["Action"])
            if event["Action"] == "destroy":
                return

    reader = threading.Thread(target=read)
    reader.start()
    container = client.containers.create(
        "bb", ["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done"],
        network_mode="none",
        log_config=docker.types.LogConfig(type="json-file",
                                          config={"max-size": "200", "max-file": "20"}))
    container.start()
    equal(container.wait()["StatusCode"], 0)
    equal(container.logs(), b"".join(b"line %d\n" % i for i in range(1, 10)))
    equal(container.logs(tail=2), b"line 8\nline 9\n")
    equal(b"".join(container.logs(stream=True, follow=True)), container.logs())
    container.rename("renamed")
    container.remove()
    reader.join(60)
    equal(seen, ["create", "start", "die", "rename", "destroy"])


@case()
def attach_and_resize(engine):
    client = client_of(engine)
    container = client.containers.create("bb", ["sh", "-c", "read x; stty size; cat"], tty=True, stdin_open=True,
                                         network_mode="none")
    stream = container.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})._sock
    stream.settimeout(60)
    container.start()
    container.resize(33, 77)
    stream.sendall(b"\n")
    seen = b""
    while b"33 77" not in seen:
        seen += stream.recv(1000)
    stream.sendall(b"typed\n")
    while seen.count(b"typed") < 2:  # The terminal's echo, and what cat answers.
        seen += stream.recv(1000)
    stream.close()
    check(container.attach(logs=True, stream=False).count(b"typed") == 2, "what was seen is in the log")
    container.stop(timeout=0)
    equal(container.wait()["StatusCode"], 137)


@case()
def exec_with_streams(engine):
    client = client_of(engine)
    container = sleeper(client)
    done = container.exec_run(["sh", "-c", "echo $A; echo err >&2; id -u; pwd; exit 5"], environment={"A": "b"},
                              user="7", workdir="/bin", demux=True)
    equal((done.exit_code, done.output), (5, (b"b\n7\n/bin\n", b"err\n")))
    pieces = container.exec_run(["sh", "-c", "for i in 1 2 3; do echo $i; done"], stream=True).output
    equal(b"".join(pieces), b"1\n2\n3\n")
    identity = client.api.exec_create(container.id, ["sh", "-c", "read x; stty size"], tty=True, stdin=True)["Id"]
    equal(client.api.exec_inspect(identity)["ExitCode"], None)
    stream = client.api.exec_start(identity, tty=True, socket=True)._sock
    client.api.exec_resize(identity, height=44, width=66)
    stream.sendall(b"\n")
    stream.settimeout(60)
    seen = b""
    while piece := stream.recv(1000):
        seen += piece
    contains(seen, b"44 66")
    stream.close()
    eventually(lambda: client.api.exec_inspect(identity)["ExitCode"] == 0, "its exit code")
    done = container.exec_run(["nosuch"])
    equal(done.exit_code, 127)
    contains(done.output, b"executable file not found in $PATH")
    container.stop(timeout=0)
    contains(refused(container.exec_run, ["true"], status=409), "is not running")


@case()
def files_and_images(engine):
    client = client_of(engine)
    container = client.containers.create("bb", ["cat", "/tmp/in"], network_mode="none")
    stored = io.BytesIO()
    with tarfile.open(fileobj=stored, mode="w") as archive:
        entry = tarfile.TarInfo("in")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"text\n"))
    check(container.put_archive("/tmp", stored.getvalue()), "it is taken")
    container.start()
    container.wait()
    equal(container.logs(), b"text\n")
    pieces, status = container.get_archive("/tmp/in")
    equal((status["name"], status["size"]), ("in", 5))
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
        equal(archive.extractfile("in").read(), b"text\n")
    with tarfile.open(fileobj=io.BytesIO(b"".join(container.export()))) as archive:
        equal(archive.extractfile("tmp/in").read(), b"text\n")
    image = container.commit("made", tag="1", changes=["ENV A=b"])
    contains(image.attrs["Config"]["Env"], "A=b")
    equal(client.containers.run("made:1", ["cat", "/tmp/in"], network_mode="none", remove=True), b"text\n")
    client.images.remove("made:1")


@case()
def volumes(engine):
    client = client_of(engine)
    volume = client.volumes.create("data", labels={"a": "b"})
    equal((volume.name, client.volumes.get("data").attrs["Labels"]), ("data", {"a": "b"}))
    container = sleeper(client, volumes={"data": {"bind": "/data", "mode": "rw"}})
    contains(refused(volume.remove, status=409), "volume is in use")
    equal(container.exec_run(["touch", "/data/file"]).exit_code, 0)
    container.remove(force=True)
    equal([one.name for one in client.volumes.list(filters={"dangling": True})], ["data"])
    volume.remove()
    contains(refused(client.volumes.get, "data", status=404), "no such volume")
    client.api.create_volume()
    equal(len(client.volumes.prune()["VolumesDeleted"]), 1)


@case()
def the_engine(engine):
    client = client_of(engine)
    check(client.ping(), "ping")
    equal(client.version()["Os"], "linux")
    equal(client.info()["OSType"], "linux")
    sleeper(client)
    equal(len(client.df()["Containers"]), 1)


@case("davit")
def every_row(engine):
    """But for the one that docker-py has no call for; the harness asked for HEAD /_ping."""
    if "DAVIT_CONFORMANCE_ONLY" in os.environ:
        raise Skip("it wants the other cases")
    all_called(engine, but=["HEAD /containers/{id}/archive"])


def prepare(engine, stack):
    if docker is None:
        raise Skip("python3-docker is missing: scripts/install-deps test")
    start_engine(engine, stack)


if __name__ == "__main__":
    main(prepare)

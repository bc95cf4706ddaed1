"""The wire itself: versions, headers, errors, malformed input, keep-alive, chunked bodies.

Goal: API.md sections 2.1 to 2.4, byte by byte, and no input that upsets the daemon.
"""

import json
import socket

from harness import ENGINE, bad_request, case, check, contains, equal, eventually, main, matches, query


def head_of(data):
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    return int(lines[0].split()[1]), {key.lower(): value for key, value in headers.items()}, body


@case()
def ping(engine):
    for path in ("/_ping", "/v1.41/_ping", "/v1.24/_ping"):
        answer = engine.api("GET", path)
        equal((answer.status, answer.body), (200, b"OK"), path)
        head = engine.api("HEAD", path)
        equal((head.status, head.body), (200, b""), f"HEAD {path}")
        for found in (answer, head):
            matches(found.headers["Api-Version"], r"^1\.\d+$", "Api-Version")
            equal(found.headers["Ostype"], "linux", "Ostype")
            equal(found.headers["Docker-Experimental"], "false", "Docker-Experimental")
            matches(found.headers["Server"], r"^Docker/\S+ \(linux\)$", "Server")
            contains(found.headers["Cache-Control"], "no-cache", "Cache-Control")


@case()
def versions(engine):
    maximum = engine.api("GET", "/version").json["ApiVersion"]
    new = engine.api("GET", "/v1.99/containers/json")
    equal(new.status, 400, "too new")
    equal(new.message, f"client version 1.99 is too new. Maximum supported API version is {maximum}",
          "text")
    old = engine.api("GET", "/v1.1/containers/json")
    equal(old.status, 400, "too old")
    contains(old.body.decode(), "client version 1.1 is too old. Minimum supported API version is 1.", "text")
    equal(engine.api("GET", f"/v{maximum}/containers/json").status, 200, "the maximum")
    equal(engine.api("GET", "/v1.24/containers/json").status, 200, "the minimum")


@case("davit")
def version_numbers_davit(engine):
    version = engine.api("GET", "/version").json
    equal((version["ApiVersion"], version["MinAPIVersion"]), ("1.50", "1.24"), "API versions")
    matches(version["Version"], r"^28\.\d+\.\d+\+davit\.\d+\.\d+\.\d+$", "semantic version")


@case()
def version_and_info(engine):
    version = engine.api("GET", "/version").json
    for key in "Version ApiVersion MinAPIVersion Os Arch KernelVersion GitCommit Components".split():
        check(version.get(key), f"version has {key}")
    info = engine.api("GET", "/info").json
    for key in ("ID Containers ContainersRunning ContainersPaused ContainersStopped Images Driver "
                "DriverStatus MemoryLimit CgroupDriver CgroupVersion KernelVersion OperatingSystem "
                "OSType Architecture NCPU MemTotal DockerRootDir Name ServerVersion Runtimes "
                "DefaultRuntime Swarm SecurityOptions RegistryConfig Plugins LoggingDriver").split():
        check(key in info, f"info has {key}")
    equal(info["DockerRootDir"], str(engine.data_root), "DockerRootDir")
    equal(info["Swarm"]["LocalNodeState"], "inactive", "Swarm")
    equal(info["OSType"], "linux", "OSType")
    check(info["NCPU"] >= 1 and info["MemTotal"] > 1 << 20, "resources")
    engine.docker("info")
    engine.docker("version")


@case()
def not_found(engine):
    for method, path in (("GET", "/no/such"), ("GET", "/v1.41/no/such"), ("PUT", "/containers/json"),
                         ("DELETE", "/version")):
        answer = engine.api(method, path)
        equal((answer.status, answer.json), (404, {"message": "page not found"}), f"{method} {path}")
        equal(answer.headers["Content-Type"], "application/json", "type")


# Docker 20 still took what came before the garbage.
TRAILING = ('{"Image":"bb"} trailing',) if ENGINE == "davit" else ()


@case()
def bad_bodies(engine):
    json_type = {"Content-Type": "application/json"}
    for body in ('{"Image": "bb"', '{"Image": 5}', "[]", '"x"', "nul", *TRAILING):
        answer = engine.api("POST", "/containers/create", body, json_type)
        bad_request(answer, body)
    answer = engine.api("POST", "/containers/create", '{"Image":"bb","Cmd":["true"]}',
                        {"Content-Type": "text/plain"})
    check(answer.status in (400, 415), f"not JSON by its type: {answer.status}")
    answer = engine.api("POST", "/containers/create", {"Image": "bb", "Cmd": []})
    check(answer.status in (201, 400), "an empty command falls back to the image's")
    deep = "[" * 100_000 + "]" * 100_000
    answer = engine.api("POST", "/containers/create", f'{{"Image":"bb","Labels":{deep}}}', json_type)
    bad_request(answer, "a hundred thousand brackets")


@case()
def lenient_bodies(engine):
    body = {"image": "bb", "cmd": "true", "hostconfig": {"networkmode": "none"}, "Unknown": [1, {}]}
    answer = engine.api("POST", "/containers/create", body)
    equal(answer.status, 201, "keys in any case, a string for Cmd, unknown keys")
    equal(answer.json["Warnings"], [], "Warnings is a list")
    equal(engine.inspect(answer.json["Id"])["Config"]["Cmd"], ["true"], "Cmd")


@case()
def bad_parameters(engine):
    for text in (query(filters={"bogus": ["x"]}), "filters=notjson", "limit=x"):
        bad_request(engine.api("GET", "/containers/json?" + text), text)
    identity = engine.api("POST", "/containers/create", {"Image": "bb", "Cmd": ["true"]}).json["Id"]
    equal(engine.api("GET", f"/containers/{identity}/logs").status, 400, "no stream chosen")
    answer = engine.api("POST", "/containers/create?name=a%2Fb", {"Image": "bb", "Cmd": ["true"]})
    equal(answer.status, 400, "a name with a slash")
    contains(answer.message, "Invalid container name", "text")


@case()
def malformed_http(engine):
    for data in (b"nonsense\r\n\r\n", b"GET /_ping HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
                 b"GET /_ping HTTP/1.1\r\nHost: x\r\nBad Header\r\n\r\n",
                 b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
                 b"POST /containers/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
        answer = engine.raw(data, half_close=True)
        if answer:
            status = head_of(answer)[0]
            check(400 <= status < 600, f"{data!r} gives {status}")
    equal(engine.api("GET", "/_ping").status, 200, "still there")


@case()
def headers_without_end(engine):
    flood = b"GET /_ping HTTP/1.1\r\nHost: x\r\n" + b"X-Filler: " + b"a" * (4 << 20) + b"\r\n\r\n"
    answer = engine.raw(flood)
    if answer:
        check(head_of(answer)[0] in (400, 431), f"4 MiB of headers: {answer[:80]!r}")
    equal(engine.api("GET", "/_ping").status, 200, "still there")


@case("davit")
def smuggling(engine):
    """Two lengths that disagree: refused, whatever the order."""
    body = b"0\r\n\r\n"
    both = (b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + body)
    equal(head_of(engine.raw(both, half_close=True))[0], 400, "length and chunked")
    two = (b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
           b"Content-Length: 6\r\n\r\n" + body)
    equal(head_of(engine.raw(two, half_close=True))[0], 400, "two lengths")


@case()
def keep_alive_and_pipelining(engine):
    one = b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = engine.raw(one * 20 + last)
    equal(answer.count(b"HTTP/1.1 200 OK\r\n"), 21, "21 answers on one connection")
    old = engine.raw(b"GET /_ping HTTP/1.0\r\n\r\n")
    check(old.endswith(b"OK"), f"HTTP/1.0 gets one answer and the end: {old!r}")


@case()
def chunked_request_body(engine):
    body = json.dumps({"Image": "bb", "Cmd": ["true"]}).encode()
    chunks = b"".join(b"%x\r\n%c\r\n" % (1, byte) for byte in body) + b"0\r\n\r\n"
    data = (b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks)
    equal(head_of(engine.raw(data))[0], 201, "one byte per chunk")


@case()
def expect_continue(engine):
    """Large uploads ask first; the body must follow the interim answer."""
    body = json.dumps({"Image": "bb", "Cmd": ["true"]}).encode()
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(30)
        stream.connect(engine.socket)
        stream.sendall(b"POST /containers/create HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                       b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
        contains(stream.recv(1024), b"100 Continue", "asked for the body")
        stream.sendall(body)
        contains(stream.recv(4096), b"HTTP/1.1 201", "the real answer")


@case()
def many_connections(engine):
    """Idle connections do not keep others from being served, and are given back."""
    before = len(engine.descriptors())
    idle = []
    for _ in range(500):
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(engine.socket)
        idle.append(stream)
    equal(engine.api("GET", "/_ping").status, 200, "served beside 500 idle ones")
    for stream in idle:
        stream.close()
    eventually(lambda: len(engine.descriptors()) <= before + 2, "their descriptors are closed")


@case()
def half_a_request_then_gone(engine):
    before = len(engine.descriptors())
    for data in (b"GET /_pi", b"POST /containers/create HTTP/1.1\r\nContent-Length: 100\r\n\r\n{"):
        for _ in range(20):
            with socket.socket(socket.AF_UNIX) as stream:
                stream.connect(engine.socket)
                stream.sendall(data)
    eventually(lambda: len(engine.descriptors()) <= before + 2, "their descriptors are closed")


@case("davit")
def out_of_scope_groups(engine):
    for method, path in (("GET", "/swarm"), ("GET", "/nodes"), ("GET", "/services"), ("GET", "/tasks"),
                         ("GET", "/secrets"), ("GET", "/configs"), ("POST", "/swarm/init"), ("GET", "/nodes/one"),
                         ("DELETE", "/services/one"), ("POST", "/configs/create")):
        answer = engine.api(method, path)
        equal(answer.status, 503, path)
        contains(answer.message, "This node is not a swarm manager", path)
    equal(engine.api("POST", "/plugins/one/enable").status, 501, "a plugin")
    for path in ("/build", "/session", "/grpc"):
        answer = engine.api("POST", path)
        equal((answer.status, "does not build images" in answer.message), (501, True), path)
    equal(engine.api("POST", "/build/prune?all=1").json, {"CachesDeleted": None, "SpaceReclaimed": 0}, "no cache")
    equal(engine.api("GET", "/swarming").status, 404, "no group")
    equal((engine.api("OPTIONS", "/anything").status, engine.api("OPTIONS", "/anything").body), (200, b""), "OPTIONS")
    equal((engine.api("GET", "/plugins").status, engine.api("GET", "/plugins").json), (200, []), "plugins")


@case("davit")
def jobs_are_listed(engine):
    following = engine.spawn("events")
    jobs = eventually(lambda: [job for job in engine.api("GET", "/davit/jobs").json
                               if "event" in json.dumps(job)], "the events request is a job")
    check(jobs, "listed")
    following.kill()
    following.communicate()


@case("davit")
def the_loop_is_measured_anew(engine):
    def turns():
        return engine.api("GET", "/davit/loop").json["Turns"]

    eventually(lambda: turns() > 50, "some turns")
    equal(engine.api("POST", "/davit/loop/reset").status, 204, "reset")
    measured = engine.api("GET", "/davit/loop").json
    check(measured["Turns"] < 50, f"only what came after: {measured}")
    check(measured["LongestNs"] >= 0 and measured["LongTurns"] <= measured["Turns"], f"{measured}")


if __name__ == "__main__":
    main()

"""Links: --link on the default bridge, and as names on a user's network.

Goal: a linked container is found by its alias, in /etc/hosts, in variables, or by the resolver, and
where it is now. Method: busybox containers that are asked what they see, before and after the linked
one has got another address or is gone.
"""

import re

from harness import case, check, contains, equal, eventually, main, matches
from network_support import start_in_child_cgroup

SLEEP = ("sleep", "1000")


def prepare(engine, stack):
    start_in_child_cgroup(engine, stack)


def run(engine, name, *options):
    engine.out("run", "-d", "--name", name, *options, "bb", *SLEEP)


def address_of(engine, name, net="bridge"):
    return engine.inspect(name)["NetworkSettings"]["Networks"][net]["IPAddress"]


def hosts(engine, name):
    """Names by address, as the container sees them."""
    found = {}
    for line in engine.out("exec", name, "cat", "/etc/hosts").split("\n"):
        address, names = line.split(None, 1)
        found[address] = names.split()
    return found


def variables(text):
    return dict(line.split("=", 1) for line in text.split("\n"))


@case()
def a_link_on_the_default_bridge(engine):
    run(engine, "db", "-h", "store", "--expose", "6379", "--expose", "53/udp", "-e", "SECRET=x y", "-e", "HOME=/h")
    run(engine, "web", "--link", "db:my-db", "-e", "MY_DB_ENV_OVER=mine")
    address = address_of(engine, "db")
    equal(hosts(engine, "web")[address], ["my-db", "store", "db"], "hosts")
    equal(engine.inspect("web")["HostConfig"]["Links"], ["/db:/web/my-db"], "inspect")
    equal(engine.inspect("db")["HostConfig"]["Links"], None, "the other way")
    expected = {"MY_DB_NAME": "/web/my-db", "MY_DB_PORT": f"udp://{address}:53",
                "MY_DB_PORT_6379_TCP": f"tcp://{address}:6379", "MY_DB_PORT_6379_TCP_ADDR": address,
                "MY_DB_PORT_6379_TCP_PORT": "6379", "MY_DB_PORT_6379_TCP_PROTO": "tcp",
                "MY_DB_PORT_53_UDP": f"udp://{address}:53", "MY_DB_PORT_53_UDP_ADDR": address,
                "MY_DB_PORT_53_UDP_PORT": "53", "MY_DB_PORT_53_UDP_PROTO": "udp",
                "MY_DB_ENV_SECRET": "x y", "MY_DB_ENV_OVER": "mine"}
    for seen in (engine.out("exec", "web", "env"), engine.out("exec", "web", "sh", "-c", "tr '\\0' '\\n' < /proc/1/environ")):
        found = {key: value for key, value in variables(seen.strip()).items() if key.startswith("MY_DB")}
        equal(found, expected, "variables")
    contains(engine.out("exec", "web", "ping", "-c", "1", "-W", "5", "my-db"), f"({address})")
    names = [item["Names"] for item in engine.api("GET", "/containers/json").json]
    equal(sorted(sorted(some) for some in names), [["/db", "/web/my-db"], ["/web"]], "names in the list")


@case()
def the_address_is_kept_current(engine):
    run(engine, "db")
    run(engine, "web", "--link", "db", "--add-host", "other:10.9.9.9")
    before = address_of(engine, "db")
    equal(hosts(engine, "web")[before], ["db", engine.inspect("db")["Id"][:12]])
    engine.docker("stop", "-t", "0", "db")
    squatters = (f"squatter{number}" for number in range(20))  # Addresses may wait for them that come first.
    check(any(run(engine, name) or address_of(engine, name) == before for name in squatters),
          "somebody else has its address")
    engine.docker("start", "db")
    after = address_of(engine, "db")
    check(after != before, "another address")
    equal(hosts(engine, "web")[after][0], "db")
    check(before not in hosts(engine, "web"), "the old one is gone")
    equal(hosts(engine, "web")["10.9.9.9"], ["other"], "what is no link stays")
    engine.docker("restart", "-t", "0", "web")
    equal(hosts(engine, "web")[after][0], "db")
    engine.docker("rename", "db", "base")
    equal(engine.inspect("web")["HostConfig"]["Links"], ["/base:/web/db"], "it follows the container")
    engine.kill()
    engine.start()
    equal(engine.inspect("web")["HostConfig"]["Links"], ["/base:/web/db"], "after a daemon's end")
    engine.docker("rm", "-f", "base")
    equal(engine.inspect("web")["HostConfig"]["Links"], None, "it is gone with the container")
    engine.docker("restart", "-t", "0", "web")
    check(after not in hosts(engine, "web"), "and nothing of it is left")


@case()
def links_that_cannot_be(engine):
    missing = engine.docker("create", "--link", "nobody:db", "bb", status=None)
    check(missing.returncode != 0, "of nobody")
    contains(missing.stderr, "could not get container for nobody: No such container: nobody")
    engine.docker("create", "--name", "db", "bb", *SLEEP)
    engine.docker("create", "--name", "web", "--link", "db:store", "bb", *SLEEP)
    refused = engine.docker("start", "web", status=1)
    contains(refused.stderr, "Cannot link to a non running container: /db AS /web/store")
    run(engine, "hostly", "--network", "host")
    contains(engine.docker("create", "--link", "hostly", "bb", status=None).stderr,
             "host type networking can't be used with links")
    contains(engine.docker("create", "--network", "host", "--link", "db", "bb", status=None).stderr,
             "host type networking can't be used with links")
    run(engine, "loner", "--network", "none")
    engine.docker("create", "--name", "wants", "--link", "loner", "bb", *SLEEP)
    contains(engine.docker("start", "wants", status=1).stderr,
             "cannot link to /loner, as it does not belong to the default network")
    answer = engine.api("POST", "/containers/create", {"Image": "bb", "HostConfig": {"Links": ["a:b:c"]}})
    equal((answer.status, answer.message), (400, "bad format for links: a:b:c"))


@case()
def links_are_names_on_a_users_network(engine):
    engine.docker("network", "create", "front")
    try:
        run(engine, "db", "--network", "front")
        run(engine, "web", "--network", "front", "--link", "db:store")
        run(engine, "other", "--network", "front")
        address = address_of(engine, "db", "front")

        def lookup(name, of):
            found = engine.docker("exec", name, "nslookup", "-type=a", of, status=None)
            return re.findall(r"Address(?: 1)?: ([\d.]+)\s*$", found.stdout.split("Name:", 1)[-1], re.M) \
                if "Name:" in found.stdout else []

        equal(lookup("web", "store"), [address], "the alias")
        equal(lookup("web", "store.front"), [address], "with the network's name")
        equal(lookup("web", "db"), [address], "its name")
        equal(lookup("other", "store"), [], "only for the one that is linked")
        equal(engine.inspect("web")["NetworkSettings"]["Networks"]["front"]["Links"], ["db:store"])
        equal(engine.inspect("web")["HostConfig"]["Links"], None)
        check("STORE_NAME" not in engine.out("exec", "web", "env"), "no variables")
        engine.docker("stop", "-t", "0", "db")
        equal(lookup("web", "store"), [], "not while it is down")
        run(engine, "squatter", "--network", "front")
        engine.docker("start", "db")
        equal(lookup("web", "store"), [address_of(engine, "db", "front")], "where it is now")
        body = {"Image": "bb", "Cmd": list(SLEEP), "HostConfig": {"NetworkMode": "front", "Links": ["db:kept"]}}
        linked = engine.api("POST", "/containers/create?name=by-api", body)
        equal(linked.status, 201, linked.body)
        engine.docker("start", "by-api")
        equal(lookup("by-api", "kept"), [address_of(engine, "db", "front")], "of the HostConfig")
        equal(engine.inspect("by-api")["NetworkSettings"]["Networks"]["front"]["Links"], ["db:kept"])
        run(engine, "late", "--network", "none")
        engine.docker("network", "disconnect", "none", "late")
        engine.docker("network", "connect", "--link", "db:base", "front", "late")
        equal(lookup("late", "base"), [address_of(engine, "db", "front")], "network connect --link")
    finally:
        engine.remove_all()
        engine.docker("network", "rm", "front")


@case()
def a_link_is_removed(engine):
    run(engine, "db")
    run(engine, "web", "--link", "db:one", "--link", "db:two")
    equal(sorted(engine.inspect("web")["HostConfig"]["Links"]), ["/db:/web/one", "/db:/web/two"])
    engine.docker("rm", "--link", "web/one")
    equal(engine.inspect("web")["HostConfig"]["Links"], ["/db:/web/two"])
    equal(engine.inspect("db")["State"]["Running"], True, "the container stays")
    check(engine.docker("rm", "--link", "web/one", status=None).returncode != 0, "no longer there")
    contains(engine.docker("rm", "--link", "web", status=None).stderr, "cannot remove the default link name")
    matches(engine.out("ps", "--no-trunc", "--format", "{{.Names}}"), r"(?m)^db,web/two$|^web/two,db$")
    engine.docker("rm", "-f", "web")
    equal(engine.api("GET", "/containers/json").json[0]["Names"], ["/db"], "the name goes with it")


@case()
def a_daemon_starts_the_linked_one_first(engine):
    run(engine, "db", "--restart", "always", "--stop-timeout", "0")
    run(engine, "web", "--restart", "always", "--stop-timeout", "0", "--link", "db")
    engine.stop()
    engine.start()
    eventually(lambda: engine.inspect("web")["State"]["Running"], "it runs again")
    equal(hosts(engine, "web")[address_of(engine, "db")][0], "db")


if __name__ == "__main__":
    main(prepare)

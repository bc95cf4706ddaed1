#!/usr/bin/env python3
"""docker-compose 1.29 against the engine: three services, two networks, a published port, names.

Goal: a compose file works unchanged. Method: Debian's docker-compose, a project of busybox services.
"""

import shutil
import subprocess

from harness import Skip, case, check, contains, equal, eventually, main
from network_support import HOST, Remote, http, start_in_child_cgroup

PROJECT = """
version: "2.4"
services:
  web:
    image: bb:latest
    command: sh -c "mkdir -p /www; echo hello > /www/index.html; httpd -f -p 80 -h /www"
    ports: ["8800:80"]
    networks: [front, back]
  cache:
    image: bb:latest
    command: sh -c "mkdir -p /www; echo cached > /www/index.html; httpd -f -p 80 -h /www"
    networks:
      back:
        aliases: [store]
  lone:
    image: bb:latest
    command: sleep 1000
    networks: [front]
networks:
  front: {}
  back: {}
"""


def prepare(engine, stack):
    if not shutil.which("docker-compose"):
        raise Skip("docker-compose is missing: scripts/install-deps test")
    remote = Remote()
    stack.callback(remote.close)
    start_in_child_cgroup(engine, stack)
    return {"remote": remote}


def compose(engine, *arguments):
    folder = engine.directory / "shop"
    folder.mkdir(exist_ok=True)
    (folder / "docker-compose.yml").write_text(PROJECT)
    done = subprocess.run(["docker-compose", "--project-directory", str(folder), "-f",
                           str(folder / "docker-compose.yml"), *arguments],
                          env={**engine.environment(), "COMPOSE_HTTP_TIMEOUT": "60"},
                          capture_output=True, text=True, timeout=120, check=False)
    equal(done.returncode, 0, f"docker-compose {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


@case()
def three_services(engine, remote):
    compose(engine, "up", "-d")
    eventually(lambda: http("127.0.0.1", 8800) == "hello 127.0.0.1:8800", "the published port")
    equal(http(HOST, 8800, enter=remote.enter()), f"hello {HOST}:8800", "from outside")
    for name in ("cache", "store"):
        equal(compose(engine, "exec", "-T", "web", "wget", "-qO-", f"http://{name}/").strip(),
              "cached", name)
    equal(compose(engine, "exec", "-T", "lone", "wget", "-qO-", "http://web/").strip(), "hello",
          "over the other network")
    listed = compose(engine, "ps")
    contains(listed, "0.0.0.0:8800->80/tcp", "docker-compose ps")
    missing = subprocess.run([shutil.which("docker") or "docker", "exec", "shop_lone_1", "nslookup",
                              "cache"], env=engine.environment(), capture_output=True, check=False)
    check(missing.returncode != 0, "a name of a network that it is not in")
    compose(engine, "up", "-d", "--force-recreate", "web")
    eventually(lambda: http("127.0.0.1", 8800) == "hello 127.0.0.1:8800", "recreated")
    compose(engine, "down")
    equal([one["Name"] for one in engine.api("GET", "/networks").json], ["bridge", "host", "none"],
          "networks are gone")


if __name__ == "__main__":
    main(prepare)

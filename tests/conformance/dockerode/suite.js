// Cases of test_dockerode.py: `node suite.js SOCKET CASE` in an engine that has the image "bb".
"use strict";

const assert = require("node:assert/strict");
const { once } = require("node:events");
const { PassThrough } = require("node:stream");
const Docker = require("dockerode");

const docker = new Docker({ socketPath: process.argv[2] });

const bytes = async (stream) => {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
};

const gather = async (stream) => (await bytes(stream)).toString();

const make = (command, options = {}) =>
  docker.createContainer({
    Image: "bb",
    Cmd: command,
    HostConfig: { NetworkMode: "none" },
    ...options,
  });

const sleeper = async (options) => {
  const container = await make(["sleep", "1000"], options);
  await container.start();
  return container;
};

const refused = async (promise, status, text) => {
  await assert.rejects(promise, (problem) => {
    assert.equal(problem.statusCode, status, problem.message);
    assert.match(problem.message, text);
    return true;
  });
};

/// What a multiplexed stream brings, by stream.
const demultiplexed = async (stream) => {
  const out = new PassThrough();
  const err = new PassThrough();
  docker.modem.demuxStream(stream, out, err);
  stream.on("end", () => {
    out.end();
    err.end();
  });
  return Promise.all([gather(out), gather(err)]);
};

const cases = {
  async life() {
    const container = await make(["sh", "-c", "echo out; echo err >&2; exit 4"], { name: "life" });
    assert.equal((await container.inspect()).State.Status, "created");
    const waited = container.wait({ condition: "next-exit" });
    await container.start();
    assert.equal((await waited).StatusCode, 4);
    const state = (await container.inspect()).State;
    assert.deepEqual([state.Status, state.ExitCode], ["exited", 4]);
    const logs = await container.logs({ stdout: true, stderr: true, follow: true });
    assert.deepEqual(await demultiplexed(logs), ["out\n", "err\n"]);
    await container.remove();
    await refused(container.inspect(), 404, /No such container/);
  },

  async attach() {
    const container = await make(["cat"], { OpenStdin: true, StdinOnce: true });
    const stream = await container.attach({
      stream: true, hijack: true, stdin: true, stdout: true, stderr: true,
    });
    const output = demultiplexed(stream);
    await container.start();
    stream.write("one\n");
    stream.end("two\n");
    assert.deepEqual(await output, ["one\ntwo\n", ""]);
    assert.equal((await container.wait()).StatusCode, 0);
  },

  async run() {
    const out = new PassThrough();
    const text = gather(out);
    const [data, container] = await docker.run("bb", ["sh", "-c", "tty; echo here; exit 3"], out, {
      Tty: true, HostConfig: { NetworkMode: "none" },
    });
    out.end();
    assert.equal(data.StatusCode, 3);
    assert.match(await text, /^\/dev\/pts\/0\r\nhere\r\n$/);
    await container.remove();
  },

  async exec() {
    const container = await sleeper();
    const exec = await container.exec({
      Cmd: ["sh", "-c", "cat; echo $A >&2; exit 5"], Env: ["A=b"],
      AttachStdin: true, AttachStdout: true, AttachStderr: true,
    });
    const stream = await exec.start({ hijack: true, stdin: true });
    const output = demultiplexed(stream);
    stream.end("through\n");
    assert.deepEqual(await output, ["through\n", "b\n"]);
    assert.equal((await exec.inspect()).ExitCode, 5);
    const terminal = await container.exec({
      Cmd: ["sh", "-c", "read x; stty size"], Tty: true, AttachStdin: true, AttachStdout: true,
    });
    const screen = await terminal.start({ hijack: true, stdin: true, Tty: true });
    await terminal.resize({ h: 33, w: 77 });
    screen.write("\n");
    assert.match(await gather(screen), /33 77/);
    await container.remove({ force: true });
  },

  async events() {
    const stream = await docker.getEvents({ filters: { type: ["container"] } });
    const seen = [];
    stream.on("data", (chunk) => {
      for (const line of chunk.toString().split("\n").filter(Boolean)) {
        seen.push(JSON.parse(line));
      }
    });
    const container = await make(["true"], { Labels: { a: "b" } });
    await container.start();
    await container.wait();
    await container.remove();
    while (!seen.some((event) => event.Action === "destroy")) await once(stream, "data");
    stream.destroy();
    const actions = seen.map((event) => event.Action);
    assert.deepEqual(actions, ["create", "start", "die", "destroy"]);
    assert.equal(seen[0].Actor.Attributes.a, "b");
    assert.equal(seen[2].Actor.Attributes.exitCode, "0");
  },

  async archive() {
    const container = await make(["true"]);
    const tar = await container.getArchive({ path: "/bin/busybox" });
    assert.equal((await gather(tar)).slice(0, 7), "busybox");
    await container.putArchive(await bytes(await container.getArchive({ path: "/bin" })), {
      path: "/tmp",
    });
    await container.infoArchive({ path: "/tmp/bin/busybox" });
    await refused(container.getArchive({ path: "/nothing" }), 404, /nothing/);
    await container.remove();
  },

  async volumes() {
    const volume = await docker.createVolume({ Name: "data", Labels: { a: "b" } });
    assert.equal((await docker.getVolume("data").inspect()).Labels.a, "b");
    const options = { HostConfig: { NetworkMode: "none", Binds: ["data:/data"] } };
    const container = await sleeper(options);
    await refused(docker.getVolume("data").remove(), 409, /volume is in use/);
    await container.remove({ force: true });
    assert.deepEqual((await docker.listVolumes()).Volumes.map((one) => one.Name), ["data"]);
    await docker.getVolume(volume.Name ?? volume.name).remove();
    await refused(docker.getVolume("data").inspect(), 404, /no such volume/i);
    const unnamed = await docker.createVolume({});
    assert.deepEqual((await docker.pruneVolumes()).VolumesDeleted, [unnamed.Name ?? unnamed.name]);
  },

  async verbs() {
    const container = await sleeper({ name: "first" });
    await container.pause();
    assert.equal((await container.inspect()).State.Paused, true);
    await container.unpause();
    await container.rename({ name: "second" });
    await container.update({ PidsLimit: 50 });
    const found = await docker.listContainers({ filters: { name: ["second"] } });
    assert.deepEqual(found.map((one) => one.Names), [["/second"]]);
    assert.equal((await container.top()).Processes.length, 1);
    assert.equal((await container.stats({ stream: false })).pids_stats.limit, 50);
    await container.restart({ t: 0 });
    await container.kill({ signal: "KILL" });
    assert.equal((await container.wait()).StatusCode, 137);
    const pruned = await docker.pruneContainers();
    assert.deepEqual(pruned.ContainersDeleted, [container.id]);
  },

  async files() {
    const terminal = await make(["sh", "-c", "touch /made; read x; stty size"], {
      Tty: true, OpenStdin: true,
    });
    const stream = await terminal.attach({ stream: true, hijack: true, stdin: true });
    await refused(terminal.resize({ h: 30, w: 70 }), 409, /is not running/);
    await terminal.start();
    await terminal.resize({ h: 30, w: 70 });
    stream.write("\n");
    assert.equal((await terminal.wait()).StatusCode, 0);
    assert.match((await terminal.logs({ stdout: true })).toString(), /30 70/);
    assert.deepEqual(await terminal.changes(), [{ Path: "/made", Kind: 1 }]);
    assert.match(await gather(await terminal.export()), /made/);
    const { Id } = await terminal.commit({ repo: "made", tag: "1" });
    assert.equal((await docker.getImage("made:1").inspect()).Id, Id);
    await docker.getImage("made:1").remove();
    assert.equal((await docker.df()).Containers.length, 1);
    const running = await sleeper();
    await running.stop({ t: 0 });
    await refused(running.kill(), 409, /is not running/);
  },

  async images() {
    const image = docker.getImage("bb");
    const { Id } = await image.inspect();
    await image.tag({ repo: "other", tag: "1" });
    const tags = (await docker.listImages()).find((one) => one.Id === Id).RepoTags;
    assert.deepEqual(tags.sort(), ["bb:latest", "other:1"]);
    assert.deepEqual(await docker.getImage("other:1").remove(), [{ Untagged: "other:1" }]);
    await refused(docker.getImage("nosuch").inspect(), 404, /No such image/);
    await refused(make(["true"], { Image: "nosuch" }), 404, /No such image/);
    assert.ok((await docker.version()).ApiVersion);
    assert.equal((await docker.info()).Images, 1);
    assert.equal((await docker.ping()).toString(), "OK");
  },
};

cases[process.argv[3]]().then(
  () => process.exit(0),
  (problem) => {
    console.error(problem);
    process.exit(1);
  },
);

"""Registries with certificates of their own, and such that want one from the engine.

Goal: certs.d is read as Docker reads it, and what is wrong with it is told. Method: a registry by
https with a CA made here that wants a client certificate; the engine reaches it by a name through a
proxy, as loopback is trusted anyway.
"""

import os
import shutil
import subprocess
from unittest import mock

from harness import case, contains, equal, main, start_engine
from registry_proxy import LocalRegistry, Tunnels

NAME = "registry.example:5000"


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def authority(directory, name):
    """A CA: NAME.key and NAME.pem."""
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", directory / f"{name}.key", "-out", directory / f"{name}.pem")


def signed(directory, name, alternative):
    """NAME.key and NAME.pem, by the CA called ca."""
    extensions = directory / f"{name}.ext"
    extensions.write_text(f"subjectAltName=DNS:{alternative}\n")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
            "-keyout", directory / f"{name}.key", "-out", directory / f"{name}.csr")
    openssl("x509", "-req", "-in", directory / f"{name}.csr", "-days", "2", "-CAcreateserial",
            "-CA", directory / "ca.pem", "-CAkey", directory / "ca.key", "-extfile", extensions,
            "-out", directory / f"{name}.pem")


def prepare(engine, stack):
    keys = engine.directory / "keys"
    keys.mkdir()
    authority(keys, "ca")
    authority(keys, "stranger")
    signed(keys, "server", "registry.example")
    signed(keys, "client", "client.example")
    registry = stack.enter_context(LocalRegistry(engine.directory / "registry", tls={
        "certificate": str(keys / "server.pem"), "key": str(keys / "server.key"),
        "clientcas": [str(keys / "ca.pem")]}))
    proxy = stack.enter_context(Tunnels(registry.address))
    command = [*engine.command(), "--certs-dir", str(engine.directory / "certs.d")]
    engine.command = lambda: command
    variables = {"HTTPS_PROXY": f"http://{proxy.address}", "https_proxy": "",
                 "NO_PROXY": "", "no_proxy": ""}
    with mock.patch.dict(os.environ, variables):
        start_engine(engine, stack)
    return {"keys": keys, "proxy": proxy}


def certificates(engine, keys, **files):
    """Make certs.d/NAME anew: its files by the keys' names."""
    folder = engine.directory / "certs.d" / NAME
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for target, source in files.items():
        stem, _, end = target.rpartition("_")
        shutil.copy(keys / source, folder / f"{stem}.{end}")
    return folder


@case("davit")
def what_is_wrong_is_told(engine, keys, proxy):
    """The first case: once there is a good connection, it is used for a while."""
    def refused(*pieces):
        text = engine.docker("pull", f"{NAME}/absent:1", status=1).stderr
        for piece in (NAME, *pieces):
            contains(text, piece, "the refusal")

    folder = certificates(engine, keys, ca_crt="stranger.pem")
    refused("certificate signed by unknown authority", f"missing in {folder}/*.crt")
    folder = certificates(engine, keys, ca_crt="ca.pem", me_cert="client.pem")
    refused(f"missing key {folder}/me.key for client certificate {folder}/me.cert")
    folder = certificates(engine, keys, ca_crt="ca.pem", me_key="client.key")
    refused(f"missing client certificate {folder}/me.cert for key {folder}/me.key")
    folder = certificates(engine, keys, ca_crt="ca.key")
    refused(f"read CA certificates {folder}/ca.crt")
    certificates(engine, keys, ca_crt="ca.pem")
    refused()  # By the registry: there is no client certificate.
    certificates(engine, keys, ca_crt="ca.pem", me_cert="client.pem", me_key="client.key")
    refused("not found")


@case("davit")
def push_and_pull(engine, keys, proxy):
    certificates(engine, keys, ca_crt="ca.pem", me_cert="client.pem", me_key="client.key")
    name = f"{NAME}/bb:1"
    engine.docker("tag", "bb:latest", name)
    identity = engine.inspect(name)["Id"]
    engine.docker("push", name)
    engine.docker("rmi", "-f", identity)
    engine.docker("pull", "-q", name)
    equal(engine.inspect(name)["Id"], identity, "the image's id")
    equal(set(proxy.asked), {NAME}, "what the proxy was asked for")


if __name__ == "__main__":
    main(prepare)

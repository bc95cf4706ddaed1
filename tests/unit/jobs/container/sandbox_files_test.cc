// Goal: hosts, hostname and resolv.conf say what Docker's say. Method: the texts, and the files.
#include "jobs/container/sandbox_files.h"

#include <fcntl.h>
#include <stdlib.h>

#include "reactor/base/fd.h"
#include "reactor/base/tree_remove.h"
#include "tests/support/catch.h"

using namespace davit;

TEST_CASE("hosts: localhost and what was added; with the host's network its own first") {
    SandboxFilesRequest request;
    request.extra_hosts = {"db:10.0.0.1", "six=2001:db8::1", "v6:::1"};
    const std::string text = hosts_text(request, "1.2.3.4 of-the-host\n");
    CHECK(text.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost"));
    CHECK(text.ends_with("10.0.0.1\tdb\n2001:db8::1\tsix\n::1\tv6\n"));
    CHECK(text.find("of-the-host") == std::string::npos);
    request.host_network = true;
    request.extra_hosts = {"db:10.0.0.1"};
    CHECK(hosts_text(request, "1.2.3.4 mine") == "1.2.3.4 mine\n10.0.0.1\tdb\n");
    CHECK(hosts_text(request, "") == "10.0.0.1\tdb\n");
}

TEST_CASE("resolv.conf: the host's lines, each kind replaced by what was asked for") {
    const std::string host =
        "# a comment\nnameserver 1.1.1.1\nnameservers 9.9.9.9\nsearch a.example\toptions\n"
        "options ndots:2\nnameserver\t8.8.8.8";
    SandboxFilesRequest request;
    CHECK(resolv_conf_text(request, host) ==
          "nameserver 1.1.1.1\nnameserver 8.8.8.8\nsearch a.example\toptions\noptions ndots:2\n");
    request.dns = {"10.0.0.53", "::1"};
    request.dns_search = {"b.example", "c.example"};
    request.dns_options = {"timeout:1"};
    CHECK(resolv_conf_text(request, host) ==
          "nameserver 10.0.0.53\nnameserver ::1\nsearch b.example c.example\noptions timeout:1\n");
    request.dns_search = {"."};
    CHECK(resolv_conf_text(request, host).find("search") == std::string::npos);
    CHECK(resolv_conf_text(SandboxFilesRequest{}, "").empty());
}

TEST_CASE("hosts: a network of its own, and the way to the host") {
    SandboxFilesRequest request;
    request.extra_hosts = {"host.docker.internal:host-gateway"};
    request.host_gateway = "172.17.0.1";
    request.own_hosts = {{"172.17.0.2", "box.example.org box"}, {"10.0.0.2", "box"}};
    CHECK(hosts_text(request, "")
              .ends_with("172.17.0.1\thost.docker.internal\n172.17.0.2\t"
                         "box.example.org box\n10.0.0.2\tbox\n"));
}

TEST_CASE("resolv.conf: a network of its own reaches no server on the host's loopback") {
    SandboxFilesRequest request;
    request.own_network = true;
    CHECK(resolv_conf_text(request, "nameserver 127.0.0.53\nnameserver 1.1.1.1\n") ==
          "nameserver 1.1.1.1\n");
    CHECK(resolv_conf_text(request, "nameserver 127.0.0.53\nnameserver ::1\n") ==
          "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
    request.resolver = true;
    request.dns = {"10.0.0.53"};
    CHECK(resolv_conf_text(request, "search a\n") ==
          "nameserver 127.0.0.11\nsearch a\noptions ndots:0\n");
    CHECK(name_servers(request, "") == request.dns);
}

TEST_CASE("the three files are written, over what was there") {
    char pattern[] = "/tmp/davit-sandbox-test-XXXXXX";
    const std::string directory = ::mkdtemp(pattern);
    SandboxFilesRequest request;
    request.hostname = "box";
    request.domainname = "example.org";
    request.dns = {"10.0.0.53"};
    REQUIRE(sandbox_files_write(directory, request));
    CHECK(*file_read(directory + "/hostname") == "box.example.org\n");
    request.hostname = "b";
    request.domainname = "";
    REQUIRE(sandbox_files_write(directory, request));
    CHECK(*file_read(directory + "/hostname") == "b\n");
    CHECK(file_read(directory + "/hosts")->find("localhost") != std::string::npos);
    CHECK(file_read(directory + "/resolv.conf")->starts_with("nameserver 10.0.0.53\n"));
    CHECK(!sandbox_files_write(directory + "/missing", request));
    const std::string before = *file_read(directory + "/hosts");
    REQUIRE(hosts_add(directory, "10.0.0.2", "b"));
    REQUIRE(hosts_add(directory, "10.0.0.20", "b"));
    CHECK(*file_read(directory + "/hosts") == before + "10.0.0.2\tb\n10.0.0.20\tb\n");
    REQUIRE(hosts_remove(directory, "10.0.0.2"));
    CHECK(*file_read(directory + "/hosts") == before + "10.0.0.20\tb\n");
    REQUIRE(hosts_add(directory, "10.0.0.3", "db box"));
    REQUIRE(hosts_readdress(directory, "db", "10.0.0.33"));
    REQUIRE(hosts_readdress(directory, "box", "10.0.0.44"));  // Nobody's first name.
    CHECK(*file_read(directory + "/hosts") == before + "10.0.0.20\tb\n10.0.0.33\tdb box\n");
    request.resolver = true;
    REQUIRE(resolv_conf_replace(directory, request));
    CHECK(file_read(directory + "/resolv.conf")->starts_with("nameserver 127.0.0.11\n"));
    REQUIRE(remove_tree(AT_FDCWD, directory));
}

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
          "nameserver 1.1.1.1\nnameserver\t8.8.8.8\nsearch a.example\toptions\noptions ndots:2\n");
    request.dns = {"10.0.0.53", "::1"};
    request.dns_search = {"b.example", "c.example"};
    request.dns_options = {"timeout:1"};
    CHECK(resolv_conf_text(request, host) ==
          "nameserver 10.0.0.53\nnameserver ::1\nsearch b.example c.example\noptions timeout:1\n");
    request.dns_search = {"."};
    CHECK(resolv_conf_text(request, host).find("search") == std::string::npos);
    CHECK(resolv_conf_text(SandboxFilesRequest{}, "").empty());
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
    REQUIRE(remove_tree(AT_FDCWD, directory));
}

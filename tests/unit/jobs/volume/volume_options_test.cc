// Goal: names and options of volumes are taken or refused as Docker does, and become the call of
// mount(2) that they mean.
#include "jobs/volume/volume_options.h"

#include <sys/mount.h>

#include <cstdint>

#include "tests/support/catch.h"

using namespace davit;

namespace {

using Options = std::map<std::string, std::string>;

std::string said(const Result<void>& result) {
    return result ? "" : result.error().message();
}

LocalMount parsed(const std::string& words) {
    return local_mount_parse({{"type", "ext4"}, {"device", "/dev/x"}, {"o", words}});
}

Result<std::string> one_address(const std::string& host) {
    if (host == "nfs.example") {
        return std::string("192.0.2.7");
    }
    return Error(ErrorKind::not_found, "lookup " + host + ": no such host");
}

}  // namespace

TEST_CASE("what a volume may be called", "[volumes]") {
    for (const char* name : {"ab", "a.", "0_", "A-b.c_d", "a..b"}) {
        CHECK(volume_name_check(name));
    }
    CHECK(said(volume_name_check("a")) ==
          "volume name is too short, names should be at least two alphanumeric characters");
    for (const std::string name : {"", ".a", "-a", "_a", "a/b", "a b", "\xc3\xa4x", "..", "a\n"}) {
        CHECK_THAT(said(volume_name_check(name)),
                   Catch::StartsWith("\"" + name + "\" includes invalid characters"));
    }
}

TEST_CASE("which options there are, and which need others", "[volumes]") {
    CHECK(volume_options_check({}));
    CHECK(volume_options_check({{"type", "tmpfs"}, {"device", "tmpfs"}}));
    CHECK(volume_options_check({{"type", "none"}, {"device", "/x"}, {"o", "bind"}}));
    CHECK(said(volume_options_check({{"odd", "1"}})) == "invalid option: \"odd\"");
    CHECK(said(volume_options_check({{"type", "tmpfs"}})) == "missing required option: \"device\"");
    CHECK(said(volume_options_check({{"device", "x"}})) == "missing required option: \"type\"");
    CHECK(said(volume_options_check({{"o", "ro"}})) == "missing required option: \"device\"");
    CHECK(volume_options_check({{"size", "1g"}}));
    CHECK(said(volume_options_check({{"size", "many"}})) == "invalid size: 'many'");
    CHECK(said(volume_options_check({{"type", "tmpfs"}, {"device", "x"}, {"size", "1g"}})) ==
          "quota size requested but no quota support");
    CHECK(*volume_size_parse({}) == 0);
    CHECK(*volume_size_parse({{"size", "2m"}}) == 2U << 20U);
    CHECK(said(volume_options_check({{"type", "cifs"}, {"device", "//host:445/share"}})) ==
          "port not allowed in CIFS device URL, include 'port' in 'o='");
    CHECK(volume_driver_check("local"));
    CHECK(volume_driver_check("odd").error().kind() == ErrorKind::not_found);
    CHECK_FALSE(volume_is_mounted({}));
    CHECK_FALSE(volume_is_mounted({{"type", "tmpfs"}, {"device", ""}}));
    CHECK(volume_is_mounted({{"type", "tmpfs"}, {"device", "x"}}));
}

TEST_CASE("options become the arguments of mount(2)", "[volumes]") {
    const LocalMount mount = parsed("ro,nosuid,addr=1.2.3.4,rw,noatime,,vers=4,exec,noexec");
    CHECK(mount.device == "/dev/x");
    CHECK(mount.type == "ext4");
    CHECK(mount.flags == std::uint64_t{MS_NOSUID | MS_NOATIME | MS_NOEXEC});
    CHECK(mount.data == "addr=1.2.3.4,vers=4");
    CHECK(mount.propagation == 0);
    CHECK(parsed("rbind,ro").flags == std::uint64_t{MS_BIND | MS_REC | MS_RDONLY});
    CHECK(parsed("bind,rslave").propagation == std::uint64_t{MS_SLAVE | MS_REC});
    CHECK(parsed("").flags == 0);
}

TEST_CASE("servers are named by address", "[volumes]") {
    const auto resolved =
        [](const std::string& type, const std::string& device, const std::string& o) {
            LocalMount mount = local_mount_parse({{"type", type}, {"device", device}, {"o", o}});
            const Result<void> done = local_mount_resolve(mount, one_address);
            return done ? mount.data : done.error().message();
        };
    CHECK(resolved("nfs", ":/x", "addr=nfs.example,rw,vers=4") == "addr=192.0.2.7,vers=4");
    CHECK(resolved("nfs4", ":/x", "vers=4,addr=10.0.0.1") == "vers=4,addr=10.0.0.1");
    CHECK(resolved("nfs", ":/x", "addr=::1") == "addr=::1");
    CHECK(resolved("nfs", ":/x", "addr=gone") ==
          "error resolving passed in network volume address: lookup gone: no such host");
    CHECK(resolved("cifs", "//nfs.example/share", "username=u") == "username=u,addr=192.0.2.7");
    CHECK(resolved("ext4", "/dev/x", "addr=nfs.example") == "addr=nfs.example");
}

TEST_CASE("what cannot be mounted says so, without passwords", "[volumes]") {
    LocalMount mount = local_mount_parse(
        {{"type", "none"}, {"device", "/nosuch"}, {"o", "bind,username=u,password=secret,x=1"}});
    const Result<void> done = local_mount_attach(mount, "/nosuch/_data");
    CHECK(said(done) ==
          "failed to mount local volume: mount /nosuch:/nosuch/_data, flags: 0x1000, data: "
          "username=u,password=********,x=1: no such file or directory");
}

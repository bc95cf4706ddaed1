/// Goal: a container launched from a spec is what Docker's would be. Method: run busybox in it and
/// look from the inside.
#include "tests/integration/libcontainer/harness.h"
#include "tests/support/catch.h"

namespace davit::test {

TEST_CASE("the exit code and the output arrive") {
    require_root();
    const Rootfs rootfs;
    const Outcome outcome = run(spec_for_shell("echo out; echo err >&2; exit 7"), rootfs);
    INFO((outcome.error ? outcome.error->message() : ""));
    CHECK_FALSE(outcome.error);
    CHECK(outcome.output == "out\nerr\n");
    CHECK(outcome.status.value == 7);
    CHECK_FALSE(outcome.status.signaled);
}

TEST_CASE("look around") {
    const Rootfs rootfs;
    const Outcome outcome =
        run(spec_for_shell("cat /proc/1/mountinfo; cat /proc/self/status; id; hostname; ls -la "
                           "/dev /proc/self/fd; cat /proc/net/dev; pwd; umask"),
            rootfs);
    INFO((outcome.error ? outcome.error->message() : ""));
    CHECK_FALSE(outcome.error);
    WARN(outcome.output);
}

}  // namespace davit::test

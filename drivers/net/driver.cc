#include "drivers/net/driver.h"

namespace davit {

Task<std::vector<Subnet>> NetworkDriver::subnets_taken(std::string /*except*/) {
    co_return std::vector<Subnet>();
}

Task<EndpointPrepared> NetworkDriver::prepare(EndpointSpec /*spec*/, Fd /*netns*/) {
    co_return Error(ErrorKind::unsupported,
                    "links of " + std::string(name()) + " networks are made with their container");
}

Task<TraceOutcome> NetworkDriver::trace(TraceRequest /*request*/) {
    co_return Error(ErrorKind::unsupported,
                    "packets of " + std::string(name()) + " networks pass davit unseen");
}

Task<void> NetworkDriver::resolver_set(std::uint64_t /*netns_cookie*/,
                                       IpAddress /*resolver*/,
                                       std::uint16_t /*port*/) {
    co_return Error(ErrorKind::unsupported,
                    "the " + std::string(name()) + " driver redirects no names");
}

Task<void> NetworkDriver::run() {
    co_return ok;
}

}  // namespace davit

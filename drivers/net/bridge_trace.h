#pragma once
/// Where a packet would go: the programs that are loaded are run on one, with the maps that are in
/// use (BPF_PROG_TEST_RUN). Nothing is sent; what the run put into the flow table is taken out.
/// Functions for a worker thread.
#include <map>

#include "bpf/programs.h"
#include "drivers/net/driver.h"

namespace davit {

/// Takes: source: if it comes from a container, its endpoint and the index of the host's end.
struct TraceSource {
    EndpointSpec endpoint;
    int index = 0;
};

/// Errors: not_found (no uplink, no port); any of the kernel's.
Result<TraceOutcome> trace_run(NetworkPrograms& programs,
                               const TraceRequest& request,
                               const TraceSource* source);

}  // namespace davit

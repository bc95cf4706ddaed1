// Promises: a reference that is accepted means the same in its complete and its familiar form, fits
// into a database key, and holds nothing that could climb out of a path or end a line.
#include "graph/reference.h"
#include "graph/txn.h"
#include "tests/fuzz/fuzz.h"

namespace davit::fuzz {

namespace {

void check_accepted(const Reference& reference) {
    const auto complete = Reference::parse(reference.str());
    require(complete && *complete == reference, "the complete form parses back");
    const auto familiar = Reference::parse(reference.familiar());
    require(familiar && *familiar == reference, "the familiar form parses back");
    require(reference.str().size() <= graph_key_bytes_max, "a reference fits into a key");
    require(reference.name().find("..") == std::string::npos, "nothing climbs");
    require(
        reference.str().find_first_of(std::string_view(" \t\r\n\0\\%?#", 9)) == std::string::npos,
        "nothing ends a word, a line or a path");
    require(!reference.with_default_tag().is_name_only(), "the default tag completes");
}

void reference(std::string_view input) {
    if (const auto parsed = Reference::parse(input)) {
        check_accepted(*parsed);
    } else {
        require(parsed.error().kind() == ErrorKind::invalid_argument, "refusals are the client's");
    }
    const std::size_t half = input.size() / 2;
    if (const auto parsed = Reference::parse(input.substr(0, half), input.substr(half))) {
        check_accepted(*parsed);
    }
}

const bool registered = add({"reference",
                             reference,
                             {"alpine",
                              "alpine:3.20",
                              "docker.io/library/alpine:latest",
                              "localhost:5000/a/b__c.d-e:t",
                              "[::1]:80/a",
                              "ghcr.io/o/r@sha256:" + std::string(64, 'a'),
                              "a:t@sha512:" + std::string(128, '0'),
                              "index.docker.io/x"},
                             {"/",
                              ":",
                              "@",
                              "..",
                              "__",
                              "___",
                              "--",
                              "docker.io/",
                              "library/",
                              "localhost/",
                              "A",
                              "sha256:",
                              std::string(130, 'a'),
                              "[",
                              "]",
                              "%2F",
                              "\n"},
                             30'000});

}  // namespace

}  // namespace davit::fuzz

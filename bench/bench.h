#pragma once
/// Benchmarks: samples, percentiles, tables.
///
/// How to run and read them. `scripts/bench startup`, `pull`, `load` and `extract` build Release
/// and run everything; they start their own daemons in private directories and stop them
/// afterwards. Every contender's runs are interleaved (one each, round after round), so what
/// disturbs the machine disturbs all alike: compare ratios within one run, not milliseconds between
/// runs. The table goes to stdout; every single sample goes to the --json file as one JSON object
/// per line, with the unit in the key's name. A contender that cannot run here is listed with the
/// reason, never left out silently.
///
/// The floor is a program without any engine that makes the same isolation (namespaces, cgroups,
/// overlay, /proc /dev /sys, masks, capabilities, seccomp): what the kernel charges. No engine can
/// be faster without preparing ahead.
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/base/clock.h"
#include "reactor/base/result.h"

namespace davit::bench {

/// Durations of one kind of work.
class Samples {
  public:
    void add(Nanoseconds duration) { values_.push_back(duration); }

    void add(const Samples& other);

    std::size_t count() const { return values_.size(); }

    bool empty() const { return values_.empty(); }

    /// The nearest-rank percentile in milliseconds; fraction in (0, 1]. Needs a sample.
    double percentile_ms(double fraction) const;

    /// The latest sample. Needs one.
    double last_ms() const { return static_cast<double>(values_.back().count()) / 1e6; }

  private:
    std::vector<Nanoseconds> values_;
};

/// The file of raw samples; a default-made one writes nothing.
class JsonLines {
  public:
    JsonLines() = default;
    JsonLines(const JsonLines&) = delete;
    JsonLines& operator=(const JsonLines&) = delete;
    ~JsonLines();

    /// Errors: as fopen(3).
    Result<void> open(const std::string& path);

    /// One object: text fields are quoted, numbers are not.
    void write(const std::map<std::string, std::string>& texts,
               const std::map<std::string, double>& numbers);

  private:
    std::FILE* file_ = nullptr;
};

/// A table with aligned columns: the first to the left, the rest to the right.
class Table {
  public:
    explicit Table(std::vector<std::string> heads) { rows_.push_back(std::move(heads)); }

    void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

    void print() const;

  private:
    std::vector<std::vector<std::string>> rows_;
};

/// "12.34" with as many digits as carry meaning; "-" for negative (absent) values.
std::string number_text(double value);

/// A JSON string literal with its quotes.
std::string json_quote(std::string_view text);

/// The first string value of "key" in a JSON text, unescaped not at all; "" if there is none. For
/// the few flat answers that the benchmarks read; davit itself parses JSON properly.
std::string json_string_find(std::string_view json, std::string_view key);

/// The first number at "key". Errors: corrupt if there is none.
Result<double> json_number_find(std::string_view json, std::string_view key);

}  // namespace davit::bench

#pragma once
/// FormatTemplate: the part of Go's templates that --format is used for.
///
///     {{.Name}}  {{.State.Status}}  {{json .Config.Env}}  {{index .Config.Labels "a.b"}}
///     {{index .RepoDigests 0}}  {{join .Args " "}}  {{len .Mounts}}  {{upper .X}} {{lower .X}}
///     {{range .Mounts}}{{.Source}} {{end}}  {{if .State.Health}}...{{else}}...{{end}}
///     {{with .State.Health}}{{.Status}}{{end}}  {{.Label "a.b"}}  {{- and -}}
///
/// Anything else (variables, pipelines, comparisons) is refused by name when it is parsed. A field
/// that is not there is an error, except as a condition, where it is false. Names match exactly, or
/// else without case: {{.ID}} is the API's "Id".
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/json_reader.h"

namespace davit::cli {

class FormatTemplate {
  public:
    /// Errors: invalid_argument: what of the text is not understood.
    static Result<FormatTemplate> parse(std::string_view text);

    /// The text for one object. Errors: invalid_argument: no such field.
    Result<std::string> run(const JsonValue& object) const;

    /// The member of an object that {{.Label "key"}} looks into.
    static constexpr std::string_view label_map_key = "LabelMap";

    struct Node;
    using Nodes = std::vector<Node>;

    FormatTemplate(FormatTemplate&&) noexcept;
    FormatTemplate& operator=(FormatTemplate&&) noexcept;
    ~FormatTemplate();

  private:
    explicit FormatTemplate(std::unique_ptr<Nodes> nodes);

    std::unique_ptr<Nodes> nodes_;
};

}  // namespace davit::cli

#include "program/model_file.h"

#include <algorithm>

namespace fastnn {

namespace {

// A graph takes some 150 bytes of text for each node, and Json 50 times its text at worst.
constexpr size_t kMaxGraphs = size_t{16} << 20;

const std::string& metadata_of(const Safetensors& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  if (found != file.metadata().end()) return found->second;
  throw ValueError(
      concat(file.where(), ": no metadata ", in_quotes(key),
             "; expected a model file; save the model again, or read its tensors as those of any safetensors file"));
}

void expect_format(const Safetensors& file) {
  const std::string& text = metadata_of(file, "fastnn.format");
  const bool is_number =
      !text.empty() && text[0] != '0' && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  if (!is_number) {
    throw ValueError(
        concat(file.where(), ": fastnn.format ", in_quotes(text), "; expected a positive integer; save the model again"));
  }
  if (text == std::to_string(kFormatVersion)) return;
  throw ValueError(concat(file.where(), ": format ", text.substr(0, 20), "; expected at most ", kFormatVersion,
                          "; a newer fastnn wrote this file, so update fastnn"));
}

}  // namespace

ModelFile::ModelFile(Safetensors file) : file_(std::move(file)) {
  expect_format(file_);
  graphs_ = parse_json(metadata_of(file_, "fastnn.graphs"), file_.where() + ": fastnn.graphs", {.bytes = kMaxGraphs});
  if (graphs_.if_object() == nullptr) {
    JsonRef(graphs_, file_.where() + ": fastnn.graphs").fail("not an object", "graphs by name");
  }
}

std::vector<std::string> ModelFile::names() const {
  std::vector<std::string> names;
  for (const Json::Member& member : *graphs_.if_object()) names.push_back(member.key);
  return names;
}

Graph ModelFile::graph(std::string_view name) {
  const JsonRef all(graphs_, file_.where() + ": fastnn.graphs");
  if (const auto found = all.find(name)) return graph_from_json(*found, file_, variables_);
  std::string known;
  for (const std::string& other : names()) known += (known.empty() ? "" : ", ") + in_quotes(other);
  throw ValueError(concat(file_.where(), ": no graph ", in_quotes(name), "; expected ",
                          known.empty() ? "a file with graphs" : "one of " + known, "; save the model again"));
}

}  // namespace fastnn

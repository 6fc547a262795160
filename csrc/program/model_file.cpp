#include "program/model_file.h"

#include <algorithm>

namespace fastnn {

namespace {

constexpr size_t kMaxGraphs = size_t{16} << 20;  // some 150 bytes for each node

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

const std::string& graphs_of(const Safetensors& file) {
  expect_format(file);
  return metadata_of(file, "fastnn.graphs");
}

}  // namespace

ModelFile::ModelFile(Safetensors file)
    : file_(std::move(file)), graphs_(graphs_of(file_), file_.where() + ": fastnn.graphs", {.bytes = kMaxGraphs}) {
  if (graphs_.root().type() != Json::Type::object) graphs_.root().fail("not an object", "graphs by name");
}

std::vector<std::string> ModelFile::names() const {
  std::vector<std::string> names;
  graphs_.root().for_each_member([&](const std::string& name, const JsonRef&) { names.push_back(name); });
  return names;
}

Graph ModelFile::graph(std::string_view name) {
  if (const auto found = graphs_.root().find(name)) return graph_from_json(*found, file_, variables_);
  std::string known;
  for (const std::string& other : names()) {
    known += (known.empty() ? "" : ", ") + (known.size() < 500 ? in_quotes(other) : "...");
    if (known.ends_with("...")) break;
  }
  throw ValueError(concat(file_.where(), ": no graph ", in_quotes(name), "; expected ",
                          known.empty() ? "a file with graphs" : "one of " + known, "; save the model again"));
}

}  // namespace fastnn

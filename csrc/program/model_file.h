// A model file: a safetensors file whose metadata holds graphs (docs/file-format.md).
//
//     fastnn.format   the version of the format, a positive integer as text
//     fastnn.graphs   a JSON object of graphs by name; "predict" is the prediction, before fusion
//
// Other keys are other readers' business. A file of a newer format is refused; older ones are read for ever.
// Errors: ValueError naming the file, the place in it and the reason. IoError where it cannot be read.
#pragma once

#include "program/graph_json.h"

namespace fastnn {

constexpr int64_t kFormatVersion = 1;

class ModelFile {
 public:
  explicit ModelFile(Safetensors file);  // checks the version and reads the JSON, but no graph yet
  static ModelFile read(const std::string& path, const Interrupt& interrupt = {}) {
    return ModelFile(Safetensors::read(path, interrupt));
  }

  std::vector<std::string> names() const;  // of the graphs, as the file orders them
  // The graph as it was written; whoever runs it lets the fusion passes go over it first. ValueError if there is none.
  Graph graph(std::string_view name);

 private:
  Safetensors file_;
  JsonText graphs_;  // of the metadata
  FileVariables variables_;
};

}  // namespace fastnn
